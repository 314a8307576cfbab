package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sort"

	"firn/coordinator"
	"firn/segments"
	"firn/segments/batch"
)

// block is the bytes of one piece, whole batches with their final offsets. It is shared and never changed.
type block struct {
	bytes  []byte
	starts []int32 // where each batch begins in bytes
}

// blockOverhead is what one block costs beside its bytes and starts: the block itself, its key, its places in a map and a list.
const blockOverhead = 256

func (b *block) size() int64 { return int64(len(b.bytes)) + 4*int64(len(b.starts)) + blockOverhead }

// verify makes a block of bytes as they lie in the bucket. The bytes belong to the block from then on.
func verify(p piece, bytes []byte) (*block, error) {
	if p.merged() {
		return verifyMerged(p, bytes)
	}
	return verifyMixed(p, bytes)
}

// verifyMixed checks that batches tile the bytes and have as many records as the span has offsets, checks the CRC of each, and writes the offsets in.
func verifyMixed(p piece, bytes []byte) (*block, error) {
	b := &block{bytes: bytes}
	offset := p.Base
	for pos := 0; pos < len(bytes); {
		h, err := checkBatch(bytes[pos:], batch.Check)
		if err != nil {
			return nil, fmt.Errorf("%w: batch at byte %d: %w", ErrCorrupt, pos, err)
		}
		batch.SetBaseOffset(bytes[pos:], offset)
		b.starts = append(b.starts, int32(pos))
		offset += int64(h.LastOffsetDelta) + 1
		pos += h.Size()
	}
	if offset != p.Last+1 {
		return nil, fmt.Errorf("%w: %d records in a span of %d", ErrCorrupt, offset-p.Base, p.Last+1-p.Base)
	}
	return b, nil
}

// verifyMerged checks the CRC of the block, which covers offsets as well, that batches tile it, the CRC of each, and that their offsets ascend and begin and end
// as the index says. Between them there may be holes.
func verifyMerged(p piece, bytes []byte) (*block, error) {
	if got := crc32.Checksum(bytes, castagnoli); got != p.crc {
		return nil, fmt.Errorf("%w: CRC-32C %08x instead of %08x", ErrCorrupt, got, p.crc)
	}
	b := &block{bytes: bytes}
	next := p.Base
	for pos := 0; pos < len(bytes); {
		h, err := checkBatch(bytes[pos:], batch.CheckBytes)
		last := h.BaseOffset + int64(h.LastOffsetDelta)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: batch at byte %d: %w", ErrCorrupt, pos, err)
		case h.LastOffsetDelta < 0 || h.BaseOffset < next || pos == 0 && h.BaseOffset != p.Base || last > p.Last:
			return nil, fmt.Errorf("%w: batch at byte %d: offsets %d to %d, where %d or more is next", ErrCorrupt, pos, h.BaseOffset, last, next)
		}
		b.starts = append(b.starts, int32(pos))
		next = last + 1
		pos += h.Size()
	}
	if next != p.Last+1 {
		return nil, fmt.Errorf("%w: its last offset is %d, not %d", ErrCorrupt, next-1, p.Last)
	}
	return b, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkBatch checks the batch that b begins with.
func checkBatch(b []byte, check func([]byte) (batch.Header, error)) (batch.Header, error) {
	h, err := batch.ReadHeader(b)
	if err == nil {
		_, err = check(b[:h.Size()])
	}
	return h, err
}

// posLastOffsetDelta is where a batch header keeps what to add to its base offset to get the offset of its last record.
const posLastOffsetDelta = 23

// base is the offset of batch i's first record.
func (b *block) base(i int) int64 { return int64(binary.BigEndian.Uint64(b.bytes[b.starts[i]:])) }

// last is the offset of batch i's last record.
func (b *block) last(i int) int64 {
	return b.base(i) + int64(binary.BigEndian.Uint32(b.bytes[int(b.starts[i])+posLastOffsetDelta:]))
}

// end is where batch i ends in the bytes.
func (b *block) end(i int) int {
	if i+1 < len(b.starts) {
		return int(b.starts[i+1])
	}
	return len(b.bytes)
}

// batch is the bytes of batch i.
func (b *block) batch(i int) []byte { return b.bytes[b.starts[i]:b.end(i)] }

// cut returns the batches from the one that holds offset (or the first behind it) on that end below limit and fit into maxBytes, or the
// first of them even if it does not fit, if force is set. next is the offset behind the last of them; it is 0 if there are none.
func (b *block) cut(offset, limit int64, maxBytes int, force bool) (bytes []byte, next int64) {
	n := len(b.starts)
	first := sort.Search(n, func(i int) bool { return b.last(i) >= offset })
	if first == n {
		return nil, 0
	}
	start := int(b.starts[first])
	count := sort.Search(n-first, func(i int) bool { return b.end(first+i)-start > maxBytes || b.last(first+i) >= limit })
	if count == 0 {
		if !force || b.last(first) >= limit {
			return nil, 0
		}
		count = 1
	}
	end := b.end(first + count - 1)
	return b.bytes[start:end:end], b.last(first+count-1) + 1
}

// describe adds to an error where in the bucket its bytes lie.
func describe(p segments.Partition, span coordinator.Span, err error) error {
	return fmt.Errorf("partition %s, offsets %d to %d, segment %s, bytes %d to %d: %w",
		p, span.Base, span.Last, span.Segment, span.Position, span.Position+span.Length, err)
}
