package segments

import (
	"fmt"
	"math"

	"firn/segments/batch"
)

// RunData is what one partition puts into a mixed segment: whole batches that have passed batch.Check.
type RunData struct {
	Partition Partition
	Batches   [][]byte
}

// EncodeMixed returns the bytes of a mixed segment and its index. The partitions must be in strictly ascending order (Partition.Compare), each with
// at least one batch. The index keeps their order but cuts runs at MaxRunBytes: the batches of all its runs, one after the other, are the
// batches of all data, one after the other. The batches are copied once, and get base offset and leader epoch 0 in the copy.
func EncodeMixed(id ID, data []RunData) (object []byte, index []Run, err error) {
	plan, err := planMixed(data)
	if err != nil {
		return nil, nil, err
	}
	object = make([]byte, 0, headerLen+plan.body+plan.footer()+trailerLen)
	object = appendHeader(object, Mixed, id)
	e := runEncoder{object: object, index: make([]Run, 0, plan.runs), positions: make([]int32, 0, plan.batches)}
	for _, d := range data {
		for i, b := range d.Batches {
			if i == 0 || e.full(len(b)) {
				e.begin(d.Partition)
			}
			e.add(b)
		}
	}
	e.end()
	return appendEnd(e.object, Mixed, id, e.index), e.index, nil
}

// appendEnd appends footer and trailer to a header and a body.
func appendEnd(object []byte, kind Kind, id ID, index []Run) []byte {
	t := trailer{kind: kind, footer: int64(len(object))}
	object = appendFooter(object, id, index)
	footer := object[t.footer:]
	t.length, t.crc = int64(len(footer)), checksum(footer)
	return t.append(object)
}

// mixedPlan is what there is to write, so that everything is allocated once.
type mixedPlan struct{ runs, batches, body int }

func (p mixedPlan) footer() int { return footerLen + p.runs*entryLen + p.batches*4 }

func planMixed(data []RunData) (mixedPlan, error) {
	var plan mixedPlan
	for i, d := range data {
		if len(d.Batches) == 0 {
			return plan, fmt.Errorf("%w: partition %s has none", ErrInput, d.Partition)
		}
		if i > 0 && data[i-1].Partition.Compare(d.Partition) >= 0 {
			return plan, fmt.Errorf("%w: partition %s is not behind %s", ErrInput, d.Partition, data[i-1].Partition)
		}
		run := 0
		for j, b := range d.Batches {
			if len(b) < batch.HeaderLen || len(b) > math.MaxInt32 {
				return plan, fmt.Errorf("%w: %d bytes are no batch", ErrInput, len(b))
			}
			if j == 0 || run+len(b) > MaxRunBytes {
				plan.runs++
				run = 0
			}
			run += len(b)
			plan.body += len(b)
		}
		plan.batches += len(d.Batches)
	}
	if plan.runs == 0 || plan.footer() > maxFooterLen {
		return plan, fmt.Errorf("%w: %d runs with %d batches", ErrInput, plan.runs, plan.batches)
	}
	return plan, nil
}

// runEncoder appends batches to an object, run by run. It never grows what it was given.
type runEncoder struct {
	object    []byte
	index     []Run
	positions []int32 // room for those of all runs
}

// full says whether a batch of n bytes needs a new run.
func (e *runEncoder) full(n int) bool {
	r := &e.index[len(e.index)-1]
	return r.Length+int64(n) > MaxRunBytes
}

func (e *runEncoder) begin(p Partition) {
	e.end()
	e.index = append(e.index, Run{
		Partition: p, Position: int64(len(e.object)), BaseOffset: -1, LastOffset: -1,
		MinTimestamp: math.MaxInt64, MaxTimestamp: math.MinInt64,
	})
}

// add copies b, and takes the copy's CRC while it is still in the processor's cache.
func (e *runEncoder) add(b []byte) {
	r := &e.index[len(e.index)-1]
	h, _ := batch.ReadHeader(b)
	start := len(e.object)
	e.object = append(e.object, b...)
	batch.SetBaseOffset(e.object[start:], 0)
	r.CRC = updateChecksum(r.CRC, e.object[start:])
	r.Length += int64(len(b))
	r.Records += int64(h.Records)
	r.MinTimestamp = min(r.MinTimestamp, h.BaseTimestamp)
	r.MaxTimestamp = max(r.MaxTimestamp, h.MaxTimestamp)
	e.positions = append(e.positions, int32(int64(start)-r.Position))
}

// end gives the last run the positions of its batches.
func (e *runEncoder) end() {
	if len(e.index) > 0 {
		n := len(e.positions)
		e.index[len(e.index)-1].Batches = e.positions[:n:n]
		e.positions = e.positions[n:]
	}
}
