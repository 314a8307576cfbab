package ingest_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// shared is an embedded coordinator that several processes use, as they use Redis.
type shared struct{ coordinator.Coordinator }

func openDirect(t testing.TB, store segments.Store, c coordinator.GuestCoordinator) *ingest.Direct {
	t.Helper()
	d, err := ingest.OpenDirect(t.Context(), ingest.DirectOptions{Store: store, Coordinator: c, Who: "test",
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// newTopic creates a topic in a bucket that nobody serves.
func newTopic(t testing.TB, store segments.Store, c coordinator.Coordinator, name string, partitions int32,
	configs map[string]string) segments.TopicID {
	t.Helper()
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.Background())
	id := segments.NewTopicID()
	_, err = n.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: name,
		Partitions: partitions, Configs: configs}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func values(list ...string) []ingest.Record {
	records := make([]ingest.Record, len(list))
	for i, v := range list {
		records[i] = ingest.Record{Partition: -1, Value: []byte(v), Timestamp: -1}
	}
	return records
}

func TestDirectWrites(t *testing.T) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	newTopic(t, store, c, "a", 3, nil)
	d := openDirect(t, store, c)
	for i := range 3 {
		records := values("x", "y", "z")
		records[0].Partition, records[1].Partition, records[2].Partition = 1, 2, 1
		records[2].Timestamp = 77
		written, err := d.Write(t.Context(), "a", records)
		if err != nil {
			t.Fatal(err)
		}
		first := int64(2 * i)
		if written[0].Partition != 1 || written[0].Offset != first || written[1].Partition != 2 ||
			written[1].Offset != int64(i) ||
			written[2].Offset != first+1 || written[2].Timestamp != 77 {
			t.Errorf("write %d: %+v", i, written)
		}
	}
	if _, err := d.Write(t.Context(), "b", values("x")); !errors.Is(err, coordinator.ErrUnknownTopic) ||
		!errors.Is(err, ingest.ErrNotWritten) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// goroutines counts those of the caller's synctest bubble, once those that are about to end have.
func goroutines() int {
	synctest.Wait()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	own, _, _ := strings.Cut(string(stacks), "\n") // the caller comes first
	bubble := own[strings.Index(own, "synctest bubble"):]
	return strings.Count(string(stacks), bubble)
}

// When Write has returned nothing of it is left, and nothing happens however much time passes:
// synctest would find a goroutine, and a request would be counted.
func TestDirectLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := storetest.NewFaults(memory.New(), nil)
		c := shared{embedded.New(embedded.Options{})}
		newTopic(t, faults, c, "a", 1, nil)
		d := openDirect(t, faults, c)
		before := goroutines()
		for range 3 {
			begun := time.Now()
			if _, err := d.Write(t.Context(), "a", values("x")); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 0 {
				t.Errorf("a write waited for %s", took)
			}
			if after := goroutines(); after != before {
				t.Errorf("%d goroutines after a write, %d before", after, before)
			}
			requests := faults.Requests()
			time.Sleep(3 * time.Hour)
			if again := faults.Requests(); again != requests {
				t.Errorf("%d requests while nobody called", again-requests)
			}
		}
		// A put that is slow has a second beside it; a call that gives up leaves neither.
		faults.Script(func(r storetest.Request) storetest.Fault { return storetest.Fault{Delay: time.Hour} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := d.Write(ctx, "a", values("x")); !errors.Is(err, ingest.ErrNotWritten) ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a write without a bucket: %v", err)
		}
		if after := goroutines(); after != before {
			t.Errorf("%d goroutines after a write that failed, %d before", after, before)
		}
		faults.Script(nil)
		if _, err := d.Write(t.Context(), "a", values("x")); err != nil {
			t.Error(err)
		}
	})
}

// With an embedded coordinator a direct writer recovers the bucket, and is over when another
// process takes it.
func TestDirectEmbedded(t *testing.T) {
	store := memory.New()
	id := newTopic(t, store, embedded.New(embedded.Options{}), "a", 1, nil)
	first := openDirect(t, store, embedded.New(embedded.Options{}))
	if _, err := first.Write(t.Context(), "a", values("x", "y")); err != nil {
		t.Fatal(err)
	}
	second := openDirect(t, store, embedded.New(embedded.Options{}))
	written, err := second.Write(t.Context(), "a", values("z"))
	if err != nil || written[0].Offset != 2 {
		t.Errorf("the second process wrote at %v, %v", written, err)
	}
	for range 2 {
		if _, err := first.Write(t.Context(), "a", values("lost")); !errors.Is(err, coordinator.ErrFenced) {
			t.Errorf("the first process wrote after it had been fenced: %v", err)
		}
	}
	if found := readAll(t, store, segments.Partition{Topic: id}); len(found) != 3 {
		t.Errorf("the log holds %v", found)
	}
}

// What other writers leave pending when they die is helped along after a second.
func TestDirectHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), shared{embedded.New(embedded.Options{})}
		p := segments.Partition{Topic: newTopic(t, store, c, "a", 1, nil)}
		dying := storetest.NewFaults(store, nil)
		d := openDirect(t, dying, c)
		if _, err := d.Write(t.Context(), "a", values("0")); err != nil {
			t.Fatal(err)
		}
		dying.Script(func(r storetest.Request) storetest.Fault {
			if r.Op == storetest.Put && strings.HasPrefix(r.Key, "journal/") {
				return storetest.Fault{Delay: time.Hour}
			}
			return storetest.Fault{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Write(ctx, "a", values("1")); !errors.Is(err, ingest.ErrInDoubt) {
			t.Fatalf("a writer that dies with its commit pending: %v", err)
		}
		begun := time.Now()
		written, err := openDirect(t, store, c).Write(t.Context(), "a", values("2"))
		if took := time.Since(begun); err != nil || written[0].Offset != 2 || took < time.Second || took > 2*time.Second {
			t.Errorf("wrote %v, %v after %s", written, err, took)
		}
		if found := readAll(t, store, p); len(found) != 3 {
			t.Errorf("the log holds %v", found)
		}
	})
}

// Topics say what they take.
func TestDirectChecks(t *testing.T) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	newTopic(t, store, c, "compacted", 1, map[string]string{"cleanup.policy": "compact"})
	newTopic(t, store, c, "small", 1, map[string]string{"max.message.bytes": "200"})
	newTopic(t, store, c, "stamped", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	d := openDirect(t, store, c)
	for _, refused := range []struct {
		topic   string
		records []ingest.Record
		want    error
	}{
		{"compacted", values("x"), ingest.ErrNoKey},
		{"small", values(strings.Repeat("x", 300)), batch.ErrTooLarge},
		{"small", []ingest.Record{{Partition: 1, Value: []byte("x")}}, coordinator.ErrUnknownPartition},
		{"none", values("x"), coordinator.ErrUnknownTopic},
	} {
		if _, err := d.Write(t.Context(), refused.topic, refused.records); !errors.Is(err, refused.want) ||
			!errors.Is(err, ingest.ErrNotWritten) {
			t.Errorf("%s: got %v, want %v", refused.topic, err, refused.want)
		}
	}
	records := values("x")
	records[0].Timestamp = 5
	if written, err := d.Write(t.Context(), "stamped", records); err != nil ||
		time.Since(time.UnixMilli(written[0].Timestamp)) > time.Minute {
		t.Errorf("log append time: %+v, %v", written, err)
	}
}

// A topic that was deleted and created anew has another id than the one that is remembered.
func TestDirectTopicCreatedAnew(t *testing.T) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	first := newTopic(t, store, c, "a", 1, nil)
	d := openDirect(t, store, c)
	if _, err := d.Write(t.Context(), "a", values("x")); err != nil {
		t.Fatal(err)
	}
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.Background())
	if _, err := n.Change(t.Context(), coordinator.Change{DeleteTopic: &first}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), "a", values("y")); !errors.Is(err, coordinator.ErrUnknownTopic) {
		t.Errorf("writing to a deleted topic: %v", err)
	}
	newTopic(t, store, c, "a", 1, nil)
	if written, err := d.Write(t.Context(), "a", values("z")); err != nil || written[0].Offset != 0 {
		t.Errorf("writing to the new topic: %v, %v", written, err)
	}
}

// A topic that grows between a request and its retry sends keys to other partitions; the retry goes
// where the request went.
func TestDirectRetriesAfterGrowth(t *testing.T) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	id := newTopic(t, store, c, "a", 2, nil)
	records, key := keyedRecords(), ingest.IdempotencyKey("request")
	first, err := openDirect(t, store, c).Write(t.Context(), "a", records, key)
	if err != nil {
		t.Fatal(err)
	}
	grow(t, store, c, id, 7)
	again, err := openDirect(t, store, c).Write(t.Context(), "a", records, key)
	if err != nil || !slices.Equal(again, first) {
		t.Errorf("the retry got %+v, %v; the request %+v", again, err, first)
	}
	if _, err := openDirect(t, store, c).Write(t.Context(), "a", records[1:], key); !errors.Is(err,
		coordinator.ErrKeyReused) || !errors.Is(err, ingest.ErrNotWritten) {
		t.Errorf("the key with other records: %v", err)
	}
}

// A clock that is wrong by more than the commit deadline makes every segment too old, or too young:
// that ends, and says why.
func TestDirectClockIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong time.Duration
		store := memory.New()
		c := shared{embedded.New(embedded.Options{Clock: func() time.Time { return time.Now().Add(wrong) }})}
		newTopic(t, store, c, "a", 1, nil)
		d := openDirect(t, store, c)
		for _, wrong = range []time.Duration{time.Hour, -time.Hour} {
			if _, err := d.Write(t.Context(), "a", values("x")); !errors.Is(err, ingest.ErrNotWritten) ||
				!errors.Is(err, coordinator.ErrTooOld) {
				t.Errorf("with a clock that is wrong by %s: %v", wrong, err)
			}
		}
		wrong = 0
		if written, err := d.Write(t.Context(), "a", values("x")); err != nil || written[0].Offset != 0 {
			t.Errorf("with the right clock: %v, %v", written, err)
		}
	})
}

// Requests of one call share a segment and fail alone; in a group none is written behind one that
// is not.
func TestDirectWriteAll(t *testing.T) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	id := newTopic(t, store, c, "a", 1, map[string]string{"max.message.bytes": "500"})
	faults := storetest.NewFaults(store, nil)
	d := openDirect(t, faults, c)
	large := values(strings.Repeat("x", 600))
	requests := []ingest.Request{
		{Records: values("0", "1"), Key: "a", Group: "g"}, {Records: large, Key: "b", Group: "g"},
		{Records: values("behind"), Key: "c", Group: "g"},
		{Records: values("2"), Key: "d", Group: "h"}, {Records: large}, {Records: values("3")},
		{Records: values("0", "1"), Key: "a"},
	}
	wants := []any{int64(0), batch.ErrTooLarge, ingest.ErrBehind, int64(2), batch.ErrTooLarge, int64(3), int64(0)}
	outcomes, err := d.WriteAll(t.Context(), "a", requests)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range wants {
		switch want := want.(type) {
		case error:
			if !errors.Is(outcomes[i].Err, want) || !errors.Is(outcomes[i].Err, ingest.ErrNotWritten) {
				t.Errorf("request %d: %v, want %v", i, outcomes[i].Err, want)
			}
		case int64:
			if outcomes[i].Err != nil || outcomes[i].Written[0].Offset != want {
				t.Errorf("request %d: %+v, want offset %d", i, outcomes[i], want)
			}
		}
	}
	before := faults.Requests()
	requests[2].Group = ""
	outcomes, err = d.WriteAll(t.Context(), "a", requests[:4])
	if err != nil || outcomes[0].Written[1].Offset != 1 || outcomes[2].Written[0].Offset != 4 ||
		outcomes[3].Written[0].Offset != 2 {
		t.Errorf("again: %+v, %v", outcomes, err)
	}
	if n := faults.Requests() - before; n != 2 {
		t.Errorf("%d requests to the bucket for one call", n)
	}
	if found := readAll(t, store, segments.Partition{Topic: id}); len(found) != 5 {
		t.Errorf("the log holds %v", found)
	}
}
