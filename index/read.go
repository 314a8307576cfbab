package index

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firn/coordinator"
	"firn/segments"
)

const (
	// waveSpans is how many blocks one Read looks for at once, and so the most that it fetches in parallel.
	waveSpans = 32
	// smallSpan is how small the spans are that the view is asked for at first, so that a small Read asks for few.
	smallSpan = 4 << 10
	// maxLookups is how often a Read asks the view for its spans when their segments turn out to be gone: a merge or a deletion takes the
	// segment away a little after the news of it has been sent. From the second time on it waits vanishedWait for that news.
	maxLookups   = 3
	vanishedWait = 100 * time.Millisecond
)

// Read returns whole batches from the one that holds offset on: as many as fit into maxBytes, and at least one if there is one and
// atLeastOne is set. At the high watermark it returns none. It does not wait for more: coordinator.View has Watch for that.
//
// A block that cannot be read ends the chunk; it is an error only if nothing comes before it. With ErrOffsetOutOfRange the chunk still says
// what the range is.
func (x *Index) Read(ctx context.Context, p segments.Partition, offset int64, maxBytes int, atLeastOne bool) (Chunk, error) {
	for lookup := 1; ; lookup++ {
		chunk, err := x.read(ctx, p, offset, maxBytes, atLeastOne)
		if lookup == maxLookups || !errors.Is(err, segments.ErrNotFound) {
			return chunk, err
		}
		if err := x.vanished(ctx, lookup); err != nil {
			return chunk, err
		}
	}
}

// vanished deals with a segment that is gone: the view is asked again at once, and after that when it has had time to learn.
func (x *Index) vanished(ctx context.Context, lookup int) error {
	x.metrics.vanished.Inc()
	if lookup == 1 {
		return ctx.Err()
	}
	return wait(ctx, vanishedWait)
}

// read is Read with one look at the view.
func (x *Index) read(ctx context.Context, p segments.Partition, offset int64, maxBytes int, atLeastOne bool) (Chunk, error) {
	info, ok := x.view.Partition(p)
	if !ok {
		return Chunk{}, fmt.Errorf("partition %s: %w", p, coordinator.ErrUnknownPartition)
	}
	chunk := Chunk{HighWatermark: info.HighWatermark, LogStart: info.LogStart}
	if offset < info.LogStart || offset > info.HighWatermark {
		return chunk, fmt.Errorf("%w: offset %d of partition %s, which has %d to %d", ErrOffsetOutOfRange, offset, p, info.LogStart, info.HighWatermark)
	}
	r := reader{x: x, p: p, next: offset, limit: info.HighWatermark, left: maxBytes, force: atLeastOne}
	for r.next < r.limit && (r.left > 0 || r.force) {
		more, err := r.wave(ctx)
		if err != nil && len(r.batches) == 0 {
			return chunk, err
		}
		if err != nil || !more {
			break
		}
	}
	chunk.Batches = r.batches
	if r.cold && len(r.batches) > 0 {
		x.ahead.note(p, offset, r.next, int64(maxBytes-r.left), offset == info.LogStart)
	}
	return chunk, nil
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
	batches [][]byte
}

// wave reads the next few spans, those that are in the bucket in parallel. It says whether more might follow.
func (r *reader) wave(ctx context.Context) (more bool, err error) {
	spans := r.plan(r.x.view.Spans(r.p, r.next, min(1+max(r.left, 0)/smallSpan, waveSpans)))
	var found [waveSpans]*block
	var flights [waveSpans]*flight
	if r.find(spans, found[:]) > 0 {
		if err := r.x.fetcher.start(ctx, r.p, spans, found[:], flights[:]); err != nil && flights[0] == nil && found[0] == nil {
			return false, err
		}
	}
	for i, span := range spans {
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
		r.batches = append(r.batches, bytes)
		r.next, r.left, r.force = next, r.left-len(bytes), false
		if next <= span.Last {
			return false, nil
		}
	}
	return len(spans) > 0, nil
}

// plan cuts spans down to those that are needed to fill what is left.
func (r *reader) plan(spans []coordinator.Span) []coordinator.Span {
	left := int64(r.left)
	for i, s := range spans {
		if i > 0 && left <= 0 || s.Base >= r.limit {
			return spans[:i]
		}
		if s.Base >= r.next { // of the first span, only a part may count
			left -= s.Length
		}
	}
	return spans[:min(len(spans), waveSpans)]
}

// find looks for the blocks of spans in memory and returns how many are missing.
func (r *reader) find(spans []coordinator.Span, found []*block) (missing int) {
	x := r.x
	for i, span := range spans {
		if found[i] = x.tail.get(span); found[i] != nil {
			x.metrics.fromTail.Inc()
			continue
		}
		r.cold = true
		if found[i] = x.fetcher.cache.get(span); found[i] != nil {
			x.metrics.fromCache.Inc()
			continue
		}
		x.metrics.fromStore.Inc()
		missing++
	}
	return missing
}

// arrive waits for a block that is on its way. There is no flight if ctx ended before there was room for one.
func arrive(ctx context.Context, fl *flight) (*block, error) {
	if fl == nil {
		return nil, context.Cause(ctx)
	}
	select {
	case <-fl.done:
		return fl.block, fl.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
