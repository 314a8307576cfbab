package index_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// posLastOffsetDelta is where a batch's header has its last offset, counted from the first.
const posLastOffsetDelta = 23

// part is the partition that most tests read.
var part = segments.Partition{Topic: segments.TopicID{1}, Index: 7}

// fakeView is a View that does as told, by walking lists.
type fakeView struct {
	mu       sync.Mutex
	parts    map[segments.Partition]*fakePartition
	asked    int       // calls of Spans
	onAsk    func(int) // if set, called before each call of Spans is answered, with its number
	answered func()    // if set, called when there is an answer, which the caller does not have yet
}

type fakePartition struct {
	logStart, end int64
	spans         []coordinator.Span
	stable        int64 // the last stable offset; 0: end
	aborted       []coordinator.AbortedTransaction
}

func (v *fakeView) Partition(p segments.Partition) (coordinator.PartitionInfo, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.parts[p]; f != nil {
		return coordinator.PartitionInfo{
			LogStart:      f.logStart,
			HighWatermark: f.end,
			LastStable:    cmp.Or(f.stable, f.end),
		}, true
	}
	return coordinator.PartitionInfo{}, false
}

func (v *fakeView) live(p segments.Partition) (spans []coordinator.Span) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.parts[p]; f != nil {
		for _, s := range f.spans {
			if s.Last >= f.logStart && s.Last < f.end {
				spans = append(spans, s)
			}
		}
	}
	return spans
}

func (v *fakeView) Spans(p segments.Partition, offset int64, n int) []coordinator.Span {
	v.mu.Lock()
	v.asked++
	asked, onAsk := v.asked, v.onAsk
	v.mu.Unlock()
	if onAsk != nil {
		onAsk(asked)
	}
	spans := v.live(p)
	spans = slices.DeleteFunc(spans, func(s coordinator.Span) bool { return s.Last < offset })
	if v.answered != nil {
		v.answered()
	}
	return spans[:min(n, len(spans))]
}

func (v *fakeView) SpanByTime(p segments.Partition, timestamp int64) (coordinator.Span, bool) {
	for _, s := range v.live(p) {
		if s.MaxTimestamp >= timestamp {
			return s, true
		}
	}
	return coordinator.Span{}, false
}

func (v *fakeView) Aborted(p segments.Partition, _, _ int64) []coordinator.AbortedTransaction {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.parts[p].aborted
}

func (v *fakeView) SpanOfMaxTimestamp(p segments.Partition) (best coordinator.Span, ok bool) {
	for _, s := range v.live(p) {
		if !ok || s.MaxTimestamp > best.MaxTimestamp {
			best, ok = s, true
		}
	}
	return best, ok
}

// gets is a store that counts its gets, and can hold them up or change what they say.
type gets struct {
	segments.Store
	count   atomic.Int64
	bytes   atomic.Int64
	inHand  atomic.Int64  // bytes of gets under way
	most    atomic.Int64  // the most that inHand has been
	hold    chan struct{} // if set, each get waits until it is closed
	entered chan struct{} // if set, each get says here that it has begun
	fail    func(key string, offset int64, body []byte) ([]byte, error)
}

func (g *gets) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	g.count.Add(1)
	g.bytes.Add(length)
	now := g.inHand.Add(length)
	defer g.inHand.Add(-length)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	if g.entered != nil {
		g.entered <- struct{}{}
	}
	if g.hold != nil {
		select {
		case <-g.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	body, err := g.Store.Get(ctx, key, offset, length)
	if err == nil && g.fail != nil {
		return g.fail(key, offset, body)
	}
	return body, err
}

// world is a bucket and a view that a test writes segments into.
type world struct {
	t     testing.TB
	store *gets
	view  *fakeView
	nth   uint32

	registry *prometheus.Registry // of the index that was opened last
}

func newWorld(t testing.TB) *world {
	return &world{
		t:     t,
		store: &gets{Store: memory.New()},
		view:  &fakeView{parts: map[segments.Partition]*fakePartition{}},
	}
}

func (w *world) partition(p segments.Partition) *fakePartition {
	f := w.view.parts[p]
	if f == nil {
		f = &fakePartition{}
		w.view.parts[p] = f
	}
	return f
}

// open returns an index over the world that is closed with the test.
func (w *world) open(change func(*index.Options)) *index.Index {
	w.registry = prometheus.NewRegistry()
	o := index.Options{Store: w.store, View: w.view, Registerer: w.registry}
	if change != nil {
		change(&o)
	}
	x, err := index.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { x.Close() })
	return x
}

// run is what one partition has in one segment: batches of records, each given as its timestamps.
type run struct {
	p       segments.Partition
	batches [][]byte
}

// records makes a batch of records with these timestamps, each with a value of size random bytes.
func records(t testing.TB, codec batch.Codec, size int, timestamps ...int64) []byte {
	noise := rand.NewChaCha8([32]byte{byte(size), byte(len(timestamps)), byte(timestamps[0])})
	rs := make([]batch.Record, len(timestamps))
	for i, ts := range timestamps {
		value := make([]byte, size)
		noise.Read(value)
		rs[i] = batch.Record{Timestamp: ts, Value: value}
	}
	b, err := batch.Build(rs, batch.NoProducer(codec))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// segment writes one object with these runs into the bucket and shows it in the view. It returns
// what Keep wants.
func (w *world) segment(runs ...run) ([]coordinator.CommitSpan, []byte) {
	w.nth++
	var id segments.ID
	copy(id[:], fmt.Sprintf("%016d", w.nth))
	object := []byte("some header")
	var spans []coordinator.CommitSpan
	for _, r := range runs {
		f := w.partition(r.p)
		s := coordinator.Span{Segment: id, Base: f.end, Position: int64(len(object)), MaxTimestamp: -1}
		for _, b := range r.batches {
			h, err := batch.Check(b)
			if err != nil {
				w.t.Fatal(err)
			}
			s.MaxTimestamp = max(s.MaxTimestamp, h.MaxTimestamp)
			f.end += int64(h.Records)
			object = append(object, b...)
		}
		s.Last, s.Length = f.end-1, int64(len(object))-s.Position
		w.view.mu.Lock()
		f.spans = append(f.spans, s)
		w.view.mu.Unlock()
		spans = append(spans, coordinator.CommitSpan{Partition: r.p, Span: s})
	}
	object = append(object, "some footer"...)
	if err := w.store.Put(w.t.Context(), id.Key(), object); err != nil {
		w.t.Fatal(err)
	}
	final := slices.Clone(object)
	for _, s := range spans {
		next := s.Span.Base
		for pos := s.Span.Position; pos < s.Span.Position+s.Span.Length; {
			h, _ := batch.ReadHeader(final[pos:])
			batch.SetBaseOffset(final[pos:], next)
			next, pos = next+int64(h.Records), pos+int64(h.Size())
		}
	}
	return spans, final
}

// segments writes n segments with one batch of about size bytes of part each.
func (w *world) segments(n, size int) {
	for i := range n {
		w.segment(run{part, [][]byte{records(w.t, batch.None, size, int64(i))}})
	}
}

// read reads and fails the test on an error.
func read(t testing.TB, x *index.Index, offset int64, maxBytes int) index.Chunk {
	t.Helper()
	chunk, err := x.Read(t.Context(), part, offset, maxBytes, true)
	if err != nil {
		t.Fatal(err)
	}
	return chunk
}

// offsets returns the first and the last offset of a chunk, and fails if they are not contiguous or
// a batch is not whole.
func offsets(t testing.TB, chunk index.Chunk) (first, last int64) {
	t.Helper()
	first, last = -1, -1
	for _, bytes := range chunk.Batches {
		for len(bytes) > 0 {
			h, err := batch.ReadHeader(bytes)
			if err == nil {
				_, err = batch.Check(bytes[:h.Size()])
			}
			if err != nil {
				t.Fatal(err)
			}
			if first < 0 {
				first, last = h.BaseOffset, h.BaseOffset-1
			}
			if h.BaseOffset != last+1 {
				t.Fatalf("offset %d comes after %d", h.BaseOffset, last)
			}
			last += int64(h.Records)
			bytes = bytes[h.Size():]
		}
	}
	return first, last
}

// metric returns the value of a metric of the index that was opened last: of all its labels, or of
// this one.
func (w *world) metric(name string, label ...string) (value float64) {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	known := false
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		known = true
		for _, m := range family.GetMetric() {
			if len(label) == 0 || m.GetLabel()[0].GetValue() == label[0] {
				value += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	if !known {
		w.t.Fatalf("there is no metric %s", name)
	}
	return value
}
