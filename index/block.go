package index

import (
	"encoding/binary"
	"fmt"
	"sort"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/segments"
)

// block is the bytes of one piece, whole batches with their final offsets. It is shared and never
// changed.
type block struct {
	bytes  []byte
	starts []int32 // where each batch begins in bytes
}

// blockOverhead is what one block costs beside its bytes and starts: the block itself, its key, its
// places in a map and a list.
const blockOverhead = 256

func (b *block) size() int64 { return int64(len(b.bytes)) + 4*int64(len(b.starts)) + blockOverhead }

// verify makes a block of bytes as they lie in the bucket. The bytes belong to the block from then
// on.
func verify(p piece, bytes []byte) (*block, error) {
	starts, err := spans.Check(&p, bytes, nil)
	if err != nil {
		return nil, err
	}
	return &block{bytes, starts}, nil
}

// posLastOffsetDelta is where a batch header keeps what to add to its base offset to get the offset
// of its last record.
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

// cut returns the batches from the one that holds offset (or the first behind it) on that end below
// limit and fit into maxBytes, or the first of them even if it does not fit, if force is set. next
// is the offset behind the last of them; it is 0 if there are none.
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
	return fmt.Errorf("partition %s, %w", p, spans.Describe(&span, err))
}
