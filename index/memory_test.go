package index

import (
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments/batch"
)

// blockOf makes a block of batches with so many records each, from offset base on.
func blockOf(t *testing.T, base int64, counts ...int) (coordinator.Span, *block) {
	t.Helper()
	span := coordinator.Span{Base: base, Last: base - 1}
	var bytes []byte
	for _, n := range counts {
		bytes = append(bytes, records(t, batch.None, 10, make([]int64, n)...)...)
		span.Last += int64(n)
	}
	span.Length = int64(len(bytes))
	b, err := verify(piece{Span: span}, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return span, b
}

// TestCut looks at the edges of a block: offsets 10-12, 13, 14-18.
func TestCut(t *testing.T) {
	_, b := blockOf(t, 10, 3, 1, 5)
	first, second := b.end(0), b.end(1)-b.end(0)
	for _, c := range []struct {
		offset, limit int64
		maxBytes      int
		force         bool
		from, to      int // batches
	}{
		{10, 100, 1 << 20, false, 0, 3},
		{12, 100, 1 << 20, false, 0, 3},
		{13, 100, 1 << 20, false, 1, 3},
		{5, 100, 1 << 20, false, 0, 3},
		{19, 100, 1 << 20, true, 0, 0},
		{10, 19, 1 << 20, false, 0, 3},
		{10, 18, 1 << 20, false, 0, 2},
		{10, 13, 1 << 20, false, 0, 1},
		{10, 12, 1 << 20, true, 0, 0},
		{10, 100, first, false, 0, 1},
		{10, 100, first + second, false, 0, 2},
		{10, 100, first + second - 1, false, 0, 1},
		{10, 100, first - 1, false, 0, 0},
		{10, 100, first - 1, true, 0, 1},
		{10, 100, -5, true, 0, 1},
	} {
		bytes, next := b.cut(c.offset, c.limit, c.maxBytes, c.force)
		want, wantNext := []byte(nil), int64(0)
		if c.to > c.from {
			want, wantNext = b.bytes[b.starts[c.from]:b.end(c.to-1)], b.last(c.to-1)+1
		}
		if len(bytes) != len(want) || len(want) > 0 && &bytes[0] != &want[0] || next != wantNext {
			t.Errorf("%+v: %d bytes, next %d; want %d, %d", c, len(bytes), next, len(want), wantNext)
		}
	}
}

// TestCacheOrder: the block that nobody has asked for longest leaves first.
func TestCacheOrder(t *testing.T) {
	var spans []coordinator.Span
	var blocks []*block
	for i := range 4 {
		s, b := blockOf(t, int64(i), 1)
		spans, blocks = append(spans, s), append(blocks, b)
	}
	c := newCache[coordinator.Span, *block](3*blocks[0].size()+1, 0)
	for i := range 3 {
		c.put(spans[i], blocks[i], false)
	}
	c.get(spans[0])
	c.put(spans[3], blocks[3], false)
	for i, want := range []bool{true, false, true, true} {
		if got := c.get(spans[i]) != nil; got != want {
			t.Errorf("block %d: %v", i, got)
		}
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
		if b := x.fetcher.cache.get(piece{Span: span}); b == nil || cap(b.bytes) > 2*len(b.bytes) {
			t.Errorf("offset %d: no block of its own", span.Base)
		}
	}
}

// TestEvictionOfTheOlderCopy: when a segment was kept twice, the newer one stays when the older one
// leaves.
func TestEvictionOfTheOlderCopy(t *testing.T) {
	w := newWorld(t)
	spans, object := w.segment(run{part, [][]byte{records(t, batch.None, 1000, 1)}})
	tl := newTail(3 * (int64(len(object)) + 2*blockOverhead))
	keep := func() {
		t.Helper()
		if err := tl.keep(spans, object); err != nil {
			t.Fatal(err)
		}
	}
	keep()
	keep()
	tl.dropOldest()
	if tl.get(spans[0].Span) == nil {
		t.Error("the newer copy left with the older")
	}
}
