package index

import (
	"context"
	"sort"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/segments"
)

// piece is what is read, checked and cached at once.
type piece = spans.Piece

// oldAge is how long after its segment was sealed a piece counts as old. A reader of old pieces is
// no reader of the tail, and may wait for those who are.
const oldAge = time.Minute

// isOld says whether a piece is read for a replay, or by somebody who is far behind.
func isOld(p piece) bool { return p.Merged() || time.Since(p.Segment.Time()) > oldAge }

// plan is the pieces that are needed to read so many bytes from an offset on.
type plan struct {
	next   int64 // offset
	limit  int64 // offset at which there is nothing more
	left   int64 // bytes
	pieces []piece
	short  bool // it ends where a footer was not at hand
}

// full says whether no more pieces are needed, or there is no room for more.
func (w *plan) full() bool {
	return len(w.pieces) == cap(w.pieces) || len(w.pieces) > 0 && w.left <= 0
}

func (w *plan) add(p piece) {
	if p.Base >= w.next { // of the first, only a part may count
		w.left -= p.Length
	}
	w.pieces = append(w.pieces, p)
}

// addMerged adds the blocks of a merged segment from the one on that holds the offset, or the first
// behind it.
func (w *plan) addMerged(span *coordinator.Span, f *footer) {
	blocks := f.blocks[sort.Search(len(f.blocks), func(i int) bool { return f.blocks[i].LastOffset >= w.next }):]
	for i := range blocks {
		if w.full() {
			return
		}
		w.add(spans.PieceOf(span, &blocks[i]))
	}
}

// fill adds the pieces of spans, and of those that spans stand for. load finds the footer of a
// merged segment, or what an index object lists; where it has none, or fails, the plan ends.
func (w *plan) fill(spans []coordinator.Span, load func(*coordinator.Span) (*footer, error)) error {
	for i := range spans {
		span := &spans[i]
		switch {
		case w.full() || span.Base >= w.limit:
			return nil
		case span.Version == 0:
			w.add(piece{Span: *span})
		default:
			f, err := load(span)
			if f == nil {
				w.short = true
				return err
			}
			if span.Listed == 0 {
				w.addMerged(span, f)
			} else if err := w.fill(f.from(w.next), load); err != nil || w.short {
				return err
			}
		}
	}
	return nil
}

// resolve returns the spans that one stands for, or itself.
func (x *Index) resolve(ctx context.Context, p segments.Partition, span *coordinator.Span) ([]coordinator.Span, error) {
	if span.Listed == 0 {
		return []coordinator.Span{*span}, nil
	}
	f, err := x.footers.get(ctx, p, span)
	if err != nil {
		return nil, err
	}
	return f.spans, nil
}

// pieces returns all pieces of one span, which stands for no others.
func (x *Index) pieces(ctx context.Context, p segments.Partition, span *coordinator.Span) ([]piece, error) {
	if span.Version == 0 {
		return []piece{{Span: *span}}, nil
	}
	f, err := x.footers.get(ctx, p, span)
	if err != nil {
		return nil, err
	}
	pieces := make([]piece, len(f.blocks))
	for i := range f.blocks {
		pieces[i] = spans.PieceOf(span, &f.blocks[i])
	}
	return pieces, nil
}
