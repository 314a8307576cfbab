package index_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// placed returns a batch with its offset.
func placed(b []byte, base int64) []byte {
	b = slices.Clone(b)
	batch.SetBaseOffset(b, base)
	return b
}

// widened returns a batch whose last record was compacted away: it keeps the offset.
func widened(b []byte, by int32) []byte {
	b = slices.Clone(b)
	binary.BigEndian.PutUint32(b[posLastOffsetDelta:], uint32(int32(binary.BigEndian.Uint32(b[posLastOffsetDelta:]))+by))
	const posCRC, posCovered = 17, 21
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posCovered:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// writeMerged writes batches, which have their offsets, as a merged segment into the bucket, and
// returns the span that it is.
func (w *world) writeMerged(p segments.Partition, version uint64, batches ...[]byte) coordinator.Span {
	w.nth++
	var id segments.ID
	copy(id[:], fmt.Sprintf("%016d", w.nth))
	u, err := w.store.Create(w.t.Context(), id.Key())
	if err != nil {
		w.t.Fatal(err)
	}
	m := segments.NewMerged(u, id, p)
	for _, b := range batches {
		if err := m.Add(b); err != nil {
			w.t.Fatal(err)
		}
	}
	body, err := m.Finish()
	if err == nil {
		err = u.Commit()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return coordinator.Span{
		Segment: id, Base: body.BaseOffset, Last: body.LastOffset, Position: body.Position, Length: body.Length,
		MaxTimestamp: body.MaxTimestamp, Version: version,
	}
}

// replace puts spans in the place of those of part that lie in [base, last], and deletes the
// segments of these.
func (w *world) replace(base, last int64, spans ...coordinator.Span) {
	w.view.mu.Lock()
	f := w.view.parts[part]
	from := slices.IndexFunc(f.spans, func(s coordinator.Span) bool { return s.Base >= base })
	to := from
	for to < len(f.spans) && f.spans[to].Last <= last {
		to++
	}
	gone := slices.Clone(f.spans[from:to])
	f.spans = slices.Concat(f.spans[:from], spans, f.spans[to:])
	w.view.mu.Unlock()
	for _, s := range gone {
		if err := w.store.Delete(w.t.Context(), s.Segment.Key()); err != nil {
			w.t.Error(err)
		}
	}
}

// blocks returns n batches of one record each and about a third of a block, so that three are one,
// with offsets from 0 on and a step between them.
func blocks(t testing.TB, n int, step int64) [][]byte {
	var batches [][]byte
	for i := range int64(n) {
		batches = append(batches, placed(records(t, batch.None, 20_000, i), i*step))
	}
	return batches
}

// mergedWorld is a world in which part is one merged segment.
func mergedWorld(t testing.TB, batches ...[]byte) *world {
	w := newWorld(t)
	f := w.partition(part)
	f.spans = []coordinator.Span{w.writeMerged(part, 1, batches...)}
	f.end = f.spans[0].Last + 1
	return w
}

// TestMergedSegment reads from each offset of a merged segment, in holes as well, with reads of all
// sizes.
func TestMergedSegment(t *testing.T) {
	batches := blocks(t, 20, 3) // with holes of two
	batches[7] = placed(widened(batches[7], 1), 21)
	w := mergedWorld(t, batches...)
	x := w.open(nil)
	size := len(batches[0])
	for offset := range w.view.parts[part].end {
		first := slices.IndexFunc(batches, func(b []byte) bool {
			h, _ := batch.ReadHeader(b)
			return h.BaseOffset+int64(h.LastOffsetDelta) >= offset
		})
		for _, n := range []int{1, 3, 4, 100} {
			chunk := read(t, x, offset, n*size)
			want := bytes.Join(batches[first:min(first+n, len(batches))], nil)
			if got := bytes.Join(chunk.Batches, nil); !bytes.Equal(got, want) {
				t.Fatalf("offset %d, %d batches: %d bytes, not %d", offset, n, len(got), len(want))
			}
		}
	}
	if n := w.store.count.Load(); n > 12 {
		t.Errorf("%d gets for 7 blocks and a footer", n)
	}
}

// TestMergedSeek: a reader who wants one record fetches the footer and one block, and the next one
// in that segment a block alone.
func TestMergedSeek(t *testing.T) {
	w := mergedWorld(t, blocks(t, 300, 1)...)
	x := w.open(func(o *index.Options) { o.ReadAheadBytes = -1 })
	read(t, x, 150, 100)
	if n := w.store.count.Load(); n != 2 {
		t.Errorf("%d gets", n)
	}
	w.store.bytes.Store(0)
	read(t, x, 250, 100)
	if n, bytes := w.store.count.Load(), w.store.bytes.Load(); n != 3 || bytes > segments.BlockBytes {
		t.Errorf("%d gets, the last of %d bytes", n, bytes)
	}
	if _, ok, err := x.ByTime(t.Context(), part, 77); err != nil || !ok || w.store.count.Load() != 4 {
		t.Errorf("%v %v, %d gets", ok, err, w.store.count.Load())
	}
}

// TestMergedScan: one reader from end to end takes few gets, which join blocks.
func TestMergedScan(t *testing.T) {
	w := mergedWorld(t, blocks(t, 600, 1)...) // 12 MB
	x := w.open(nil)
	var got int64
	for at := int64(0); at < 600; {
		chunk := read(t, x, at, 1<<20)
		for _, b := range chunk.Batches {
			got += int64(len(b)) / 20_000
		}
		at = got
	}
	if n := w.store.count.Load(); n > 25 {
		t.Errorf("%d gets for 12 MB", n)
	}
}

// TestMergedHoleAtTheEnd: where the last records of a span were compacted away, readers go on
// behind it, however little they ask for.
func TestMergedHoleAtTheEnd(t *testing.T) {
	w := mergedWorld(t, blocks(t, 2, 1)...)
	f := w.view.parts[part]
	f.spans[0].Last = 5
	f.end = 6
	next := records(t, batch.None, 100, 7)
	w.segment(run{part, [][]byte{next}})
	x := w.open(nil)
	for offset := int64(2); offset <= 6; offset++ {
		chunk := read(t, x, offset, 1)
		if len(chunk.Batches) != 1 || !bytes.Equal(chunk.Batches[0], placed(next, 6)) {
			t.Errorf("offset %d: %d batches", offset, len(chunk.Batches))
		}
	}
}

// TestMergedCorrupt damages a merged segment in the bucket: its body, the offsets in it, its
// footer, its end.
func TestMergedCorrupt(t *testing.T) {
	for name, damage := range map[string]func(object []byte, span coordinator.Span) []byte{
		"a record": func(o []byte, s coordinator.Span) []byte { o[s.Position+100] ^= 1; return o },
		// 3 becomes 2
		"a base offset": func(o []byte, s coordinator.Span) []byte { o[s.Position+s.Length/3+7] ^= 1; return o },
		"the footer":    func(o []byte, s coordinator.Span) []byte { o[s.Position+s.Length+70] ^= 1; return o },
		"the trailer":   func(o []byte, _ coordinator.Span) []byte { o[len(o)-30] ^= 1; return o },
		"cut off":       func(o []byte, s coordinator.Span) []byte { return o[:s.Position+s.Length] },
		"another one":   func([]byte, coordinator.Span) []byte { return bytes.Repeat([]byte("x"), 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			w := mergedWorld(t, blocks(t, 3, 3)...)
			span := w.view.parts[part].spans[0]
			object, err := w.store.Get(t.Context(), span.Segment.Key(), 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.store.Delete(t.Context(), span.Segment.Key()); err != nil {
				t.Fatal(err)
			}
			if err := w.store.Put(t.Context(), span.Segment.Key(), damage(object, span)); err != nil {
				t.Fatal(err)
			}
			x := w.open(nil)
			for range 3 {
				if _, err := x.Read(t.Context(), part, 0, 100, true); !errors.Is(err, index.ErrCorrupt) ||
					!strings.Contains(err.Error(), span.Segment.String()) {
					t.Error("got", err)
				}
			}
			if n := w.store.count.Load(); n > 3 {
				t.Errorf("%d gets of what is known to be corrupt", n)
			}
			if n := w.metric("firn_index_corrupt_blocks_total"); n != 1 {
				t.Errorf("counted %v times", n)
			}
		})
	}
}

// TestVanishedUnderReader merges the spans that a reader has in hand, and deletes their segments,
// while its get is under way.
func TestVanishedUnderReader(t *testing.T) {
	w := newWorld(t)
	w.segments(3, 1000)
	w.store.entered, w.store.hold = make(chan struct{}, 10), make(chan struct{})
	x := w.open(nil)
	want := make([][]byte, 3)
	for i := range want {
		want[i] = placed(records(t, batch.None, 1000, int64(i)), int64(i))
	}
	type answer struct {
		chunk index.Chunk
		err   error
	}
	answers := make(chan answer)
	go func() {
		chunk, err := x.Read(t.Context(), part, 0, 1<<20, true)
		answers <- answer{chunk, err}
	}()
	<-w.store.entered
	w.replace(0, 2, w.writeMerged(part, 1, want...))
	close(w.store.hold)
	a := <-answers
	if got := bytes.Join(a.chunk.Batches, nil); a.err != nil || !bytes.Equal(got, bytes.Join(want, nil)) {
		t.Errorf("%d bytes, %v", len(got), a.err)
	}
}

// TestVanishedBeforeTheNews: the view of a node that is behind names segments that are gone. It is
// asked again once it has caught up.
func TestVanishedBeforeTheNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(3, 1000)
		f := w.view.parts[part]
		merged := w.writeMerged(part, 1, placed(records(t, batch.None, 1000, 2), 2))
		for _, s := range f.spans {
			if err := w.store.Delete(t.Context(), s.Segment.Key()); err != nil {
				t.Fatal(err)
			}
		}
		errCutOff := errors.New("cut off")
		behind := true
		x := w.open(func(o *index.Options) {
			o.CatchUp = func(ctx context.Context) error {
				if behind {
					<-ctx.Done()
					return errCutOff
				}
				w.replace(0, 2, merged)
				return nil
			}
		})
		began := time.Now()
		_, err := x.Read(t.Context(), part, 0, 100, true)
		if !errors.Is(err, segments.ErrNotFound) || !errors.Is(err, errCutOff) ||
			!strings.Contains(err.Error(), f.spans[0].Segment.String()) {
			t.Error("a node that is cut off:", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Error("it took", took)
		}
		behind = false
		chunk, err := x.Read(t.Context(), part, 0, 100, true)
		if err != nil || len(chunk.Batches) != 1 {
			t.Error("once it has caught up:", err)
		}
		if _, ok, err := x.ByTime(t.Context(), part, 1); !ok || err != nil {
			t.Error(ok, err)
		}
		x.Close()
	})
}

// TestLostSegment: a segment that the newest view names and the bucket does not have is an error
// that names it.
func TestLostSegment(t *testing.T) {
	w := mergedWorld(t, blocks(t, 3, 1)...)
	span := w.view.parts[part].spans[0]
	if err := w.store.Delete(t.Context(), span.Segment.Key()); err != nil {
		t.Fatal(err)
	}
	x := w.open(func(o *index.Options) { o.CatchUp = func(context.Context) error { return nil } })
	_, err := x.Read(t.Context(), part, 0, 100, true)
	if !errors.Is(err, segments.ErrNotFound) || !strings.Contains(err.Error(), "missing from the bucket") ||
		!strings.Contains(err.Error(), span.Segment.String()) {
		t.Error("got", err)
	}
}

// TestReadersWhileMerging: readers go through a partition again and again while its spans are
// merged, larger and larger, and the old segments deleted. Each sees every record once, in order.
func TestReadersWhileMerging(t *testing.T) {
	const n = 64
	w := newWorld(t)
	w.segments(n, 10_000)
	x := w.open(func(o *index.Options) {
		o.TailBytes, o.CacheBytes, o.FooterBytes = -1, 200_000, 2000
		o.CatchUp = func(context.Context) error { return nil }
	})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			for at := int64(0); ; {
				select {
				case <-done:
					return
				default:
				}
				chunk, err := x.Read(t.Context(), part, at, 15_000+20_000*r, true)
				if err != nil {
					t.Error(err)
					return
				}
				if first, last := offsets(t, chunk); first != at {
					t.Errorf("offset %d comes where %d is next", first, at)
					return
				} else if at = last + 1; at == n {
					at = 0
				}
			}
		})
	}
	version := uint64(0)
	for size := int64(2); size <= n; size *= 2 {
		for base := int64(0); base < n; base += size {
			var batches [][]byte
			for at := base; at < base+size; at++ {
				batches = append(batches, placed(records(t, batch.None, 10_000, at), at))
			}
			version++
			w.replace(base, base+size-1, w.writeMerged(part, version, batches...))
		}
	}
	close(done)
	readers.Wait()
}

// TestFootersAreBounded: the footers of many segments leave room for each other.
func TestFootersAreBounded(t *testing.T) {
	w := newWorld(t)
	f := w.partition(part)
	for i := range int64(10) {
		f.spans = append(f.spans, w.writeMerged(part, 1, placed(records(t, batch.None, 100, i), i)))
	}
	f.end = 10
	const limit = 3 * index.FooterOfOneBlock
	x := w.open(func(o *index.Options) { o.FooterBytes, o.CacheBytes = limit, -1 })
	for range 3 {
		for at := range int64(10) {
			read(t, x, at, 100)
			if held := w.metric("firn_index_footer_bytes"); held > float64(limit) || held == 0 {
				t.Fatalf("%v bytes of footers, the bound is %d", held, limit)
			}
		}
	}
	x.Close()
	if _, err := x.Read(t.Context(), part, 0, 100, true); !errors.Is(err, index.ErrClosed) {
		t.Error("after Close:", err)
	}
}

// TestReplayLeavesTheCacheAlone: readers of the tail find what they read before in the cache, after
// a replay of much more than the cache may hold; and a replay alone may use all of it.
func TestReplayLeavesTheCacheAlone(t *testing.T) {
	w := mergedWorld(t, blocks(t, 300, 1)...) // 6 MB
	w.segments(30, 20_000)                    // behind it, 600 kB of live data
	x := w.open(func(o *index.Options) { o.CacheBytes, o.ReadAheadBytes = 1<<20, -1 })
	scan := func(from, to int64) {
		for at := from; at < to; {
			_, last := offsets(t, read(t, x, at, 100_000))
			at = last + 1
		}
	}
	scan(0, 300)
	if held := w.metric("firn_index_cache_bytes"); held < 900_000 {
		t.Errorf("a replay alone has only %v bytes of the cache", held)
	}
	scan(300, 330)
	before := w.store.count.Load()
	scan(0, 300)
	if w.store.count.Load() == before {
		t.Error("the replay came from the cache")
	}
	before = w.store.count.Load()
	scan(300, 330)
	if gets := w.store.count.Load() - before; gets != 0 {
		t.Errorf("the replay cost readers of the tail %d gets", gets)
	}
}

// TestReplayLeavesRoomForLiveReaders: gets of old data that hang hold up no reader of live data.
func TestReplayLeavesRoomForLiveReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.partition(part)
		for _, b := range blocks(t, 20, 1) {
			f.spans = append(f.spans, w.writeMerged(part, 1, b))
		}
		f.end = 20
		w.segments(1, 20_000)
		hold := make(chan struct{})
		slow := &slowOld{gets: w.store, live: f.spans[20].Segment.Key(), hold: hold}
		x := w.open(func(o *index.Options) { o.Store, o.FetchBytes = slow, 1<<20 })
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for i := range int64(20) {
			readers.Go(func() { _, _ = x.Read(ctx, part, i, 100, true) })
		}
		synctest.Wait()
		if held := w.metric("firn_index_fetching_bytes"); held != 512<<10 {
			t.Errorf("the replay has taken %v bytes of room", held)
		}
		read(t, x, 20, 100)
		close(hold)
		cancel()
		readers.Wait()
		x.Close()
	})
}

// slowOld is a store whose gets wait, but for those of one object.
type slowOld struct {
	*gets
	live string
	hold chan struct{}
}

func (s *slowOld) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if key != s.live {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.gets.Get(ctx, key, offset, length)
}

// TestHistoryYields: gets of old blocks wait while the tail is in use, those of new ones never do.
func TestHistoryYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := mergedWorld(t, blocks(t, 30, 1)...)
		tail := segments.Partition{Topic: part.Topic, Index: part.Index + 1}
		w.segment(run{tail, [][]byte{records(t, batch.None, 1000, 1)}})
		x := w.open(func(o *index.Options) { o.ReadAheadBytes = -1 })
		defer x.Close()
		waited := func() float64 { return w.metric("firn_index_history_wait_seconds_total") }
		read(t, x, 0, 1)
		if waited() > 0 {
			t.Error("a get waited for nobody")
		}
		if _, err := x.Read(t.Context(), tail, 0, 1, true); err != nil {
			t.Fatal(err)
		}
		if waited() > 0 {
			t.Error("a get at the tail waited")
		}
		read(t, x, 15, 1)
		if waited() == 0 {
			t.Error("a get of history did not wait beside the tail")
		}
	})
}
