package segments

import (
	"fmt"
	"math"
)

// BlockBytes is where the runs of a merged segment are cut: a reader that seeks an offset or a time fetches no more than it needs.
const BlockBytes = 64 << 10

// MergedBuilder makes a merged segment of one partition's batches, which come one after the other. It is not safe for concurrent use.
type MergedBuilder struct {
	id        ID
	partition Partition
	next      int64 // the lowest offset that the next batch may begin with
	encoder   runEncoder
}

// NewMerged begins a merged segment with room for about bodyBytes.
func NewMerged(id ID, p Partition, bodyBytes int) *MergedBuilder {
	room := headerLen + bodyBytes + (bodyBytes/BlockBytes+1)*2*entryLen + trailerLen
	return &MergedBuilder{id: id, partition: p, encoder: runEncoder{
		kind: Merged, cut: BlockBytes, object: appendHeader(make([]byte, 0, room), Merged, id),
	}}
}

// Add copies a batch, which has its final base offset and has been checked. Its offsets must lie behind those of the batch before.
func (m *MergedBuilder) Add(b []byte) error {
	h, err := wholeBatch(b)
	switch {
	case err != nil:
		return err
	case h.BaseOffset < m.next || h.LastOffsetDelta < 0 || h.BaseOffset > math.MaxInt64-1-int64(h.LastOffsetDelta):
		return fmt.Errorf("%w: base offset %d, last offset delta %d, where %d or more is next", ErrInput, h.BaseOffset, h.LastOffsetDelta, m.next)
	case h.Records < 0 || h.Records-1 > h.LastOffsetDelta:
		return fmt.Errorf("%w: %d records, last offset delta %d", ErrInput, h.Records, h.LastOffsetDelta)
	}
	m.next = h.BaseOffset + int64(h.LastOffsetDelta) + 1
	m.encoder.add(m.partition, h, b)
	return nil
}

// Size is how many bytes of batches and header there are by now.
func (m *MergedBuilder) Size() int { return len(m.encoder.object) }

// Finish returns the object and its index. The builder cannot be used again.
func (m *MergedBuilder) Finish() (object []byte, index []Run, err error) {
	if len(m.encoder.index) == 0 {
		return nil, nil, fmt.Errorf("%w: there are none", ErrInput)
	}
	object, index = m.encoder.finish(m.id)
	if int64(len(object)) > maxObjectLen {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrInput, len(object))
	}
	return object, index, nil
}
