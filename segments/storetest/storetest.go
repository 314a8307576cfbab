// Package storetest is the conformance suite of segments.Store, and wrappers that make a Store fail
// as real ones do.
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

	"github.com/google/go-cmp/cmp"

	"firn.dev/segments"
)

// Run checks everything that the contract of segments.Store promises. Each call of open returns an
// empty store; it closes it by t.Cleanup if need be.
func Run(t *testing.T, open func(t *testing.T) segments.Store) {
	RunPair(t, func(t *testing.T) (a, b segments.Store) {
		s := open(t)
		return s, s
	})
}

// RunPair is Run for two stores on one bucket, as two processes have them: what one does, the other
// sees.
func RunPair(t *testing.T, open func(t *testing.T) (a, b segments.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b bucket)
	}{
		{"PutIfAbsent", testPutIfAbsent},
		{"RacingPuts", testRacingPuts},
		{"Ranges", testRanges},
		{"EmptyObject", testEmptyObject},
		{"NotFound", testNotFound},
		{"ListOrder", testListOrder},
		{"ListPrefixAfter", testListPrefixAfter},
		{"ManyObjects", testManyObjects},
		{"ListStopsEarly", testListStopsEarly},
		{"ListWhileChanging", testListWhileChanging},
		{"Delete", testDelete},
		{"Keys", testKeys},
		{"CancelledContext", testCancelledContext},
		{"LargeObject", testLargeObject},
		{"BodyNotKept", testBodyNotKept},
		{"BytesBelongToCaller", testBytesBelongToCaller},
		{"Modified", testModified},
		{"ConcurrentUse", testConcurrentUse},
		{"PutAndDeleteSideBySide", testPutAndDeleteSideBySide},
		{"Upload", testUpload},
		{"UploadIfAbsent", testUploadIfAbsent},
		{"UploadAborted", testUploadAborted},
		{"UploadCancelled", testUploadCancelled},
		{"RacingUploads", testRacingUploads},
		{"Clean", testClean},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, second := open(t)
			test.run(t, bucket{t, first, second})
		})
	}
}

// bucket is one bucket seen through two stores: tests write through the first and look through the
// second.
type bucket struct {
	t             *testing.T
	first, second segments.Store
}

func (b bucket) put(key, body string) {
	b.t.Helper()
	if err := b.first.Put(b.t.Context(), key, []byte(body)); err != nil {
		b.t.Fatal(err)
	}
}

func (b bucket) get(key string) string {
	b.t.Helper()
	body, err := b.second.Get(b.t.Context(), key, 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(body)
}

func (b bucket) list(prefix, after string) []string {
	b.t.Helper()
	keys := []string{}
	for o, err := range b.second.List(b.t.Context(), prefix, after) {
		if err != nil {
			b.t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func (b bucket) wantList(prefix, after string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), b.list(prefix, after)); diff != "" {
		b.t.Errorf("list %q after %q: %s", prefix, after, diff)
	}
}

func (b bucket) inParallel(n int, do func(i int) error) {
	b.t.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					b.t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if b.t.Failed() {
		b.t.FailNow()
	}
}

func (b bucket) wantError(want, err error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Errorf("got error %v, want %v", err, want)
	}
}

func testPutIfAbsent(t *testing.T, b bucket) {
	b.put("segments/a", "one")
	err := b.second.Put(t.Context(), "segments/a", []byte("two"))
	b.wantError(segments.ErrExists, err)
	if err != nil && !strings.Contains(err.Error(), "segments/a") {
		t.Errorf("%v does not name the key", err)
	}
	b.wantError(segments.ErrExists, b.first.Put(t.Context(), "segments/a", []byte("one")))
	if got := b.get("segments/a"); got != "one" {
		t.Errorf("got %q: a refused put changed the object", got)
	}
	b.wantList("", "", "segments/a")
}

// testRacingPuts has 32 racers for each of some keys, one of which wins, with its bytes.
func testRacingPuts(t *testing.T, b bucket) {
	const racers = 32
	for round := range 4 {
		key := fmt.Sprintf("race/%d/object", round)
		body := func(racer int) []byte {
			return bytes.Repeat([]byte{byte(racer)}, 10_000*(round+1)+racer)
		}
		errs := make([]error, racers)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range racers {
			store := []segments.Store{b.first, b.second}[i%2]
			wg.Go(func() {
				<-start
				errs[i] = store.Put(t.Context(), key, body(i))
			})
		}
		close(start)
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("racers %d and %d both won %s", winner, i, key)
			case err == nil:
				winner = i
			case !errors.Is(err, segments.ErrExists):
				t.Errorf("racer %d: %v", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody won")
		}
		if got := b.get(key); got != string(body(winner)) {
			t.Errorf("%s does not hold the winner's bytes", key)
		}
	}
}

func testRanges(t *testing.T, b bucket) {
	const key, body = "ranges/object", "0123456789"
	b.put(key, body)
	for _, test := range []struct {
		offset, length int64
		want           string
		err            error
	}{
		{0, -1, body, nil},
		{0, 10, body, nil},
		{0, 1, "0", nil},
		{3, 4, "3456", nil},
		{9, 1, "9", nil},
		{4, -1, "456789", nil},
		{4, -7, "456789", nil},
		{0, 0, "", nil},
		{5, 0, "", nil},
		{10, 0, "", nil},
		{10, -1, "", nil},
		{-1, -1, "9", nil},
		{-4, -1, "6789", nil},
		{-10, -1, body, nil},
		{-11, -1, body, nil},
		{-1 << 62, -1, body, nil},
		{0, 11, "", segments.ErrRange},
		{9, 2, "", segments.ErrRange},
		{10, 1, "", segments.ErrRange},
		{11, 0, "", segments.ErrRange},
		{11, -1, "", segments.ErrRange},
		{1 << 62, 1 << 62, "", segments.ErrRange},
		{5, 1<<63 - 1, "", segments.ErrRange},
		{-4, 2, "", segments.ErrRange},
	} {
		got, err := b.second.Get(t.Context(), key, test.offset, test.length)
		if !errors.Is(err, test.err) || string(got) != test.want {
			t.Errorf("Get(%d, %d) = %q, %v; want %q, %v", test.offset, test.length, got, err, test.want, test.err)
		}
		if test.err == nil && int64(cap(got)) > 2*int64(len(body)) {
			t.Errorf("Get(%d, %d) takes %d bytes of memory", test.offset, test.length, cap(got))
		}
	}
}

func testEmptyObject(t *testing.T, b bucket) {
	for i, body := range [][]byte{nil, {}} {
		key := fmt.Sprintf("empty/%d", i)
		if err := b.first.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
		b.wantError(segments.ErrExists, b.second.Put(t.Context(), key, []byte("more")))
		for _, at := range [][2]int64{{0, -1}, {0, 0}, {-5, -1}} {
			if got, err := b.second.Get(t.Context(), key, at[0], at[1]); err != nil || len(got) != 0 {
				t.Errorf("Get(%d, %d) = %q, %v", at[0], at[1], got, err)
			}
		}
		_, err := b.second.Get(t.Context(), key, 0, 1)
		b.wantError(segments.ErrRange, err)
	}
	for o, err := range b.second.List(t.Context(), "empty/", "") {
		if err != nil || o.Size != 0 {
			t.Error(o, err)
		}
	}
	b.wantList("", "", "empty/0", "empty/1")
}

func testNotFound(t *testing.T, b bucket) {
	b.put("there/is/one", "x")
	for _, key := range []string{"there/is/none", "there/is", "there", "there/is/one/more", "none"} {
		for _, at := range [][2]int64{{0, -1}, {0, 0}, {0, 1}, {5, 5}, {-5, -1}} {
			_, err := b.second.Get(t.Context(), key, at[0], at[1])
			b.wantError(segments.ErrNotFound, err)
			if err != nil && !strings.Contains(err.Error(), key) {
				t.Errorf("%v does not name the key", err)
			}
		}
	}
}

func testDelete(t *testing.T, b bucket) {
	b.put("d/one", "1")
	b.put("d/two", "2")
	if err := b.second.Delete(t.Context(), "d/one", "d/never", "never", "d", "d/two/more"); err != nil {
		t.Fatal(err)
	}
	if err := b.first.Delete(t.Context(), "d/one"); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	if err := b.first.Delete(t.Context()); err != nil {
		t.Errorf("deleting nothing: %v", err)
	}
	_, err := b.first.Get(t.Context(), "d/one", 0, -1)
	b.wantError(segments.ErrNotFound, err)
	b.wantList("", "", "d/two")
	b.put("d/one", "again") // a key is free after its deletion
	if got := b.get("d/one"); got != "again" {
		t.Errorf("got %q", got)
	}
	if err := b.second.Delete(t.Context(), "d/one", "d/two"); err != nil {
		t.Fatal(err)
	}
	b.wantList("", "")
	b.put("d/three", "3") // where everything was deleted
	b.wantList("", "", "d/three")
	b.wantError(segments.ErrExists, b.second.Put(t.Context(), "d/three", nil))
}

func testKeys(t *testing.T, b bucket) {
	long := strings.Repeat(strings.Repeat("x", 127)+"/", 4)
	for _, key := range []string{"a", "0/.x/..x/x.", "-/_/.../--", long[:511]} {
		b.put(key, key)
		if got := b.get(key); got != key {
			t.Errorf("%s holds %s", key, got)
		}
	}
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/.", "./a", "a/../b", "../a", "a b", "a\\b", "a\x00b", "ä", "a~b", "~a",
		"a:b", "a*", "a\n", long + "x",
	} {
		if err := b.first.Put(t.Context(), key, nil); !errors.Is(err, segments.ErrKey) {
			t.Errorf("put %q: %v", key, err)
		}
		if _, err := b.first.Get(t.Context(), key, 0, -1); !errors.Is(err, segments.ErrKey) {
			t.Errorf("get %q: %v", key, err)
		}
		if err := b.first.Delete(t.Context(), "a", key); !errors.Is(err, segments.ErrKey) {
			t.Errorf("delete %q: %v", key, err)
		}
	}
}

func testCancelledContext(t *testing.T, b bucket) {
	b.put("c/object", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.wantError(context.Canceled, b.first.Put(ctx, "c/other", []byte("x")))
	_, err := b.first.Get(ctx, "c/object", 0, -1)
	b.wantError(context.Canceled, err)
	b.wantError(context.Canceled, b.first.Delete(ctx, "c/object"))
	yields := 0
	for _, err := range b.first.List(ctx, "", "") {
		b.wantError(context.Canceled, err)
		yields++
	}
	if yields != 1 {
		t.Errorf("%d yields", yields)
	}
	b.wantList("", "", "c/object")

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	for i := range 20 {
		b.put(fmt.Sprintf("c/x%02d", i), "x")
	}
	var last error
	for _, err := range b.first.List(ctx, "", "") {
		cancel()
		last = err
	}
	// A store may have the rest of a page at hand; but if it says anything, it says that.
	if last != nil {
		b.wantError(context.Canceled, last)
	}
}

func testLargeObject(t *testing.T, b bucket) {
	body := make([]byte, 32<<20+7)
	rand.NewChaCha8([32]byte{7}).Read(body)
	if err := b.first.Put(t.Context(), "large/object", body); err != nil {
		t.Fatal(err)
	}
	for _, at := range [][2]int64{{0, -1}, {-100, -1}, {1 << 20, 8 << 20}, {32 << 20, 7}} {
		got, err := b.second.Get(t.Context(), "large/object", at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		start, count, _ := segments.Slice(int64(len(body)), at[0], at[1])
		if !bytes.Equal(got, body[start:start+count]) {
			t.Errorf("Get(%d, %d) gives other bytes", at[0], at[1])
		}
	}
}

func testBodyNotKept(t *testing.T, b bucket) {
	body := []byte("as it was put")
	if err := b.first.Put(t.Context(), "kept", body[:9:13]); err != nil {
		t.Fatal(err)
	}
	if string(body) != "as it was put" {
		t.Errorf("the body was changed: %q", body)
	}
	clear(body)
	if got := b.get("kept"); got != "as it was" {
		t.Errorf("got %q", got)
	}
}

func testBytesBelongToCaller(t *testing.T, b bucket) {
	b.put("mine", "0123456789")
	got, err := b.second.Get(t.Context(), "mine", 2, 4)
	if err != nil {
		t.Fatal(err)
	}
	clear(append(got, 'x', 'y'))
	if got := b.get("mine"); got != "0123456789" {
		t.Errorf("got %q", got)
	}
}

// testModified allows for a store whose clock differs somewhat, and that counts in seconds.
func testModified(t *testing.T, b bucket) {
	before := time.Now()
	b.put("time", "x")
	for o, err := range b.second.List(t.Context(), "", "") {
		if err != nil || o.Modified.Before(before.Add(-time.Minute)) || o.Modified.After(time.Now().Add(time.Minute)) {
			t.Errorf("modified at %s, %v", o.Modified, err)
		}
	}
}

func testConcurrentUse(t *testing.T, b bucket) {
	b.inParallel(64, func(i int) error {
		key, body := fmt.Sprintf("use/%d/%d", i%5, i), strings.Repeat(fmt.Sprint(i, " "), 1000)
		if err := b.first.Put(t.Context(), key, []byte(body)); err != nil {
			return err
		}
		got, err := b.second.Get(t.Context(), key, 0, -1)
		if err == nil && string(got) != body {
			err = fmt.Errorf("%s holds other bytes", key)
		}
		seen := false
		for o, listed := range b.second.List(t.Context(), fmt.Sprintf("use/%d/", i%5), "") {
			err = errors.Join(err, listed)
			seen = seen || o.Key == key
		}
		if !seen {
			err = errors.Join(err, fmt.Errorf("%s is not listed", key))
		}
		if i%3 == 0 {
			err = errors.Join(err, b.second.Delete(t.Context(), key))
		}
		return err
	})
	if n := len(b.list("use/", "")); n != 64-22 {
		t.Errorf("%d objects are left", n)
	}
}

// testPutAndDeleteSideBySide empties places in which others put: no put fails or is lost because of
// that.
func testPutAndDeleteSideBySide(t *testing.T, b bucket) {
	b.inParallel(200, func(i int) error {
		key := fmt.Sprintf("side/by/side/%d", i)
		put, remove := b.first, b.second
		if i%2 == 0 {
			put, remove = b.second, b.first
		}
		if err := put.Put(t.Context(), key, []byte("x")); err != nil {
			return err
		}
		if _, err := remove.Get(t.Context(), key, 0, -1); err != nil {
			return err
		}
		return remove.Delete(t.Context(), key)
	})
	b.wantList("", "")
}
