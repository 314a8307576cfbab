package replay

import (
	"cmp"
	"context"
	"slices"
	"sort"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/segments"
)

const (
	// maxGapBytes is how much that nobody asked for one get may read, between pieces that were asked
	// for: less than another request costs.
	maxGapBytes = 128 << 10
	// maxFooters is how many merged segments are read at once. The index of each is in memory: 40
	// bytes for each 64 KiB.
	maxFooters = 16
	// lookAhead is how many spans of a partition are looked up at once.
	lookAhead = 256
)

// get is one request for pieces of one segment, of one partition or of many, in the order of their
// positions. Of a merged segment that is small the whole is asked for, and the pieces are known
// when it is there.
type get struct {
	segment          segments.ID
	position, length int64
	parts            []part
	whole            *coordinator.Span
}

// part is a piece and whose it is.
type part struct {
	at    int // index of the range
	piece spans.Piece
}

// planner says which gets read the ranges, in an order in which the pieces of each partition follow
// each other. A mixed segment that several partitions come to at the same time, and that is nearly
// every one, is read for all of them at once.
type planner struct {
	view     *coordinator.View
	topic    segments.TopicID
	getBytes int64
	cursors  []*cursor
	open     int // cursors whose head has its blocks
	turn     int

	// expand returns the spans that one stands for; blocks the index of a merged segment.
	expand func(context.Context, segments.Partition, *coordinator.Span) ([]coordinator.Span, error)
	blocks func(context.Context, *coordinator.Span) ([]segments.Block, error)
}

// cursor is how far one partition is planned.
type cursor struct {
	index     int // of the range
	partition segments.Partition
	next, end int64
	spans     []coordinator.Span // that come next
	blocks    []segments.Block   // of the first of them that are still to be read, if it is merged
	ended     bool
}

func newPlanner(view *coordinator.View, topic segments.TopicID, ranges []Range, getBytes int64) *planner {
	p := &planner{view: view, topic: topic, getBytes: getBytes}
	for i, r := range ranges {
		c := &cursor{index: i, partition: segments.Partition{Topic: topic, Index: r.Partition}, next: r.From, end: r.To}
		p.cursors = append(p.cursors, c)
	}
	return p
}

// head returns the span that a cursor is at; nil at its end.
func (p *planner) head(ctx context.Context, c *cursor) (*coordinator.Span, error) {
	for len(c.spans) == 0 && !c.ended {
		found := p.view.Spans(c.partition, c.next, lookAhead)
		if len(found) == 0 {
			c.ended = true
			break
		}
		for i := range found {
			span := &found[i]
			if span.Listed == 0 {
				c.spans = append(c.spans, *span)
				continue
			}
			if len(c.spans) > 0 {
				break // what is listed comes when it is needed
			}
			listed, err := p.expand(ctx, c.partition, span)
			if err != nil {
				return nil, err
			}
			first := sort.Search(len(listed), func(i int) bool { return listed[i].Last >= c.next })
			c.spans = append(c.spans, listed[first:]...)
			c.next = max(c.next, span.Base)
			if len(c.spans) == 0 { // it ends with a hole, in which the offset lies
				c.next = span.Last + 1
			}
			break
		}
	}
	if len(c.spans) == 0 || c.spans[0].Base >= c.end {
		c.ended, c.spans = true, nil
		return nil, nil
	}
	return &c.spans[0], nil
}

// pass leaves the head behind.
func (c *cursor) pass() {
	c.next = max(c.next, c.spans[0].Last+1)
	c.spans = c.spans[1:]
}

// gets returns the next few gets; none at the end.
func (p *planner) gets(ctx context.Context) ([]get, error) {
	var oldest segments.ID
	mixed := false
	merged := (*cursor)(nil)
	for i := range p.cursors {
		c := p.cursors[(p.turn+i)%len(p.cursors)]
		span, err := p.head(ctx, c)
		switch {
		case err != nil:
			return nil, err
		case span == nil:
		case span.Version > 0:
			if merged == nil && (c.blocks != nil || p.open < maxFooters) {
				merged = c
			}
		case !mixed || slices.Compare(span.Segment[:], oldest[:]) < 0:
			mixed, oldest = true, span.Segment
		}
	}
	switch {
	case merged != nil:
		p.turn = merged.index + 1
		g, err := p.merged(ctx, merged)
		return []get{g}, err
	case mixed:
		return p.mixed(ctx, oldest)
	}
	return nil, nil
}

// merged returns a get of the merged segment that a cursor is at.
func (p *planner) merged(ctx context.Context, c *cursor) (get, error) {
	span := c.spans[0]
	if c.blocks == nil && span.Length <= p.getBytes {
		c.pass()
		return get{segment: span.Segment, length: span.Position + span.Length, whole: &span, parts: []part{{at: c.index}}},
			nil
	}
	if c.blocks == nil {
		blocks, err := p.blocks(ctx, &span)
		if err != nil {
			return get{}, err
		}
		first := sort.Search(len(blocks), func(i int) bool { return blocks[i].LastOffset >= c.next })
		c.blocks = blocks[first:]
		c.blocks = c.blocks[:sort.Search(len(c.blocks), func(i int) bool { return c.blocks[i].BaseOffset >= c.end })]
		p.open++
	}
	g := get{segment: span.Segment}
	for len(c.blocks) > 0 && (len(g.parts) == 0 || g.length+int64(c.blocks[0].Length) <= p.getBytes) {
		b := &c.blocks[0]
		if len(g.parts) == 0 {
			g.position = b.Position
		}
		g.parts = append(g.parts, part{c.index, spans.PieceOf(&span, b)})
		g.length = b.Position + int64(b.Length) - g.position
		c.blocks = c.blocks[1:]
	}
	if len(c.blocks) == 0 {
		c.blocks = nil
		p.open--
		c.pass()
	}
	return g, nil
}

// mixed returns the gets of a mixed segment, for all cursors that are at it.
func (p *planner) mixed(ctx context.Context, id segments.ID) ([]get, error) {
	var parts []part
	for _, c := range p.cursors {
		for {
			span, err := p.head(ctx, c)
			if err != nil {
				return nil, err
			}
			if span == nil || span.Version > 0 || span.Segment != id {
				break
			}
			parts = append(parts, part{c.index, spans.Piece{Span: *span}})
			c.pass()
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.piece.Position, b.piece.Position) })
	var gets []get
	for _, one := range parts {
		end := one.piece.Position + one.piece.Length
		if n := len(gets); n > 0 {
			g := &gets[n-1]
			if one.piece.Position-(g.position+g.length) <= maxGapBytes && end-g.position <= p.getBytes {
				g.length = end - g.position
				g.parts = append(g.parts, one)
				continue
			}
		}
		gets = append(gets, get{segment: id, position: one.piece.Position, length: one.piece.Length, parts: []part{one}})
	}
	return gets, nil
}
