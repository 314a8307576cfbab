package ingest

import (
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// encode lays the batches out as an object, and writes the request that asks for their offsets.
// Afterwards the batches' own bytes are let go.
func (s *segment) encode() error {
	slices.SortFunc(s.parts, func(a, b part) int { return a.partition.Compare(b.partition) })
	data := make([]segments.RunData, len(s.parts))
	for i := range s.parts {
		data[i] = segments.RunData{Partition: s.parts[i].partition, Batches: s.parts[i].batches}
	}
	object, runs, err := segments.EncodeMixed(s.id, data)
	if err != nil {
		return err
	}
	s.object = object
	s.request = s.ask(runs)
	if err := s.request.Validate(); err != nil {
		return err // before it is put
	}
	for i := range s.parts {
		s.parts[i].batches = nil
	}
	return nil
}

// ask writes the request. A large part has several runs, one after the other, so that batches of
// runs and items of parts have one order.
func (s *segment) ask(runs []segments.Run) coordinator.CommitRequest {
	req := coordinator.CommitRequest{Segment: s.id, Runs: make([]coordinator.CommitRun, len(runs))}
	for _, e := range s.endings {
		req.Endings = append(req.Endings, *e)
	}
	for _, a := range s.atomic {
		req.Atomic = append(req.Atomic, *a)
	}
	p, i := 0, 0
	for r := range runs {
		run := &runs[r]
		if i == len(s.parts[p].items) {
			p, i = p+1, 0
		}
		items := s.parts[p].items[i : i+len(run.Batches)]
		batches := make([]coordinator.CommitBatch, len(items))
		for j := range items {
			items[j].position = run.Position + int64(run.Batches[j])
			batches[j] = items[j].commit
		}
		i += len(items)
		req.Runs[r] = coordinator.CommitRun{Partition: run.Partition, Position: run.Position, Batches: batches}
	}
	return req
}
