package index

import (
	"testing"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// blockOf makes a block of batches with so many records each, from offset base on.
func blockOf(t *testing.T, base int64, counts ...int) (coordinator.Span, *block) {
	t.Helper()
	span := coordinator.Span{Base: base, Last: base - 1}
	var bytes []byte
	for _, n := range counts {
		records := make([]batch.Record, n)
		for i := range records {
			records[i].Value = make([]byte, 10)
		}
		one, err := batch.Build(records, batch.NoProducer(batch.None))
		if err != nil {
			t.Fatal(err)
		}
		bytes = append(bytes, one...)
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

// TestEvictionOfTheOlderCopy: when a segment was kept twice, the newer one stays when the older one
// leaves.
func TestEvictionOfTheOlderCopy(t *testing.T) {
	span, b := blockOf(t, 0, 1)
	kept := []coordinator.CommitSpan{{Span: span}}
	tl := newTail(3 * (int64(len(b.bytes)) + 2*blockOverhead))
	for range 2 {
		if err := tl.keep(kept, b.bytes); err != nil {
			t.Fatal(err)
		}
	}
	tl.dropOldest()
	if tl.get(span) == nil {
		t.Error("the newer copy left with the older")
	}
}

// noSpans is a View of a log with nothing in it.
type noSpans struct{ View }

func (noSpans) Spans(segments.Partition, int64, int) []coordinator.Span { return nil }

// TestStreamsAreBounded: readers here and there leave no more behind than there are places.
func TestStreamsAreBounded(t *testing.T) {
	x, err := New(Options{Store: memory.New(), View: noSpans{}})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for i := range int64(3 * maxStreams) {
		x.ahead.note(segments.Partition{}, i+1, i+2, 1, false)
	}
	if n := len(x.ahead.streams); n > maxStreams {
		t.Errorf("%d streams", n)
	}
}

// TestStretch: one get reads what lies in a row in one segment, up to a bound.
func TestStretch(t *testing.T) {
	one, other := segments.ID{1}, segments.ID{2}
	span := func(id segments.ID, position, length int64) piece {
		return piece{Span: coordinator.Span{Segment: id, Position: position, Length: length}}
	}
	for name, c := range map[string]struct {
		spans  []piece
		n      int
		weight int64
	}{
		"one":           {[]piece{span(one, 5, 1<<20)}, 1, 1 << 20},
		"a small one":   {[]piece{span(one, 5, 10)}, 1, minGetWeight},
		"a row":         {[]piece{span(one, 5, 1<<20), span(one, 5+1<<20, 1<<20)}, 2, 4 << 20},
		"a gap":         {[]piece{span(one, 5, 10), span(one, 16, 10)}, 1, minGetWeight},
		"another":       {[]piece{span(one, 5, 10), span(other, 15, 10)}, 1, minGetWeight},
		"the wrong way": {[]piece{span(one, 15, 10), span(one, 5, 10)}, 1, minGetWeight},
		"too many":      {[]piece{span(one, 0, 3<<20), span(one, 3<<20, 1<<20), span(one, 4<<20, 1)}, 2, 8 << 20},
		"too large":     {[]piece{span(one, 0, 100<<20)}, 1, defaultFetchBytes},
	} {
		room := newGetLimit(defaultFetchBytes)
		n := spans.Join(c.spans, maxGetBytes)
		if got := room.weight(weight(c.spans[:n]), false); n != c.n || got != c.weight {
			t.Errorf("%s: %d spans of weight %d", name, n, got)
		}
		if got := room.weight(weight(c.spans[:n]), true); got != min(c.weight, defaultFetchBytes/2) {
			t.Errorf("%s: weight %d when it is old", name, got)
		}
	}
}
