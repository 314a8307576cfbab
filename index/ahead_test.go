package index_test

import (
	"testing"
	"testing/synctest"
	"unsafe"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments/batch"
)

// TestReadAhead: a sequential reader finds nearly all of its blocks on their way or in the cache,
// and adjacent blocks of a merged segment come with few gets.
func TestReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		runs := make([]run, 64)
		for i := range runs {
			runs[i] = run{part, [][]byte{records(t, batch.None, 256<<10, int64(i))}}
		}
		w.segment(runs...)
		x := w.open(func(o *index.Options) { o.CacheBytes = 64 << 20 })
		defer x.Close()
		for at := range int64(64) {
			read(t, x, at, 256<<10)
			w.ahead(x, at+1)
			synctest.Wait() // what was begun ahead arrives before the next read, as it does for a reader with work to do
		}
		if n := w.store.count.Load(); n > 16 {
			t.Errorf("%d gets for 64 adjacent blocks", n)
		}
		if b := w.store.bytes.Load(); b > 64*(257<<10) {
			t.Errorf("%d bytes fetched: something was fetched twice", b)
		}
		if n := w.metric("firn_index_reads_total", "store"); n > 2 {
			t.Errorf("%v of 64 reads waited for the bucket", n)
		}
	})
}

// TestReadAheadLeavesRoom: reading ahead takes no more than half of FetchBytes, and nothing for
// readers who jump about.
func TestReadAheadLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(40, 200<<10)
		x := w.open(func(o *index.Options) { o.FetchBytes = 4 << 20 })
		defer x.Close()
		for _, at := range []int64{30, 3, 17, 9} {
			read(t, x, at, 1)
		}
		synctest.Wait()
		if n := w.store.count.Load(); n != 4 {
			t.Errorf("%d gets for 4 reads here and there", n)
		}
		for at := range int64(40) {
			read(t, x, at, 1)
			if bytes := w.metric("firn_index_fetching_bytes"); bytes > 2<<20 {
				t.Fatalf("%v bytes of gets ahead", bytes)
			}
			w.ahead(x, at+1)
		}
	})
}

// TestReadAheadFromTheMiddle: a reader that begins anywhere is known for a sequential one by its
// second read.
func TestReadAheadFromTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(40, 100<<10)
		x := w.open(nil)
		defer x.Close()
		for at := int64(20); at < 30; at++ {
			read(t, x, at, 1)
			if at > 20 {
				w.ahead(x, at+1)
			}
		}
		synctest.Wait()
		if x.Cached(w.view.parts[part].spans[30]) == nil {
			t.Error("nothing was read ahead")
		}
		if x.Cached(w.view.parts[part].spans[19]) != nil {
			t.Error("read ahead of where nobody is")
		}
	})
}

// TestReadAheadWithoutRoom: what there was no room for is fetched ahead once there is.
func TestReadAheadWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(40, 100<<10)
		x := w.open(func(o *index.Options) { o.FetchBytes = 4 << 20 })
		defer x.Close()
		giveBack := x.TakeRoomAhead()
		for at := range int64(20) {
			if at == 10 {
				giveBack()
			}
			read(t, x, at, 1)
			w.ahead(x, at+1)
			synctest.Wait()
		}
		if w.metric("firn_index_readahead_skipped_total") == 0 {
			t.Error("there was room for all")
		}
		if x.Cached(w.view.parts[part].spans[22]) == nil {
			t.Error("nothing was read ahead once there was room")
		}
	})
}

// ahead fails the test unless the stream that is expected at offset next knows what was fetched
// ahead of it: the bytes from there to its end, all of which are in the cache or on their way.
func (w *world) ahead(x *index.Index, next int64) {
	w.t.Helper()
	until, counted, ok := x.Ahead(part, next)
	if !ok || until < next {
		w.t.Fatalf("at offset %d: %v, fetched ahead to %d", next, ok, until)
	}
	var bytes int64
	for _, span := range w.view.Spans(part, next, 1000) {
		if span.Last >= until {
			break
		}
		bytes += span.Length
		// in this order: what arrives in between is in the cache
		if !x.Fetching(span) && x.Cached(span) == nil {
			w.t.Errorf("at offset %d: %d was not fetched", next, span.Base)
		}
	}
	if counted != bytes {
		w.t.Errorf("at offset %d: %d bytes ahead, and %d by its own count", next, bytes, counted)
	}
}

// TestBlocksOfOneGetStandAlone: one block in the cache does not keep the memory of others that came
// with it.
func TestBlocksOfOneGetStandAlone(t *testing.T) {
	w := newWorld(t)
	runs := make([]run, 8)
	for i := range runs {
		runs[i] = run{part, [][]byte{records(t, batch.None, 5000, 1)}}
	}
	w.segment(runs...)
	x := w.open(nil)
	read(t, x, 0, 1<<20)
	for _, span := range w.view.parts[part].spans {
		if b := x.Cached(span); b == nil || cap(b) > 2*len(b) {
			t.Errorf("offset %d: no block of its own", span.Base)
		}
	}
}

// TestTailCostsNoGet: what Keep took is served from there, uncopied, and the oldest leaves first.
func TestTailCostsNoGet(t *testing.T) {
	w := newWorld(t)
	x := w.open(func(o *index.Options) { o.TailBytes = 5000 })
	var objects [][]byte
	for i := range 10 {
		spans, object := w.segment(run{part, [][]byte{records(t, batch.None, 1000, int64(i))}})
		x.Keep(spans, object)
		objects = append(objects, object)
	}
	if held := w.metric("firn_index_tail_bytes"); held > 5000 {
		t.Errorf("the tail holds %v bytes", held)
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

// TestKeptTwice: a segment whose commit was lost and made again is found under its new offsets, and
// never under the old.
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
	if w.metric("firn_index_tail_bytes") != 0 {
		t.Error("kept")
	}
}
