package segments

import "fmt"

// RunData is what one partition puts into a mixed segment: whole batches that have passed
// batch.Check.
type RunData struct {
	Partition Partition
	Batches   [][]byte
}

// EncodeMixed returns the bytes of a mixed segment and its index. The partitions must be in
// strictly ascending order (Partition.Compare), each with at least one batch. The index keeps their
// order but cuts runs at MaxRunBytes: the batches of all its runs, one after the other, are the
// batches of all data, one after the other. The batches are copied once, and get base offset and
// leader epoch 0 in the copy.
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
			h, err := wholeBatch(b)
			if err != nil {
				return nil, nil, fmt.Errorf("batch %d of partition %s: %w", i, d.Partition, err)
			}
			h.BaseOffset = 0
			e.add(d.Partition, h, b)
		}
	}
	object, index = e.finish(id)
	return object, index, nil
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
