package segments

import (
	"fmt"
	"math"

	"firn.dev/segments/batch"
)

// runEncoder appends batches to a mixed segment that begins with its header, cuts them into runs
// and keeps the index.
type runEncoder struct {
	object    []byte
	index     []Run
	positions []int32 // of the batches of the last run
}

// add copies b, whose header is h. The copy gets h's base offset, and leader epoch 0.
func (e *runEncoder) add(p Partition, h batch.Header, b []byte) {
	if last := len(e.index) - 1; last < 0 || e.index[last].Partition != p ||
		e.index[last].Length+int64(len(b)) > MaxRunBytes {
		e.begin(p)
	}
	r := &e.index[len(e.index)-1]
	start := len(e.object)
	e.object = append(e.object, b...)
	batch.SetBaseOffset(e.object[start:], h.BaseOffset)
	r.count(h, e.object[start:])
	e.positions = append(e.positions, int32(int64(start)-r.Position))
}

func (e *runEncoder) begin(p Partition) {
	e.end()
	e.index = append(e.index, newRun(p, int64(len(e.object)), -1))
}

// newRun begins a run with no batches.
func newRun(p Partition, position, baseOffset int64) Run {
	return Run{Partition: p, Position: position, BaseOffset: baseOffset, LastOffset: -1, MinTimestamp: math.MaxInt64,
		MaxTimestamp: math.MinInt64}
}

// count takes a batch into what the run says of its batches, offsets and positions apart.
func (r *Run) count(h batch.Header, b []byte) {
	r.CRC = batch.ExtendCRC(r.CRC, &h, b)
	r.Length += int64(len(b))
	r.Records += int64(h.Records)
	r.MinTimestamp = min(r.MinTimestamp, h.BaseTimestamp)
	r.MaxTimestamp = max(r.MaxTimestamp, h.MaxTimestamp)
}

// end gives the last run the positions of its batches, and leaves the rest of their room to the
// next.
func (e *runEncoder) end() {
	if len(e.index) > 0 {
		n := len(e.positions)
		e.index[len(e.index)-1].Batches = e.positions[:n:n]
		e.positions = e.positions[n:]
	}
}

// finish appends footer and trailer.
func (e *runEncoder) finish(id ID) ([]byte, []Run) {
	e.end()
	t := trailer{kind: Mixed, footer: int64(len(e.object))}
	object := appendFooter(e.object, id, e.index)
	footer := object[t.footer:]
	t.length, t.crc = int64(len(footer)), checksum(footer)
	return t.append(object), e.index
}

// wholeBatch reads the header of a batch that is to be encoded.
func wholeBatch(b []byte) (batch.Header, error) {
	h, err := batch.ReadHeader(b)
	if err == nil && h.Size() != len(b) {
		err = fmt.Errorf("%d bytes behind it", len(b)-h.Size())
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInput, err)
	}
	return h, err
}
