package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/file"
	"firn.dev/segments/memory"
)

// openNode joins with an embedded coordinator.
func openNode(t testing.TB, store segments.Store) *coordinator.Node {
	t.Helper()
	n, err := coordinator.Join(context.Background(), coordinator.NodeOptions{
		Store: store, Coordinator: embedded.New(embedded.Options{}), Info: coordinator.NodeInfo{ID: 1},
		Probe: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func closeNode(t testing.TB, n *coordinator.Node) {
	t.Helper()
	if err := n.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func openWriter(t testing.TB, store segments.Store, n *coordinator.Node, change func(*Options)) *Writer {
	t.Helper()
	opts := Options{Store: store, Node: n, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	w, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func closeWriter(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func createTopic(t testing.TB, n *coordinator.Node, partitions int32) []segments.Partition {
	t.Helper()
	f, err := n.Change(context.Background(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID: segments.NewTopicID(), Name: segments.NewTopicID().String(), Partitions: partitions}})
	if err != nil {
		t.Fatal(err)
	}
	ps := make([]segments.Partition, partitions)
	for i := range ps {
		ps[i] = segments.Partition{Topic: f.Topic.ID, Index: int32(i)}
	}
	return ps
}

// stores are those that tests run on.
func stores(t testing.TB) map[string]segments.Store {
	t.Helper()
	f, err := file.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return map[string]segments.Store{"memory": memory.New(), "file": f}
}

// TestOrderEmbedded has idempotent producers write concurrently through small segments. The
// coordinator refuses what comes out of order; after a restart everything is read back from the
// bucket, in order.
func TestOrderEmbedded(t *testing.T) {
	const producers, batches, window = 12, 30, 5
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			n := openNode(t, store)
			ps := createTopic(t, n, 4)
			w := openWriter(t, store, n, func(o *Options) { o.FlushBytes = 8 << 10 })
			var wg sync.WaitGroup
			for id := range int64(producers) {
				wg.Go(func() { produce(t, w, ps, id, batches, window) })
			}
			wg.Wait()
			closeWriter(t, w)
			closeNode(t, n)

			n = openNode(t, store)
			defer closeNode(t, n)
			for _, p := range ps {
				if got := readBack(t, store, n.View(), p); got != producers*batches {
					t.Errorf("%s holds %d batches, want %d", p, got, producers*batches)
				}
			}
		})
	}
}

// readBack reads a partition from its first offset to its high watermark. Each producer's batches
// of two must be there in order, once.
func readBack(t testing.TB, store segments.Store, v *coordinator.View, p segments.Partition) (batches int) {
	t.Helper()
	info, _ := v.Partition(p)
	next := map[int64]int32{}
	for offset := int64(0); offset < info.HighWatermark; {
		s := v.Spans(p, offset, 1)[0]
		if s.Base != offset {
			t.Fatalf("%s: a span begins at offset %d, want %d", p, s.Base, offset)
		}
		bytes, err := store.Get(context.Background(), s.Segment.Key(), s.Position, s.Length)
		if err != nil {
			t.Fatal(err)
		}
		for h, err := range batch.All(bytes) {
			if err != nil || h.BaseSequence != next[h.ProducerID] {
				t.Fatalf("%s at %d: sequence %d of producer %d, want %d (%v)", p, offset, h.BaseSequence, h.ProducerID,
					next[h.ProducerID], err)
			}
			next[h.ProducerID] += h.Records
			offset += int64(h.Records)
			batches++
		}
		if offset != s.Last+1 {
			t.Fatalf("%s: a span ends at offset %d, its batches at %d", p, s.Last, offset-1)
		}
	}
	return batches
}

// TestTakenOver has a second node take the bucket over under load. What the first acknowledged is
// there, at its offset; the first acknowledges nothing any more, and all that waits is told so.
func TestTakenOver(t *testing.T) {
	store := memory.New()
	n := openNode(t, store)
	ps := createTopic(t, n, 2)
	w := openWriter(t, store, n, nil)
	type ack struct {
		partition segments.Partition
		producer  int64
		offset    int64
	}
	acks := make(chan ack, 1<<20)
	warm := make(chan struct{})
	var wg sync.WaitGroup
	for id := range int64(8) {
		wg.Go(func() {
			for i := int32(0); ; i++ {
				if i == 20 && id == 0 {
					close(warm)
				}
				p, err := w.Append(t.Context(), []Batch{newBatch(ps[id%2], id, i, 1, 100)})
				if err == nil {
					r := mustWait(t, p)[0]
					if err = r.Err; err == nil {
						acks <- ack{ps[id%2], id, r.BaseOffset}
						continue
					}
				}
				if !errors.Is(err, coordinator.ErrFenced) {
					t.Errorf("producer %d: %v", id, err)
				}
				return
			}
		})
	}
	<-warm
	second := openNode(t, store)
	defer closeNode(t, second)
	wg.Wait()
	close(acks)
	held := map[ack]bool{}
	for _, p := range ps {
		info, _ := second.View().Partition(p)
		for offset := int64(0); offset < info.HighWatermark; {
			s := second.View().Spans(p, offset, 1)[0]
			bytes, err := store.Get(t.Context(), s.Segment.Key(), s.Position, s.Length)
			if err != nil {
				t.Fatal(err)
			}
			for h := range batch.All(bytes) {
				held[ack{p, h.ProducerID, offset}] = true
				offset += int64(h.Records)
			}
		}
	}
	n1 := 0
	for a := range acks {
		if n1++; !held[a] {
			t.Fatalf("acknowledged, and not in the bucket: %+v", a)
		}
	}
	if n1 == 0 {
		t.Error("nothing was acknowledged")
	}
	closeWriter(t, w)
	n.Close(context.Background())
}
