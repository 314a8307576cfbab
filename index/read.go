package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/retry"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

const (
	// waveSpans is how many blocks one Read looks for at once, and so the most that it fetches in
	// parallel.
	waveSpans = 32
	// smallSpan is how small the spans are that the view is asked for at first, so that a small Read
	// asks for few.
	smallSpan = 4 << 10
	// maxLookups is how often a Read asks the view for its spans when their segments turn out to be
	// gone: a merge or a deletion takes the segment away a good while after the news of it has been
	// sent. From the second time on it waits for that news: until the view has caught up, vanishedWait
	// at least and catchUpWait at most.
	maxLookups   = 4
	vanishedWait = 100 * time.Millisecond
	catchUpWait  = 2 * time.Second
)

// Read returns whole batches from the one that holds offset on: as many as fit into maxBytes, and
// at least one if there is one and atLeastOne is set. At the high watermark it returns none. It
// does not wait for more: coordinator.View has Watch for that.
//
// A block that cannot be read ends the chunk; it is an error only if nothing comes before it. With
// ErrOffsetOutOfRange the chunk still says what the range is.
func (x *Index) Read(
	ctx context.Context,
	p segments.Partition,
	offset int64,
	maxBytes int,
	atLeastOne bool,
) (Chunk, error) {
	return x.ReadWithin(ctx, p, offset, Bounds{MaxBytes: maxBytes, AtLeastOne: atLeastOne})
}

// Bounds say how much to read, and from where.
type Bounds struct {
	MaxBytes   int
	AtLeastOne bool // give the first batch even if it is larger than MaxBytes
	Committed  bool // give batches below the last stable offset alone, and say which are of aborted transactions
	// InMemory leaves the bucket alone: the chunk ends before the first block that is not in memory,
	// and is then Missing something. Nothing is waited for.
	InMemory bool
	// Reserve, if there is one, is called before more than MaxBytes are taken into memory or given
	// out, with what is beyond. An error of it ends the read.
	Reserve func(ctx context.Context, bytes int64) error
}

// ReadWithin is Read within bounds.
func (x *Index) ReadWithin(ctx context.Context, p segments.Partition, offset int64, bounds Bounds) (Chunk, error) {
	for lookup := 1; ; lookup++ {
		chunk, err := x.read(ctx, p, offset, &bounds)
		if !errors.Is(err, segments.ErrNotFound) {
			return chunk, err
		}
		if err := x.vanished(ctx, lookup, err); err != nil {
			return chunk, err
		}
	}
}

// below returns the batches that begin below an offset.
func below(batches [][]byte, offset int64) [][]byte {
	for i, some := range batches {
		size := 0
		for h, err := range batch.All(some) {
			if err == nil && h.BaseOffset >= offset {
				return append(slices.Clone(batches[:i]), some[:size:size])
			}
			size += h.Size()
		}
	}
	return batches
}

// vanished deals with a segment that is gone: the view is asked again at once, and after that when
// it has had time to learn. After enough of that it returns an error: either the bucket has lost
// the segment, or this node hears nothing of the others.
func (x *Index) vanished(ctx context.Context, lookup int, gone error) error {
	x.metrics.vanished.Inc()
	if lookup == 1 {
		return ctx.Err()
	}
	caughtUp := error(nil)
	if x.catchUp != nil {
		limited, cancel := context.WithTimeout(ctx, catchUpWait)
		caughtUp = x.catchUp(limited)
		cancel()
	}
	if lookup < maxLookups {
		return retry.Pause(ctx, vanishedWait)
	}
	if caughtUp != nil {
		return fmt.Errorf(
			"%w; the segment may have been merged away, but this node could not learn of it: %w",
			gone,
			caughtUp,
		)
	}
	x.logger.Error("a segment that records are in is missing from the bucket", "error", gone)
	return fmt.Errorf("%w: the segment is missing from the bucket", gone)
}

// read is Read with one look at the view.
func (x *Index) read(ctx context.Context, p segments.Partition, offset int64, bounds *Bounds) (Chunk, error) {
	info, ok := x.view.Partition(p)
	if !ok {
		return Chunk{}, fmt.Errorf("partition %s: %w", p, coordinator.ErrUnknownPartition)
	}
	chunk := Chunk{HighWatermark: info.HighWatermark, LastStable: info.LastStable, LogStart: info.LogStart}
	if offset < info.LogStart || offset > info.HighWatermark {
		return chunk, outOfRange(p, offset, info)
	}
	limit := info.HighWatermark
	if bounds.Committed {
		limit = info.LastStable
	}
	r := reader{
		x:      x,
		p:      p,
		next:   offset,
		limit:  limit,
		left:   bounds.MaxBytes,
		force:  bounds.AtLeastOne,
		bounds: bounds,
	}
	for r.next < r.limit && (r.left > 0 || r.force) {
		more, err := r.wave(ctx)
		if err != nil && len(r.batches) == 0 {
			return chunk, err
		}
		if err != nil || !more {
			break
		}
	}
	// What expired while it was read is no hole: the log starts behind it now.
	if info, ok := x.view.Partition(p); ok && offset < info.LogStart {
		chunk.LogStart = info.LogStart
		return chunk, outOfRange(p, offset, info)
	}
	chunk.Batches, chunk.Missing = r.batches, r.missing
	if bounds.Committed {
		chunk.Batches = below(chunk.Batches, limit)
		chunk.Aborted = x.view.Aborted(p, offset, chunk.Next(offset))
	}
	if r.cold && len(r.batches) > 0 {
		x.ahead.note(p, offset, r.next, int64(bounds.MaxBytes-r.left), offset == info.LogStart)
	}
	return chunk, nil
}

func outOfRange(p segments.Partition, offset int64, has coordinator.PartitionInfo) error {
	return fmt.Errorf("%w: offset %d of partition %s, which has %d to %d", ErrOffsetOutOfRange, offset, p,
		has.LogStart, has.HighWatermark)
}

// reader is one Read on its way through the spans.
type reader struct {
	x       *Index
	p       segments.Partition
	next    int64 // offset that comes next
	limit   int64 // the high watermark when the Read began
	left    int   // bytes that still fit
	force   bool  // take one batch more even if it does not fit
	cold    bool  // a block was not in the tail
	missing bool  // the bucket has more, which is not in memory
	batches [][]byte

	bounds   *Bounds
	reserved int64 // beyond bounds.MaxBytes
}

// wave reads the next few pieces, those that are in the bucket in parallel. It says whether more
// might follow.
func (r *reader) wave(ctx context.Context) (more bool, err error) {
	var room [waveSpans]piece
	pieces, err := r.plan(ctx, room[:0:min(1+max(r.left, 0)/smallSpan, waveSpans)])
	if err != nil {
		return false, err
	}
	var found [waveSpans]*block
	var flights [waveSpans]*flight[*block]
	if r.find(pieces, found[:]) > 0 {
		if r.bounds.InMemory {
			r.missing = true
			pieces = pieces[:slices.Index(found[:len(pieces)], nil)]
		} else if err := r.reserve(ctx, pieces, found[:]); err != nil {
			return false, err
		} else if err := r.x.fetcher.start(ctx, r.p, pieces, found[:], flights[:]); err != nil && flights[0] == nil &&
			found[0] == nil {
			return false, err
		}
	}
	for i := range pieces {
		b := found[i]
		if b == nil {
			if b, err = arrive(ctx, flights[i]); err != nil {
				return false, err
			}
		}
		bytes, next := b.cut(r.next, r.limit, r.left, r.force)
		if len(bytes) == 0 {
			return false, nil
		}
		if err := r.reserveBytes(ctx, int64(len(bytes)-max(r.left, 0))); err != nil {
			return false, err
		}
		r.batches = append(r.batches, bytes)
		r.next, r.left, r.force = next, r.left-len(bytes), false
		if next <= pieces[i].Last {
			return false, nil
		}
	}
	return len(pieces) > 0 && !r.missing, nil
}

// reserve sees to it that there is room for the first block, if it has to be read whatever its
// size.
func (r *reader) reserve(ctx context.Context, pieces []piece, found []*block) error {
	if !r.force || found[0] != nil {
		return nil
	}
	return r.reserveBytes(ctx, pieces[0].Length-int64(max(r.left, 0)))
}

// reserveBytes has the caller reserve what it has not reserved of so many bytes beyond its bound.
func (r *reader) reserveBytes(ctx context.Context, beyond int64) error {
	if r.bounds.Reserve == nil || beyond <= r.reserved {
		return nil
	}
	if err := r.bounds.Reserve(ctx, beyond-r.reserved); err != nil {
		return err
	}
	r.reserved = beyond
	return nil
}

// plan returns the pieces that are needed to fill what is left, as far as there is room. It waits
// for the footer of a merged segment only if nothing can be read without it.
func (r *reader) plan(ctx context.Context, room []piece) ([]piece, error) {
	w := plan{next: r.next, limit: r.limit, left: int64(r.left), pieces: room}
	for w.next < w.limit {
		spans := r.x.view.Spans(r.p, w.next, cap(room))
		err := w.fill(spans, func(span *coordinator.Span) (*footer, error) {
			if len(w.pieces) > 0 || r.bounds.InMemory {
				f := r.x.footers.ready(r.p, span)
				r.missing = r.missing || f == nil && r.bounds.InMemory
				return f, nil
			}
			return r.x.footers.get(ctx, r.p, span)
		})
		if err != nil || len(w.pieces) > 0 || len(spans) == 0 || r.missing {
			return w.pieces, err
		}
		w.next = spans[len(spans)-1].Last + 1 // they end with a hole, in which the offset lies
	}
	return nil, nil
}

// find looks for the blocks of pieces in memory and returns how many are missing.
func (r *reader) find(pieces []piece, found []*block) (missing int) {
	x := r.x
	if len(pieces) > 0 && !isOld(pieces[0]) {
		x.fetcher.pace.atTail()
	}
	for i := range pieces {
		if found[i] = x.tail.get(pieces[i].Span); found[i] != nil {
			x.metrics.fromTail.Inc()
			continue
		}
		r.cold = true
		if found[i] = x.fetcher.cache.get(pieces[i]); found[i] != nil {
			x.metrics.fromCache.Inc()
			continue
		}
		x.metrics.fromStore.Inc()
		missing++
	}
	return missing
}

// arrive waits for something that is on its way. There is no flight if ctx ended before there was
// room for one.
func arrive[V any](ctx context.Context, fl *flight[V]) (value V, err error) {
	if fl == nil {
		return value, context.Cause(ctx)
	}
	select {
	case <-fl.done: // also when ctx has ended as well
		return fl.value, fl.err
	default:
	}
	select {
	case <-fl.done:
		return fl.value, fl.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}
