package ingest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// keyedRecords are records that have their partitions by their keys.
func keyedRecords() []ingest.Record {
	var records []ingest.Record
	for i := range 20 {
		records = append(records, ingest.Record{Partition: -1, Key: []byte{byte(i)}, Value: []byte{byte(i)}, Timestamp: -1})
	}
	return append(records, values("keyless")...)
}

func grow(t *testing.T, store segments.Store, c coordinator.Coordinator, id segments.TopicID, partitions int32) {
	t.Helper()
	change(t, store, c, coordinator.Change{Grow: &coordinator.Grow{Topic: id, Partitions: partitions}})
}

func configure(t *testing.T, store segments.Store, c coordinator.Coordinator, id segments.TopicID, name string,
	value *string) {
	t.Helper()
	change(t, store, c, coordinator.Change{Configure: &coordinator.Configure{Topic: id,
		Set: map[string]*string{name: value}}})
}

// change makes a change as a node that comes for it alone.
func change(t *testing.T, store segments.Store, c coordinator.Coordinator, wanted coordinator.Change) {
	t.Helper()
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.Background())
	if _, err := n.Change(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
}

func countRecords(t *testing.T, store segments.Store, id segments.TopicID, partitions int32) (n int) {
	t.Helper()
	for i := range partitions {
		for _, offsets := range readAll(t, store, segments.Partition{Topic: id, Index: i}) {
			n += len(offsets)
		}
	}
	return n
}

// atPut calls do once, when the first segment is about to be put.
func atPut(do func()) func(storetest.Request) storetest.Fault {
	var done atomic.Bool
	return func(r storetest.Request) storetest.Fault {
		if r.Op == storetest.Put && strings.HasPrefix(r.Key, segments.Prefix) && done.CompareAndSwap(false, true) {
			do()
		}
		return storetest.Fault{}
	}
}

// A direct writer that knows a topic as it was before it grew finds the request that another has
// written since to partitions of which it has not heard: before it writes, and also if the other is
// faster than its put.
func TestDirectRetriesAcrossGrowth(t *testing.T) {
	records, key := keyedRecords(), ingest.IdempotencyKey("request")
	for name, ahead := range map[string]bool{"written before": false, "written meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			store, c := memory.New(), shared{embedded.New(embedded.Options{})}
			id := newTopic(t, store, c, "a", 2, nil)
			var first []ingest.Written
			another := func() {
				grow(t, store, c, id, 7)
				var err error
				if first, err = openDirect(t, store, c).Write(t.Context(), "a", records, key); err != nil {
					t.Error(err)
				}
			}
			faults := storetest.NewFaults(store, nil)
			warm := openDirect(t, faults, c)
			if _, err := warm.Write(t.Context(), "a", values("warm")); err != nil {
				t.Fatal(err)
			}
			if ahead {
				faults.Script(atPut(another))
			} else {
				another()
			}
			again, err := warm.Write(t.Context(), "a", records, key)
			if err != nil || !slices.Equal(again, first) {
				t.Errorf("the retry got %+v, %v; the request %+v", again, err, first)
			}
			if n := countRecords(t, store, id, 7); n != 1+len(records) {
				t.Errorf("the log holds %d records, not %d", n, 1+len(records))
			}
		})
	}
}

// flakyTopics is a coordinator that refuses to look topics up when it is told to.
type flakyTopics struct {
	shared
	refused atomic.Bool
}

func (f *flakyTopics) Topic(ctx context.Context, in coordinator.Incarnation,
	name string) (coordinator.TopicFact, error) {
	if f.refused.Load() {
		return coordinator.TopicFact{}, coordinator.ErrOtherCluster
	}
	return f.shared.Topic(ctx, in, name)
}

// Of requests that were written in the first pass none is said not to be because the second fails,
// which another of them needs.
func TestDirectSecondPassFails(t *testing.T) {
	store, c := memory.New(), &flakyTopics{shared: shared{embedded.New(embedded.Options{})}}
	newTopic(t, store, c, "a", 1, nil)
	faults := storetest.NewFaults(store, atPut(func() {
		if _, err := openDirect(t, store, c).Write(t.Context(), "a", values("twice"),
			ingest.IdempotencyKey("k")); err != nil {
			t.Error(err)
		}
		c.refused.Store(true)
	}))
	outcomes, err := openDirect(t, faults, c).WriteAll(t.Context(), "a",
		[]ingest.Request{{Records: values("once")}, {Records: values("twice"), Key: "k"}})
	if err != nil {
		t.Fatalf("no request has an outcome: %v", err)
	}
	if o := outcomes[0]; o.Err != nil || o.Written[0].Offset != 1 {
		t.Errorf("the request that was written: %+v", o)
	}
	if err := outcomes[1].Err; !errors.Is(err, ingest.ErrInDoubt) || errors.Is(err, ingest.ErrNotWritten) {
		t.Errorf("the request that another had written: %v", err)
	}
}

// A request that was written gets its first answer, whatever its topic has come to refuse since;
// under another key it is refused.
func TestDirectRetriesOutliveConfigs(t *testing.T) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	id := newTopic(t, store, c, "a", 1, nil)
	records := []ingest.Record{{Value: []byte("a value without a key"), Timestamp: 1000}}
	first, err := openDirect(t, store, c).Write(t.Context(), "a", records, ingest.IdempotencyKey("k"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"max.message.bytes": "10", "cleanup.policy": "compact", "message.timestamp.before.max.ms": "1000",
	} {
		configure(t, store, c, id, name, &value)
		again, err := openDirect(t, store, c).Write(t.Context(), "a", records, ingest.IdempotencyKey("k"))
		if err != nil || !slices.Equal(again, first) {
			t.Errorf("%s: the retry got %+v, %v; the request %+v", name, again, err, first)
		}
		if _, err := openDirect(t, store, c).Write(t.Context(), "a", records); !errors.Is(err, ingest.ErrNotWritten) {
			t.Errorf("%s: another request: %v", name, err)
		}
		configure(t, store, c, id, name, nil)
	}
	if n := countRecords(t, store, id, 1); n != 1 {
		t.Errorf("the log holds %d records", n)
	}
}
