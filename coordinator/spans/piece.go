// Package spans reads the bytes of spans: in which pieces, whether they are what the span says, and
// a partition's batches one after the other, straight from the bucket. It keeps nothing: the cache
// of a node is index's. Read path, merges and replay share it, so that there is one answer to what
// a whole batch is.
package spans

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// ErrCorrupt says that bytes in the bucket are not what the index says of them.
var ErrCorrupt = errors.New("stored data is corrupt")

// Piece is what is read and checked at once: a span of a mixed segment, or one block of a merged
// one. For the latter it is the span that the block would be by itself, and the CRC that the
// segment's footer has for it. It can be compared, and is a key for caches.
type Piece struct {
	coordinator.Span
	CRC uint32
}

// Merged says whether the piece is of a merged segment: its batches have their offsets, maybe with
// holes.
func (p *Piece) Merged() bool { return p.Version != 0 }

// PieceOf is a block of the merged segment that span is of, as a piece.
func PieceOf(span *coordinator.Span, b *segments.Block) Piece {
	return Piece{coordinator.Span{
		Segment: span.Segment, Base: b.BaseOffset, Last: b.LastOffset, Position: b.Position, Length: int64(b.Length),
		MaxTimestamp: b.MaxTimestamp, Version: span.Version,
	}, b.CRC}
}

// piecesOf returns the pieces of a span. For one of a merged segment it reads the footer: one
// request, a few for the largest.
func piecesOf(ctx context.Context, store segments.Store, span *coordinator.Span) ([]Piece, error) {
	if span.Version == 0 {
		return []Piece{{Span: *span}}, nil
	}
	blocks, err := segments.ReadBlocks(ctx, store, span.Segment, segments.SuffixFor(span.Length))
	if err != nil {
		return nil, Describe(span, err)
	}
	pieces := make([]Piece, len(blocks))
	for i := range blocks {
		pieces[i] = PieceOf(span, &blocks[i])
	}
	return pieces, nil
}

// PiecesIn returns the pieces of a span whose merged segment was read as a whole.
func PiecesIn(object []byte, span *coordinator.Span) ([]Piece, error) {
	index, err := segments.Decode(object)
	if err == nil && index.ID != span.Segment {
		err = fmt.Errorf("it says that it is %s", index.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	pieces := make([]Piece, len(index.Runs))
	for i := range index.Runs {
		run := &index.Runs[i]
		pieces[i] = PieceOf(span, &segments.Block{
			Position: run.Position, Length: int32(run.Length), CRC: run.CRC,
			BaseOffset: run.BaseOffset, LastOffset: run.LastOffset, MaxTimestamp: run.MaxTimestamp,
		})
	}
	return pieces, nil
}

// Split yields the batches in bytes that Check has checked, by where it found that they begin.
func Split(bytes []byte, starts []int32) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i, start := range starts {
			end := len(bytes)
			if i+1 < len(starts) {
				end = int(starts[i+1])
			}
			if !yield(bytes[start:end:end]) {
				return
			}
		}
	}
}

// Check checks the bytes of a piece as they lie in the bucket, writes the final offsets into its
// batches, and appends to starts where each begins.
func Check(p *Piece, bytes []byte, starts []int32) ([]int32, error) {
	if p.Merged() {
		return checkMerged(p, bytes, starts)
	}
	return checkMixed(p, bytes, starts)
}

// checkMixed checks that batches tile the bytes and have as many records as the span has offsets,
// checks the CRC of each, and writes the offsets in.
func checkMixed(p *Piece, bytes []byte, starts []int32) ([]int32, error) {
	offset := p.Base
	for pos := 0; pos < len(bytes); {
		h, err := checkBatch(bytes[pos:], batch.Check)
		if err != nil {
			return nil, fmt.Errorf("%w: batch at byte %d: %w", ErrCorrupt, pos, err)
		}
		batch.SetBaseOffset(bytes[pos:], offset)
		starts = append(starts, int32(pos))
		offset += int64(h.LastOffsetDelta) + 1
		pos += h.Size()
	}
	if offset != p.Last+1 {
		return nil, fmt.Errorf("%w: %d records in a span of %d", ErrCorrupt, offset-p.Base, p.Last+1-p.Base)
	}
	return starts, nil
}

// checkMerged checks that batches tile the block, the CRC of each, that their offsets ascend and
// begin and end as the index says, and the CRC of the block, which covers offsets as well. Between
// them there may be holes.
func checkMerged(p *Piece, bytes []byte, starts []int32) ([]int32, error) {
	next, crc := p.Base, uint32(0)
	for pos := 0; pos < len(bytes); {
		h, err := checkBatch(bytes[pos:], batch.CheckBytes)
		last := h.BaseOffset + int64(h.LastOffsetDelta)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: batch at byte %d: %w", ErrCorrupt, pos, err)
		case h.LastOffsetDelta < 0 || h.BaseOffset < next || pos == 0 && h.BaseOffset != p.Base || last > p.Last:
			return nil, fmt.Errorf("%w: batch at byte %d: offsets %d to %d, where %d or more is next",
				ErrCorrupt, pos, h.BaseOffset, last, next)
		}
		starts = append(starts, int32(pos))
		next = last + 1
		crc = batch.ExtendCRC(crc, &h, bytes[pos:pos+h.Size()])
		pos += h.Size()
	}
	if crc != p.CRC {
		return nil, fmt.Errorf("%w: CRC-32C %08x instead of %08x", ErrCorrupt, crc, p.CRC)
	}
	if next != p.Last+1 {
		return nil, fmt.Errorf("%w: its last offset is %d, not %d", ErrCorrupt, next-1, p.Last)
	}
	return starts, nil
}

// checkBatch checks the batch that b begins with.
func checkBatch(b []byte, check func([]byte) (batch.Header, error)) (batch.Header, error) {
	h, err := batch.ReadHeader(b)
	if err == nil {
		_, err = check(b[:h.Size()])
	}
	return h, err
}

// Describe adds to an error where in the bucket its bytes lie.
func Describe(span *coordinator.Span, err error) error {
	return fmt.Errorf("offsets %d to %d, segment %s, bytes %d to %d: %w",
		span.Base, span.Last, span.Segment, span.Position, span.Position+span.Length, err)
}

// Join returns how many of pieces one get of at most so many bytes can read: those that follow each
// other without a gap in one segment, and one at least.
func Join(pieces []Piece, most int64) int {
	n, length := 1, pieces[0].Length
	for ; n < len(pieces); n++ {
		before, p := &pieces[n-1], &pieces[n]
		length += p.Length
		if p.Segment != before.Segment || p.Position != before.Position+before.Length || length > most {
			break
		}
	}
	return n
}
