package index

import (
	"testing"
	"testing/synctest"
	"unsafe"

	"firn/coordinator"
	"firn/segments/batch"
)

// TestReadAhead: a sequential reader finds nearly all of its blocks on their way or in the cache, and adjacent blocks of a merged segment come
// with few gets.
func TestReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		runs := make([]run, 64)
		for i := range runs {
			runs[i] = run{part, [][]byte{records(t, batch.None, 256<<10, int64(i))}}
		}
		w.segment(runs...)
		x := w.open(func(o *Options) { o.CacheBytes = 64 << 20 })
		defer x.Close()
		waited := 0
		for at := int64(0); at < 64; at++ {
			before := w.store.count.Load()
			read(t, x, at, 256<<10)
			synctest.Wait() // what was begun ahead arrives before the next read, as it does for a reader with work to do
			if w.store.count.Load() > before && x.fetcher.cache.get(w.view.parts[part].spans[at]) == nil {
				waited++
			}
		}
		if n := w.store.count.Load(); n > 16 {
			t.Errorf("%d gets for 64 adjacent blocks", n)
		}
		if b := w.store.bytes.Load(); b > 64*(257<<10) {
			t.Errorf("%d bytes fetched: something was fetched twice", b)
		}
		if n := counter(t, x.metrics.fromStore); n > 2 {
			t.Errorf("%v of 64 reads waited for the bucket", n)
		}
	})
}

// TestReadAheadLeavesRoom: reading ahead takes no more than half of FetchBytes, and nothing for readers who jump about.
func TestReadAheadLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(40, 200<<10)
		x := w.open(func(o *Options) { o.FetchBytes = 4 << 20 })
		defer x.Close()
		for _, at := range []int64{30, 3, 17, 9} {
			read(t, x, at, 1)
		}
		synctest.Wait()
		if n := w.store.count.Load(); n != 4 {
			t.Errorf("%d gets for 4 reads here and there", n)
		}
		for at := int64(0); at < 40; at++ {
			read(t, x, at, 1)
			if ahead := x.fetcher.fetching.Load(); ahead > 2<<20 {
				t.Fatalf("%d bytes of gets ahead", ahead)
			}
		}
	})
}

// TestTailCostsNoGet: what Keep took is served from there, uncopied, and the oldest leaves first.
func TestTailCostsNoGet(t *testing.T) {
	w := newWorld(t)
	x := w.open(func(o *Options) { o.TailBytes = 5000 })
	var objects [][]byte
	for i := range 10 {
		spans, object := w.segment(run{part, [][]byte{records(t, batch.None, 1000, int64(i))}})
		x.Keep(spans, object)
		objects = append(objects, object)
	}
	if held := x.tail.held(); held > 5000 {
		t.Errorf("the tail holds %d bytes", held)
	}
	chunk := read(t, x, 9, 1000)
	if within := unsafe.SliceData(chunk.Batches[0]); within != &objects[9][11] {
		t.Error("the bytes were copied")
	}
	if n := w.store.count.Load(); n != 0 {
		t.Errorf("%d gets at the tail", n)
	}
	read(t, x, 0, 1)
	if n := w.store.count.Load(); n == 0 {
		t.Error("the oldest segment is still in the tail")
	}
	first, second := read(t, x, 0, 1), read(t, x, 0, 1)
	if unsafe.SliceData(first.Batches[0]) != unsafe.SliceData(second.Batches[0]) {
		t.Error("the bytes in the cache were copied")
	}
}

// TestKeptTwice: a segment whose commit was lost and made again is found under its new offsets, and never under the old.
func TestKeptTwice(t *testing.T) {
	w := newWorld(t)
	x := w.open(nil)
	spans, object := w.segment(run{part, [][]byte{records(t, batch.None, 100, 1)}})
	old := spans[0].Span
	old.Base, old.Last = 5, 5
	stale := append([]byte(nil), object...)
	batch.SetBaseOffset(stale[old.Position:], 5)
	x.Keep([]coordinator.CommitSpan{{Partition: part, Span: old}}, stale)
	if first, _ := offsets(t, read(t, x, 0, 100)); first != 0 {
		t.Errorf("offset %d", first)
	}
	x.Keep(spans, object)
	x.Keep(spans, object)
	if first, _ := offsets(t, read(t, x, 0, 100)); first != 0 {
		t.Errorf("offset %d", first)
	}
}

// TestKeepRefuses: a segment that does not match its spans is not kept.
func TestKeepRefuses(t *testing.T) {
	w := newWorld(t)
	x := w.open(nil)
	spans, object := w.segment(run{part, [][]byte{records(t, batch.None, 100, 1)}})
	for _, change := range []func(*coordinator.Span){
		func(s *coordinator.Span) { s.Base++ },
		func(s *coordinator.Span) { s.Length-- },
		func(s *coordinator.Span) { s.Length += 1000 },
		func(s *coordinator.Span) { s.Position = -1 },
		func(s *coordinator.Span) { s.Last++ },
	} {
		wrong := spans[0]
		change(&wrong.Span)
		x.Keep([]coordinator.CommitSpan{wrong}, object)
	}
	if x.tail.held() != 0 {
		t.Error("kept")
	}
}
