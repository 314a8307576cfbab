package index

import (
	"encoding/binary"
	"fmt"
	"sort"

	"firn/coordinator"
	"firn/segments"
	"firn/segments/batch"
)

// block is the bytes of one span, whole batches with their final offsets. It is shared and never changed.
type block struct {
	bytes  []byte
	starts []int32 // where each batch begins in bytes
}

// blockOverhead is what one block costs beside its bytes and starts: the block itself, its key, its places in a map and a list.
const blockOverhead = 256

func (b *block) size() int64 { return int64(len(b.bytes)) + 4*int64(len(b.starts)) + blockOverhead }

// verify makes a block of bytes as they lie in the bucket. It checks that batches tile the bytes and have as many records as the span
// has offsets, checks the CRC of each, and writes the offsets in. The bytes belong to the block from then on.
func verify(span coordinator.Span, bytes []byte) (*block, error) {
	b := &block{bytes: bytes}
	offset := span.Base
	for pos := 0; pos < len(bytes); {
		h, err := batch.ReadHeader(bytes[pos:])
		if err == nil {
			_, err = batch.Check(bytes[pos : pos+h.Size()])
		}
		if err != nil {
			return nil, fmt.Errorf("%w: batch at byte %d: %w", ErrCorrupt, pos, err)
		}
		batch.SetBaseOffset(bytes[pos:], offset)
		b.starts = append(b.starts, int32(pos))
		offset += int64(h.LastOffsetDelta) + 1
		pos += h.Size()
	}
	if offset != span.Last+1 {
		return nil, fmt.Errorf("%w: %d records in a span of %d", ErrCorrupt, offset-span.Base, span.Last+1-span.Base)
	}
	return b, nil
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
