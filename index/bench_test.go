package index_test

import (
	"runtime"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/file"
)

// view makes a coordinator.View of spans of part.
func view(b *testing.B, spans []coordinator.Span) *coordinator.View {
	b.Helper()
	state := coordinator.NewState(1, "bench")
	facts := []coordinator.Fact{{Incarnation: 1, Topic: &coordinator.TopicFact{ID: part.Topic, Name: "t", Version: 1,
		Partitions: part.Index + 1}}}
	for _, span := range spans {
		facts = append(facts, coordinator.Fact{Incarnation: 1, Commit: &coordinator.Commit{
			Segment: span.Segment, Spans: []coordinator.CommitSpan{{Partition: part, Span: span}},
		}})
	}
	for i := range facts {
		if err := state.Apply(&facts[i]); err != nil {
			b.Fatal(err)
		}
	}
	return coordinator.NewView(state)
}

// scan reads part from end to end, again and again, 1 MiB at a time, and reports the bytes of each
// read.
func scan(b *testing.B, x *index.Index, end int64) {
	b.ReportAllocs()
	var bytes, at int64
	for b.Loop() {
		chunk, err := x.Read(b.Context(), part, at, 1<<20, true)
		if err != nil {
			b.Fatal(err)
		}
		for _, run := range chunk.Batches {
			bytes += int64(len(run))
			at += int64(len(run)) >> 18 // a record is a batch of 256 KiB here
		}
		if at >= end {
			at = 0
		}
	}
	b.SetBytes(bytes / int64(b.N))
}

// quarters writes n segments with one batch of 256 KiB each into a file store, and opens an index
// over them; those that are to be in the tail are kept.
func quarters(b *testing.B, n int, keep bool, change func(*index.Options)) *index.Index {
	w := newWorld(b)
	store, err := file.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	w.store.Store = store
	type kept struct {
		spans  []coordinator.CommitSpan
		object []byte
	}
	var all []kept
	for i := range n {
		spans, object := w.segment(run{part, [][]byte{records(b, batch.None, 256<<10, int64(i))}})
		all = append(all, kept{spans, object})
	}
	x := w.open(func(o *index.Options) {
		o.View, o.Store = view(b, w.view.parts[part].spans), store
		change(o)
	})
	for _, k := range all {
		if keep {
			x.Keep(k.spans, k.object)
		}
	}
	return x
}

func BenchmarkReadTail(b *testing.B) {
	scan(b, quarters(b, 64, true, func(*index.Options) {}), 64)
}

func BenchmarkReadCache(b *testing.B) {
	scan(b, quarters(b, 64, false, func(*index.Options) {}), 64)
}

// BenchmarkReadCold reads from files whose pages the system has in memory: it is the cost of the
// path, not of a disk.
func BenchmarkReadCold(b *testing.B) {
	scan(b, quarters(b, 64, false, func(o *index.Options) { o.CacheBytes = 8 << 20 }), 64)
}

// BenchmarkReadColdAlone is BenchmarkReadCold without reading ahead.
func BenchmarkReadColdAlone(b *testing.B) {
	scan(b, quarters(b, 64, false, func(o *index.Options) { o.CacheBytes, o.ReadAheadBytes = 8<<20, -1 }), 64)
}

// merged writes one merged segment of 64 MiB, in batches of 16 KiB, into a file store, and opens an
// index over it.
func merged(b *testing.B, change func(*index.Options)) (*index.Index, segments.Store, coordinator.Span) {
	w := newWorld(b)
	store, err := file.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	w.store.Store = store
	batches := make([][]byte, 4096)
	one := records(b, batch.None, 16<<10, 1)
	for i := range batches {
		batches[i] = placed(one, int64(i))
	}
	span := w.writeMerged(part, 1, batches...)
	w.partition(part).spans, w.partition(part).end = []coordinator.Span{span}, 4096
	return w.open(func(o *index.Options) {
		o.Store = store
		change(o)
	}), store, span
}

// BenchmarkReadMerged reads a merged segment from end to end, 1 MiB at a time, from files whose
// pages the system has in memory; and, to compare, the same bytes without index, checks and cache,
// in gets of the same size.
func BenchmarkReadMerged(b *testing.B) {
	b.Run("index", func(b *testing.B) {
		x, _, _ := merged(b, func(o *index.Options) { o.CacheBytes = 32 << 20 })
		b.ReportAllocs()
		var bytes, at int64
		for b.Loop() {
			chunk, err := x.Read(b.Context(), part, at, 1<<20, true)
			if err != nil {
				b.Fatal(err)
			}
			for _, run := range chunk.Batches {
				bytes += int64(len(run))
				at += int64(len(run)) >> 14
			}
			if at >= 4096 {
				at = 0
			}
		}
		b.SetBytes(bytes / int64(b.N))
	})
	b.Run("gets", func(b *testing.B) {
		_, store, span := merged(b, func(*index.Options) {})
		b.ReportAllocs()
		b.SetBytes(1 << 20)
		at := int64(0)
		for b.Loop() {
			if _, err := store.Get(b.Context(), span.Segment.Key(), at, 1<<20); err != nil {
				b.Fatal(err)
			}
			at = (at + 1<<20) % (64 << 20)
		}
	})
}

// BenchmarkSeekMerged reads a batch somewhere in a merged segment whose footer is at hand.
func BenchmarkSeekMerged(b *testing.B) {
	x, _, _ := merged(b, func(o *index.Options) { o.CacheBytes = -1 })
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		at = (at + 1777) % 4096
		if chunk, err := x.Read(b.Context(), part, at, 1, true); err != nil || len(chunk.Batches) != 1 {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadFooter reads the footer of a merged segment of 64 MiB.
func BenchmarkReadFooter(b *testing.B) {
	x, _, span := merged(b, func(o *index.Options) { o.FooterBytes = -1 })
	b.ReportAllocs()
	var size int64
	var blocks int
	for b.Loop() {
		var err error
		if size, blocks, err = x.ReadFooter(b.Context(), part, &span); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size), "bytes/footer")
	b.ReportMetric(float64(size)/float64(blocks), "bytes/block")
}

// BenchmarkSpanMemory says what the view holds for each span.
func BenchmarkSpanMemory(b *testing.B) {
	const n = 1_000_000
	spans := make([]coordinator.Span, n)
	for i := range spans {
		spans[i] = coordinator.Span{Segment: segments.ID{byte(i), byte(i >> 8), byte(i >> 16)}, Base: int64(i),
			Last: int64(i), Length: 100}
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		v := view(b, spans)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(v)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/span")
}

// million is a view of 1,000,000 spans of ten records each, of which the tail has each thousandth.
func million(b *testing.B) (*index.Index, int64) {
	const n = 1_000_000
	spans := make([]coordinator.Span, n)
	timestamps := make([]int64, 10)
	length := int64(len(records(b, batch.None, 100, timestamps...)))
	for i := range spans {
		base := int64(i) * 10
		spans[i] = coordinator.Span{
			Segment: segments.ID{byte(i), byte(i >> 8), byte(i >> 16)}, Base: base, Last: base + 9,
			Length: length, MaxTimestamp: base,
		}
	}
	w := newWorld(b)
	x := w.open(func(o *index.Options) { o.View = view(b, spans) })
	for i := 0; i < n; i += 1000 {
		for j := range timestamps {
			timestamps[j] = spans[i].Base
		}
		object := records(b, batch.None, 100, timestamps...)
		batch.SetBaseOffset(object, spans[i].Base)
		x.Keep([]coordinator.CommitSpan{{Partition: part, Span: spans[i]}}, object)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return x, n * 10
}

// BenchmarkLookupOffset reads a batch somewhere among a million spans.
func BenchmarkLookupOffset(b *testing.B) {
	x, end := million(b)
	at := int64(0)
	for b.Loop() {
		at = (at + 7_770_000) % end
		if chunk, err := x.Read(b.Context(), part, at, 1, true); err != nil || len(chunk.Batches) != 1 {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookupTime finds a record by time somewhere among a million spans.
func BenchmarkLookupTime(b *testing.B) {
	x, end := million(b)
	at := int64(0)
	for b.Loop() {
		at = (at + 7_770_000) % end
		if _, ok, err := x.ByTime(b.Context(), part, at-at%10_000); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
