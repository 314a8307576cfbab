package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// archive puts an index object into the bucket for the from-th to the to-th span of part, and one
// span in their place.
func (w *world) archive(from, to int, version uint64) {
	w.nth++
	var id segments.ID
	copy(id[:], fmt.Sprintf("%016d", w.nth))
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	f := w.view.parts[part]
	listed, object := coordinator.EncodeIndex(part, id, f.spans[from:to])
	listed.Version = version
	if err := w.store.Put(w.t.Context(), coordinator.IndexKey(id), object); err != nil {
		w.t.Fatal(err)
	}
	f.spans = slices.Concat(f.spans[:from], []coordinator.Span{listed}, f.spans[to:])
}

// archivedWorld is a world in which part is merged segments of five batches with holes between
// them, three and three of them archived, two not, and a mixed one.
func archivedWorld(t testing.TB) (w *world, batches [][]byte) {
	batches = blocks(t, 40, 3)
	w = newWorld(t)
	f := w.partition(part)
	for i := range 8 {
		f.spans = append(f.spans, w.writeMerged(part, uint64(1+i), batches[5*i:5*i+5]...))
	}
	f.end = f.spans[7].Last + 1
	w.archive(0, 3, 9)
	w.archive(1, 4, 10)
	w.segment(run{part, [][]byte{records(t, batch.None, 20_000, 40)}})
	return w, append(batches, placed(records(t, batch.None, 20_000, 40), f.end-1))
}

// behind is the offset behind a chunk that has holes.
func behind(t testing.TB, chunk index.Chunk) int64 {
	t.Helper()
	all := bytes.Join(chunk.Batches, nil)
	next := int64(-1)
	for len(all) > 0 {
		h, err := batch.ReadHeader(all)
		if err != nil {
			t.Fatal(err)
		}
		if h.BaseOffset < next {
			t.Fatalf("offset %d comes after %d", h.BaseOffset, next)
		}
		next, all = h.BaseOffset+int64(h.LastOffsetDelta)+1, all[h.Size():]
	}
	return next
}

// Reads from every offset, of all sizes, give the same whether spans are archived or not, from a
// log start within an archived span, and from an index without a cache.
func TestArchivedRead(t *testing.T) {
	for name, change := range map[string]func(*index.Options){"cached": nil, "uncached": func(o *index.Options) {
		o.FooterBytes, o.CacheBytes = -1, -1
	}} {
		t.Run(name, func(t *testing.T) {
			w, batches := archivedWorld(t)
			x := w.open(change)
			size := len(batches[0])
			w.view.parts[part].logStart = 17
			for offset := int64(17); offset < w.view.parts[part].end; offset += 5 {
				first := slices.IndexFunc(batches, func(b []byte) bool {
					h, _ := batch.ReadHeader(b)
					return h.BaseOffset >= offset
				})
				for _, n := range []int{1, 4, 100} {
					var got []byte
					for next := offset; len(got) < min(n, len(batches)-first)*size; {
						chunk := read(t, x, next, n*size-len(got))
						if len(chunk.Batches) == 0 {
							t.Fatalf("offset %d, %d batches: nothing at %d", offset, n, next)
						}
						got = append(got, bytes.Join(chunk.Batches, nil)...)
						next = behind(t, chunk)
					}
					if want := bytes.Join(batches[first:min(first+n, len(batches))], nil); !bytes.Equal(got, want) {
						t.Fatalf("offset %d, %d batches: %d bytes, not %d", offset, n, len(got), len(want))
					}
				}
			}
		})
	}
}

// A record is found by time as if nothing was archived, with few gets.
func TestArchivedByTime(t *testing.T) {
	w, batches := archivedWorld(t)
	x := w.open(nil)
	for _, start := range []int64{0, 20, 50} {
		w.view.parts[part].logStart = start
		for ts := range int64(len(batches) + 1) {
			want := max(ts, (start+2)/3)
			found, ok, err := x.ByTime(t.Context(), part, ts)
			if err != nil || ok != (want < int64(len(batches))) || ok && found.Timestamp != want {
				t.Fatalf("from %d, time %d: %+v, %v, %v", start, ts, found, ok, err)
			}
		}
	}
	// The largest timestamp lies in an archived span; and, when the log start is behind it, in the
	// next.
	w, _ = archivedWorld(t)
	f := w.view.parts[part]
	f.end, f.spans = f.spans[1].Last+1, f.spans[:2]
	x = w.open(nil)
	for start, want := range map[int64]int64{0: 29, 10: 29, 85: 29} {
		f.logStart = start
		if found, ok, err := x.MaxTimestamp(t.Context(), part); err != nil || !ok || found.Timestamp != want {
			t.Errorf("from %d: the largest timestamp is in %+v, %v, %v", start, found, ok, err)
		}
	}
}

// A replay of archived spans reads each index object once.
func TestArchivedScan(t *testing.T) {
	w, batches := archivedWorld(t)
	x := w.open(nil)
	n := 0
	for offset := int64(0); offset < w.view.parts[part].end; {
		chunk := read(t, x, offset, 50_000)
		for _, b := range chunk.Batches {
			n += len(b)
		}
		offset = behind(t, chunk)
	}
	if want := len(bytes.Join(batches, nil)); n != want {
		t.Errorf("%d bytes read, not %d", n, want)
	}
	if gets := w.store.count.Load(); gets > 2+8+2*9 {
		t.Errorf("%d gets for 2 index objects, 8 footers and 17 blocks", gets)
	}
}

// An index object that is gone is looked up again, like a segment; one that is not what the view
// says of it is corrupt.
func TestArchivedVanished(t *testing.T) {
	w, batches := archivedWorld(t)
	f := w.view.parts[part]
	listed := f.spans[0]
	inner, err := coordinator.ReadIndex(t.Context(), w.store, part, &listed)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(t.Context(), coordinator.IndexKey(listed.Segment)); err != nil {
		t.Fatal(err)
	}
	x := w.open(func(o *index.Options) {
		o.CatchUp = func(context.Context) error { return nil }
	})
	w.view.onAsk = func(n int) {
		if n == 2 { // by then there is something else in its place
			w.view.mu.Lock()
			f.spans = slices.Concat(inner, f.spans[1:])
			w.view.mu.Unlock()
		}
	}
	if chunk := read(t, x, 0, len(batches[0])); !bytes.Equal(chunk.Batches[0], batches[0]) {
		t.Error("another batch than before")
	}
	w.view.onAsk = nil
	f.spans = slices.Concat([]coordinator.Span{listed}, f.spans[3:])
	if _, err := x.Read(t.Context(), part, 0, 1, true); !errors.Is(err, segments.ErrNotFound) {
		t.Errorf("reading what an index object has that is gone: %v", err)
	}
	f.spans[1].MaxTimestamp++
	if _, err := x.Read(t.Context(), part, f.spans[1].Base, 1, true); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("reading by an index object that does not add up: %v", err)
	}
}
