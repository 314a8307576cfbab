package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newBatch makes a batch of the given number of records; what stands for the records is size bytes
// of filler, since nothing here looks at them.
func newBatch(p segments.Partition, producer int64, sequence, records int32, size int) Batch {
	b := make([]byte, batch.HeaderLen+size)
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	be.PutUint32(b[23:], uint32(records-1))
	be.PutUint64(b[35:], uint64(sequence))
	be.PutUint64(b[43:], uint64(producer))
	be.PutUint32(b[53:], uint32(sequence))
	be.PutUint32(b[57:], uint32(records))
	for i := range size {
		b[batch.HeaderLen+i] = byte(i + int(sequence))
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	h, err := batch.Check(b)
	if err != nil {
		panic(err)
	}
	return Batch{Partition: p, Header: h, Bytes: b}
}

func newPartitions(n int) []segments.Partition {
	topic := segments.NewTopicID()
	ps := make([]segments.Partition, n)
	for i := range ps {
		ps[i] = segments.Partition{Topic: topic, Index: int32(i)}
	}
	return ps
}

// newWriter starts a writer on the cluster and closes it when the test ends.
func newWriter(t testing.TB, c *cluster, store segments.Store, change func(*Options)) *Writer {
	t.Helper()
	opts := Options{Store: store, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	w, err := start(opts, c, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if bytes, _ := w.Buffered(); bytes != 0 {
			t.Errorf("%d bytes are still counted as buffered", bytes)
		}
	})
	return w
}

func mustAppend(t testing.TB, w *Writer, batches ...Batch) *Pending {
	t.Helper()
	p, err := w.Append(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustWait(t testing.TB, p *Pending) []Result {
	t.Helper()
	results, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestAppend(t *testing.T) {
	c, store, ps := newCluster(), memory.New(), newPartitions(3)
	c.create(ps[0], ps[1])
	w := newWriter(t, c, store, nil)

	results := mustWait(t, mustAppend(t, w,
		newBatch(ps[1], -1, 0, 3, 10), newBatch(ps[0], -1, 0, 2, 10), newBatch(ps[1], -1, 0, 4, 10),
		newBatch(ps[2], -1, 0, 1, 10)))
	want := []Result{{BaseOffset: 0}, {BaseOffset: 0}, {BaseOffset: 3}, {Err: coordinator.ErrUnknownPartition}}
	for i, r := range results {
		if r.BaseOffset != want[i].BaseOffset || !errors.Is(r.Err, want[i].Err) {
			t.Errorf("batch %d: %+v, want %+v", i, r, want[i])
		}
	}
	if got := mustWait(t, mustAppend(t, w, newBatch(ps[1], -1, 0, 1, 10)))[0].BaseOffset; got != 7 {
		t.Errorf("the next batch got offset %d, want 7", got)
	}
	checkStored(t, c, store)
}

// checkStored reads every batch that the cluster has given offsets back from where its commit said
// it lies.
func checkStored(t testing.TB, c *cluster, store segments.Store) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, fp := range c.partitions {
		next := int64(0)
		for _, l := range fp.log {
			if l.base != next {
				t.Fatalf("%s: a batch at offset %d, want %d", p, l.base, next)
			}
			next += int64(l.batch.Records)
			if l.position == 0 {
				continue // another node's, and only made up
			}
			b, err := store.Get(t.Context(), l.segment.Key(), l.position, int64(l.batch.Length))
			if err != nil {
				t.Fatal(err)
			}
			if h, err := batch.Check(b); err != nil || h.BaseSequence != l.batch.BaseSequence ||
				h.ProducerID != l.batch.ProducerID {
				t.Fatalf("%s at %d: %+v, %v, want sequence %d of producer %d", p, l.base, h, err, l.batch.BaseSequence,
					l.batch.ProducerID)
			}
		}
	}
}

// TestOrder has many idempotent producers write concurrently, each with several batches on their
// way, through small segments. The cluster refuses every batch that comes out of order.
func TestOrder(t *testing.T) {
	const producers, batches, window = 20, 60, 5
	c, store, ps := newCluster(), memory.New(), newPartitions(4)
	c.create(ps...)
	w := newWriter(t, c, store, func(o *Options) { o.FlushBytes = 4 << 10 })
	var wg sync.WaitGroup
	for id := range int64(producers) {
		wg.Go(func() { produce(t, w, ps, id, batches, window) })
	}
	wg.Wait()
	checkStored(t, c, store)
	for p, fp := range c.partitions {
		if got := len(fp.log); got != producers*batches {
			t.Errorf("%s holds %d batches, want %d", p, got, producers*batches)
		}
	}
}

// TestSmallBatches has more small batches come at once than one commit may decide: they go in
// several segments.
func TestSmallBatches(t *testing.T) {
	c, store, ps := newCluster(), memory.New(), newPartitions(1)
	c.create(ps...)
	var most atomic.Int64
	c.onCommit = func(req coordinator.CommitRequest) error {
		most.Store(max(most.Load(), int64(req.Decisions())))
		return req.Validate()
	}
	w := newWriter(t, c, store, nil)
	var batches []Batch
	for producer := range int64(3*maxDecisions + 1) {
		batches = append(batches, newBatch(ps[0], producer, 0, 1, 10))
	}
	pending, err := w.Append(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range mustWait(t, pending) {
		if r.Err != nil || r.BaseOffset != int64(i) {
			t.Fatalf("batch %d: %+v", i, r)
		}
	}
	if got := most.Load(); got != maxDecisions {
		t.Errorf("a commit asked for %d decisions, should be %d", got, maxDecisions)
	}
}

// produce writes batches of two records to every partition, with up to window appends unanswered,
// and expects rising offsets for each.
func produce(t testing.TB, w *Writer, ps []segments.Partition, id int64, batches, window int) {
	var pending []*Pending
	last := make([]int64, len(ps))
	for i := range last {
		last[i] = -1
	}
	check := func() {
		for i, r := range mustWait(t, pending[0]) {
			if r.Err != nil || r.BaseOffset <= last[i] {
				t.Errorf("producer %d, partition %d: %+v after offset %d", id, i, r, last[i])
			}
			last[i] = r.BaseOffset
		}
		pending = pending[1:]
	}
	for n := range batches {
		var bs []Batch
		for _, p := range ps {
			bs = append(bs, newBatch(p, id, int32(n*2), 2, 100+n))
		}
		pending = append(pending, mustAppend(t, w, bs...))
		if len(pending) == window {
			check()
		}
	}
	for len(pending) > 0 {
		check()
	}
}

func TestDuplicateGetsOriginalOffset(t *testing.T) {
	c, ps := newCluster(), newPartitions(1)
	c.create(ps...)
	w := newWriter(t, c, memory.New(), nil)
	mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 5, 10)))
	first := newBatch(ps[0], 7, 0, 3, 10)
	again := newBatch(ps[0], 7, 0, 3, 10)
	results := mustWait(t, mustAppend(t, w, first, again))
	if results[0].Err != nil || results[0].BaseOffset != 5 {
		t.Errorf("original: %+v", results[0])
	}
	if !errors.Is(results[1].Err, coordinator.ErrDuplicate) || results[1].BaseOffset != 5 {
		t.Errorf("duplicate: %+v", results[1])
	}
}

func TestRejectedBatchLeavesOthersAlone(t *testing.T) {
	c, ps := newCluster(), newPartitions(2)
	c.create(ps...)
	w := newWriter(t, c, memory.New(), nil)
	results := mustWait(t, mustAppend(t, w,
		newBatch(ps[0], 1, 0, 1, 10), newBatch(ps[0], 2, 99, 1, 10), newBatch(ps[1], 3, 0, 1, 10),
		newBatch(ps[0], 1, 1, 1, 10)))
	for i, want := range []error{nil, coordinator.ErrOutOfOrder, nil, nil} {
		if !errors.Is(results[i].Err, want) || want == nil && results[i].Err != nil {
			t.Errorf("batch %d: %v, want %v", i, results[i].Err, want)
		}
	}
	if results[3].BaseOffset != 1 {
		t.Errorf("the batch behind the rejected one got offset %d, want 1", results[3].BaseOffset)
	}
}

func TestAppendRefusesWhatCannotBe(t *testing.T) {
	c, ps := newCluster(), newPartitions(1)
	c.create(ps...)
	w := newWriter(t, c, memory.New(), func(o *Options) { o.BufferBytes = 4 << 10 })
	if _, err := w.Append(t.Context(), []Batch{newBatch(ps[0], -1, 0, 1, 5<<10)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than the buffer holds: %v", err)
	}
	torn := newBatch(ps[0], -1, 0, 1, 100)
	torn.Bytes = torn.Bytes[:80]
	if _, err := w.Append(t.Context(), []Batch{torn}); !errors.Is(err, batch.ErrCorrupt) {
		t.Errorf("a batch shorter than its header says: %v", err)
	}
	if results := mustWait(t, mustAppend(t, w)); len(results) != 0 {
		t.Errorf("an append of nothing: %v", results)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Append(t.Context(), []Batch{newBatch(ps[0], -1, 0, 1, 1)}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestOptions(t *testing.T) {
	_, err := start(Options{FlushBytes: -1, Linger: -1, PutBudget: -1, Puts: -1, BufferBytes: -1}, nil, nil)
	for _, want := range []string{"Store", "flush-bytes", "linger", "put-budget", "puts", "buffer-bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
