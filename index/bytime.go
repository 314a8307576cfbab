package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// maxTimeBlocks bounds the blocks that one search reads. One is enough, unless headers promise a
// timestamp which none of the batch's records has, the log start lies within the block, or a batch
// cannot be read. Batches have been looked into before they were taken since this version: only
// older ones do that.
const maxTimeBlocks = 64

// ByTime returns the first record with this timestamp or a later one, as Kafka's ListOffsets does;
// false if there is none. Records below the log start do not count, nor do those of batches that
// cannot be decompressed, which no consumer could read either. If too many blocks do not have what
// they promise, the answer is the first place that was not searched: no record before it has the
// timestamp.
func (x *Index) ByTime(ctx context.Context, p segments.Partition, timestamp int64) (Position, bool, error) {
	return x.search(ctx, p, func() (Position, bool, error) { return x.byTime(ctx, p, timestamp) })
}

// MaxTimestamp returns the record with the largest timestamp, the first of several; false if the
// partition is empty. Records below the log start do not count, nor do those of batches that cannot
// be decompressed. If too many blocks do not have what they promise, it is the largest of those
// that were searched.
func (x *Index) MaxTimestamp(ctx context.Context, p segments.Partition) (Position, bool, error) {
	return x.search(ctx, p, func() (Position, bool, error) { return x.maxTimestamp(ctx, p) })
}

// search repeats a search whose segments turn out to be gone.
func (x *Index) search(ctx context.Context, p segments.Partition,
	once func() (Position, bool, error)) (Position, bool, error) {
	for lookup := 1; ; lookup++ {
		if _, ok := x.view.Partition(p); !ok {
			return Position{}, false, fmt.Errorf("partition %s: %w", p, coordinator.ErrUnknownPartition)
		}
		found, ok, err := once()
		if !errors.Is(err, segments.ErrNotFound) {
			return found, ok, err
		}
		if err := x.vanished(ctx, lookup, err); err != nil {
			return Position{}, false, err
		}
	}
}

func (x *Index) byTime(ctx context.Context, p segments.Partition, timestamp int64) (Position, bool, error) {
	info, _ := x.view.Partition(p)
	s := timeSearch{x: x, p: p, offset: info.LogStart}
	span, ok := x.view.SpanByTime(p, timestamp)
	for ok {
		found, some, err := s.firstInSpan(ctx, &span, timestamp)
		if some || err != nil {
			return found, some, err
		}
		span, ok = x.spanBehind(ctx, p, span.Last+1, timestamp)
	}
	return Position{}, false, ctx.Err()
}

// timeSearch is a search for a record by time, from an offset on.
type timeSearch struct {
	x      *Index
	p      segments.Partition
	offset int64
	read   int // blocks
}

// searchBytes bounds the blocks that all searches have before them at once.
const searchBytes = 64 << 20

// block reads the block of one piece, once there is room for it among those of other searches. When
// there is no error, the search has to release the block.
func (s *timeSearch) block(ctx context.Context, at *piece) (*block, error) {
	s.read++
	if err := s.x.searched.Acquire(ctx, min(at.Length, searchBytes)); err != nil {
		return nil, err
	}
	b, err := s.x.block(ctx, s.p, *at)
	if err != nil {
		s.release(at)
	}
	return b, err
}

// release says that the search is done with the block of a piece.
func (s *timeSearch) release(at *piece) { s.x.searched.Release(min(at.Length, searchBytes)) }

// tired says whether the search has read as many blocks as it may.
func (s *timeSearch) tired() bool { return s.read >= maxTimeBlocks }

// spanBehind returns the first span from offset on that says it has a record with this timestamp or
// a later one.
func (x *Index) spanBehind(ctx context.Context, p segments.Partition, offset,
	timestamp int64) (coordinator.Span, bool) {
	for ctx.Err() == nil {
		spans := x.view.Spans(p, offset, waveSpans)
		for _, span := range spans {
			if span.MaxTimestamp >= timestamp {
				return span, true
			}
		}
		if len(spans) == 0 {
			break
		}
		offset = spans[len(spans)-1].Last + 1
	}
	return coordinator.Span{}, false
}

// firstInSpan returns the first record of a span, or of those that it stands for, with this
// timestamp or a later one.
func (s *timeSearch) firstInSpan(ctx context.Context, span *coordinator.Span, timestamp int64) (Position, bool, error) {
	spans, err := s.x.resolve(ctx, s.p, span)
	if err != nil {
		return Position{}, false, err
	}
	for i := range spans {
		if spans[i].Last < s.offset || spans[i].MaxTimestamp < timestamp {
			continue
		}
		if found, ok, err := s.firstInBytes(ctx, &spans[i], timestamp); ok || err != nil {
			return found, ok, err
		}
	}
	return Position{}, false, nil
}

// firstInBytes is firstInSpan for a span that stands for no others.
func (s *timeSearch) firstInBytes(ctx context.Context, span *coordinator.Span,
	timestamp int64) (Position, bool, error) {
	pieces, err := s.x.pieces(ctx, s.p, span)
	if err != nil {
		return Position{}, false, err
	}
	for i := range pieces {
		at := &pieces[i]
		if at.Last < s.offset || at.MaxTimestamp < timestamp {
			continue
		}
		if s.tired() {
			return Position{max(at.Base, s.offset), timestamp}, true, nil
		}
		if found, ok, err := s.firstInBlock(ctx, at, timestamp); ok || err != nil {
			return found, ok, err
		}
	}
	return Position{}, false, nil
}

func (s *timeSearch) firstInBlock(ctx context.Context, at *piece, timestamp int64) (Position, bool, error) {
	b, err := s.block(ctx, at)
	if err != nil {
		return Position{}, false, err
	}
	defer s.release(at)
	for i := range b.starts {
		if b.last(i) < s.offset {
			continue
		}
		if found, ok := firstInBatch(b.batch(i), s.offset, timestamp); ok {
			return found, true, nil
		}
	}
	return Position{}, false, nil
}

// firstInBatch returns the first record of a batch, from offset on, with this timestamp or a later
// one. It decompresses only if the header says that there may be one, and no further than to it. A
// batch that cannot be read has none.
func firstInBatch(b []byte, offset, timestamp int64) (found Position, ok bool) {
	h, err := batch.ReadHeader(b)
	// compaction keeps a batch without records now and then
	if err != nil || h.MaxTimestamp < timestamp || h.Records == 0 {
		return Position{}, false
	}
	if h.Attributes.LogAppendTime() { // then all records have the one timestamp
		return Position{max(h.BaseOffset, offset), h.MaxTimestamp}, true
	}
	_ = batch.Scan(b, batch.MaxDecompressed, func(r batch.Scanned) bool {
		if ok = r.Offset >= offset && r.Timestamp >= timestamp; ok {
			found = Position{r.Offset, r.Timestamp}
		}
		return !ok
	})
	return found, ok
}

func (x *Index) maxTimestamp(ctx context.Context, p segments.Partition) (Position, bool, error) {
	info, _ := x.view.Partition(p)
	span, ok := x.view.SpanOfMaxTimestamp(p)
	if !ok {
		return Position{}, false, nil
	}
	s := timeSearch{x: x, p: p, offset: info.LogStart}
	best, ok, err := s.latestInSpan(ctx, &span, Position{}, false)
	if err != nil || ok && best.Timestamp == span.MaxTimestamp {
		return best, ok, err
	}
	// The record that gave the span its timestamp lies below the log start, or there is none: so
	// another span may hold the one wanted.
	for _, other := range x.promising(ctx, p, &span) {
		if s.tired() || ok && best.Timestamp >= other.MaxTimestamp {
			break
		}
		if best, ok, err = s.latestInSpan(ctx, &other, best, ok); err != nil {
			return Position{}, false, err
		}
	}
	return best, ok, ctx.Err()
}

// promising returns the spans beside one with the largest timestamps, those with the largest first,
// and as many as a search may read. It walks them all, which only a span that does not have what it
// promises makes necessary.
func (x *Index) promising(ctx context.Context, p segments.Partition, beside *coordinator.Span) []coordinator.Span {
	var best []coordinator.Span
	info, _ := x.view.Partition(p)
	for offset := info.LogStart; ctx.Err() == nil; {
		spans := x.view.Spans(p, offset, waveSpans)
		if len(spans) == 0 {
			break
		}
		for _, span := range spans {
			if span.Base == beside.Base {
				continue
			}
			at, _ := slices.BinarySearchFunc(best, span, func(have, want coordinator.Span) int {
				return cmp.Or(cmp.Compare(want.MaxTimestamp, have.MaxTimestamp), cmp.Compare(have.Base, want.Base))
			})
			if best = slices.Insert(best, at, span); len(best) > maxTimeBlocks {
				best = best[:maxTimeBlocks]
			}
		}
		offset = spans[len(spans)-1].Last + 1
	}
	return best
}

// latestInSpan returns the first of the records of a span, or of those that it stands for, with the
// largest timestamp, if that is larger than that of best, where there is one, and else best. Like
// latestInBytes it looks where most is promised first.
func (s *timeSearch) latestInSpan(ctx context.Context, span *coordinator.Span, best Position,
	ok bool) (Position, bool, error) {
	spans, err := s.x.resolve(ctx, s.p, span)
	if err != nil {
		return Position{}, false, err
	}
	spans = slices.Clone(spans)
	spans = slices.DeleteFunc(spans, func(one coordinator.Span) bool { return one.Last < s.offset })
	slices.SortStableFunc(spans, func(a, b coordinator.Span) int { return cmp.Compare(b.MaxTimestamp, a.MaxTimestamp) })
	for i := range spans {
		if ok && spans[i].MaxTimestamp <= best.Timestamp {
			break
		}
		if best, ok, err = s.latestInBytes(ctx, &spans[i], best, ok); err != nil {
			return Position{}, false, err
		}
	}
	return best, ok, nil
}

// latestInBytes is latestInSpan for a span that stands for no others. It reads the pieces that
// promise more than was found, those that promise most first: one, unless a piece does not keep its
// promise.
func (s *timeSearch) latestInBytes(ctx context.Context, span *coordinator.Span, best Position,
	ok bool) (Position, bool, error) {
	pieces, err := s.x.pieces(ctx, s.p, span)
	if err != nil {
		return Position{}, false, err
	}
	pieces = slices.DeleteFunc(pieces, func(at piece) bool { return at.Last < s.offset })
	slices.SortStableFunc(pieces, func(a, b piece) int { return cmp.Compare(b.MaxTimestamp, a.MaxTimestamp) })
	for i := range pieces {
		at := &pieces[i]
		if s.tired() || ok && at.MaxTimestamp <= best.Timestamp {
			break
		}
		b, err := s.block(ctx, at)
		if err != nil {
			return Position{}, false, err
		}
		for i := range b.starts {
			if b.last(i) < s.offset {
				continue
			}
			best, ok = latestInBatch(b.batch(i), s.offset, best, ok)
		}
		s.release(at)
	}
	return best, ok, nil
}

// latestInBatch returns the first of the records with the largest timestamp, from offset on, if it
// is larger than that of best, where there is one, and else best. It decompresses only if the
// header says that there may be one. Batches that cannot be read do not count.
func latestInBatch(b []byte, offset int64, best Position, ok bool) (Position, bool) {
	h, err := batch.ReadHeader(b)
	if err != nil || ok && h.MaxTimestamp <= best.Timestamp || h.Records == 0 {
		return best, ok
	}
	if h.Attributes.LogAppendTime() {
		return Position{max(h.BaseOffset, offset), h.MaxTimestamp}, true
	}
	_ = batch.Scan(b, batch.MaxDecompressed, func(r batch.Scanned) bool {
		if r.Offset >= offset && (!ok || r.Timestamp > best.Timestamp) {
			best, ok = Position{r.Offset, r.Timestamp}, true
		}
		return true
	})
	return best, ok
}

// block returns the block of one piece.
func (x *Index) block(ctx context.Context, p segments.Partition, at piece) (*block, error) {
	r := reader{x: x, p: p}
	pieces, found, flights := []piece{at}, []*block{nil}, []*flight[*block]{nil}
	if r.find(pieces, found) == 0 {
		return found[0], nil
	}
	if err := x.fetcher.start(ctx, p, pieces, found, flights); err != nil {
		return nil, err
	}
	return arrive(ctx, flights[0])
}
