package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/segments"
)

// partBytes is how much of an upload S3's drivers send at once. The suite crosses it, whatever a
// store makes of that.
const partBytes = 8 << 20

// noise returns n random bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// create begins an upload that is aborted with the test, which does nothing to those that were
// committed.
func (b bucket) create(key string) segments.Upload {
	b.t.Helper()
	u, err := b.first.Create(b.t.Context(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := u.Abort(); err != nil {
			b.t.Error(err)
		}
	})
	return u
}

// write writes body in pieces of odd sizes, and from memory that it uses again.
func write(u segments.Upload, body []byte) error {
	piece := make([]byte, 0, 3<<20+1)
	for size := 1; len(body) > 0; size = min(3*size, cap(piece)) {
		piece = append(piece[:0], body[:min(size, len(body))]...)
		n, err := u.Write(piece)
		if err != nil {
			return err
		}
		if n != len(piece) {
			return fmt.Errorf("%d of %d bytes are written", n, len(piece))
		}
		clear(piece)
		body = body[n:]
	}
	return nil
}

func testUpload(t *testing.T, b bucket) {
	for _, size := range []int{0, 1, 100_000, partBytes, 2*partBytes + 12_345} {
		key, body := fmt.Sprintf("up/load/%d", size), noise(size)
		u := b.create(key)
		if err := write(u, body); err != nil {
			t.Fatal(err)
		}
		_, err := b.second.Get(t.Context(), key, 0, -1)
		b.wantError(segments.ErrNotFound, err)
		b.wantList(key, "")
		if err := u.Commit(); err != nil {
			t.Fatal(err)
		}
		b.wantList(key, "", key)
		if got := b.get(key); got != string(body) {
			t.Errorf("%d bytes, other than the %d that were written", len(got), size)
		}
		if err := errors.Join(u.Commit(), u.Abort(), u.Commit()); err != nil {
			t.Errorf("after Commit: %v", err)
		}
		if size > 10 {
			got, err := b.second.Get(t.Context(), key, int64(size-10), 10)
			if err != nil || !bytes.Equal(got, body[size-10:]) {
				t.Errorf("its end: %x, %v", got, err)
			}
		}
		b.wantError(segments.ErrExists, b.second.Put(t.Context(), key, []byte("x")))
	}
}

func testUploadIfAbsent(t *testing.T, b bucket) {
	for _, size := range []int{10, partBytes + 10} {
		key := fmt.Sprintf("taken/%d", size)
		u := b.create(key)
		if err := write(u, noise(size)); err != nil {
			t.Fatal(err)
		}
		b.put(key, "was faster")
		for range 2 {
			err := u.Commit()
			b.wantError(segments.ErrExists, err)
			if err != nil && !strings.Contains(err.Error(), key) {
				t.Errorf("%v does not name the key", err)
			}
		}
		if err := u.Abort(); err != nil {
			t.Error(err)
		}
		if got := b.get(key); got != "was faster" {
			t.Errorf("the object holds %d other bytes", len(got))
		}
	}
}

func testUploadAborted(t *testing.T, b bucket) {
	for _, size := range []int{0, 10, partBytes + 10} {
		key := fmt.Sprintf("given/up/%d", size)
		u := b.create(key)
		if err := write(u, noise(size)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(u.Abort(), u.Abort()); err != nil {
			t.Error(err)
		}
		_, err := u.Write([]byte("more"))
		b.wantError(segments.ErrAborted, err)
		b.wantError(segments.ErrAborted, u.Commit())
		b.wantList("", "")
		b.put(key, "the key is free")
		if err := u.Abort(); err != nil {
			t.Error(err)
		}
		if got := b.get(key); got != "the key is free" {
			t.Errorf("got %q", got)
		}
		if err := b.first.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}

func testUploadCancelled(t *testing.T, b bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	var begun []segments.Upload
	for i, size := range []int{0, 10, partBytes + 10} {
		u, err := b.first.Create(ctx, fmt.Sprintf("cut/off/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(u, noise(size)); err != nil {
			t.Fatal(err)
		}
		begun = append(begun, u)
	}
	cancel()
	for _, u := range begun {
		_, err := u.Write([]byte("more"))
		b.wantError(context.Canceled, err)
		b.wantError(context.Canceled, u.Commit())
		if err := u.Abort(); err != nil {
			t.Error(err)
		}
	}
	_, err := b.first.Create(ctx, "cut/off/later")
	b.wantError(context.Canceled, err)
	_, err = b.first.Create(t.Context(), "not//a/key")
	b.wantError(segments.ErrKey, err)
	b.wantList("", "")
}

// testRacingUploads has uploads and a put race for one key: one wins, with its bytes.
func testRacingUploads(t *testing.T, b bucket) {
	const racers = 5
	const key = "race/of/uploads"
	body := func(racer int) []byte { return bytes.Repeat([]byte{byte(racer)}, partBytes*(racer%2)+1000+racer) }
	errs := make([]error, racers)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for i := range racers - 1 {
		ready.Add(1)
		done.Go(func() {
			u, err := []segments.Store{b.first, b.second}[i/2].Create(t.Context(), key)
			if err == nil {
				err = write(u, body(i))
			}
			ready.Done()
			<-start
			if err == nil {
				err = u.Commit()
			}
			errs[i] = err
			if err := u.Abort(); err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	done.Go(func() {
		<-start
		errs[racers-1] = b.first.Put(t.Context(), key, body(racers-1))
	})
	close(start)
	done.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("racers %d and %d both won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, segments.ErrExists):
			t.Errorf("racer %d: %v", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	if b.get(key) != string(body(winner)) {
		t.Error("the object does not hold the winner's bytes")
	}
}

// testClean cleans beside an upload that is under way and younger.
func testClean(t *testing.T, b bucket) {
	b.put("clean/other", "stays")
	u := b.create("clean/young")
	if err := write(u, noise(partBytes+1)); err != nil {
		t.Fatal(err)
	}
	if n, err := segments.Clean(t.Context(), b.second, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Error(n, err)
	}
	if err := u.Commit(); err != nil {
		t.Error(err)
	}
	b.wantList("", "", "clean/other", "clean/young")
}

// TestAbandoned is for drivers whose Clean is to find an upload that nobody has ended: it returns
// how many Clean removed. Afterwards the upload cannot be committed.
func TestAbandoned(t *testing.T, store segments.Store) int {
	t.Helper()
	u, err := store.Create(t.Context(), "segments/abandoned")
	if err != nil {
		t.Fatal(err)
	}
	if err := write(u, noise(partBytes+1)); err != nil {
		t.Fatal(err)
	}
	n, err := segments.Clean(t.Context(), store, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if n > 0 && u.Commit() == nil {
		t.Error("an upload that was cleaned away is committed")
	}
	if err := u.Abort(); err != nil {
		t.Error(err)
	}
	for o, err := range store.List(t.Context(), "", "") {
		t.Error("there is", o, err)
	}
	if n, err := segments.Clean(t.Context(), store, time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were left: %v", n, err)
	}
	return n
}
