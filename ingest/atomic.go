package ingest

import (
	"errors"
	"fmt"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Atomic requests go with everybody's records: their batches are in one segment, whose commit
// decides all of each or nothing. A later life commits a segment again. A request that is in the
// journal is known again then, as a whole; offsets of one that is not are refused, and so it is,
// because their lease was one of the incarnation before.

// checkAtomic refuses batches of an atomic request that would be refused later together with
// everything that shares their segment.
func checkAtomic(batches []Batch) error {
	a := batches[0].Atomic
	for i := range batches {
		if batches[i].Atomic != a {
			return fmt.Errorf("%w: an Append with batches of an atomic request and others", batch.ErrCorrupt)
		}
	}
	if a == nil {
		return nil
	}
	seen := make(map[segments.Partition]bool)
	for i := range batches {
		b := &batches[i]
		if b.Key == nil || b.Key.ID != batches[0].Key.ID || b.Ending != nil || b.Protocol != coordinator.NotTransactional ||
			seen[b.Partition] {
			return fmt.Errorf("%w: a batch for %s does not fit its atomic request", batch.ErrCorrupt, b.Partition)
		}
		seen[b.Partition] = true
	}
	if a.Batches != len(batches) {
		return fmt.Errorf("%w: an atomic request of %d batches comes with %d", batch.ErrCorrupt, a.Batches, len(batches))
	}
	return a.Validate()
}

// takesAtomic says whether the batches of an atomic request may come into a segment, and none of
// another with the same key is there.
func (s *segment) takesAtomic(batches []Batch, most int) bool {
	size := s.bytes
	for i := range batches {
		size += len(batches[i].Bytes)
	}
	if size > most || s.asked+len(batches)+1 > maxDecisions {
		return false
	}
	for i := range s.parts {
		for j := range s.parts[i].items {
			if c := &s.parts[i].items[j].commit; c.Atomic > 0 && c.Key.ID == batches[0].Key.ID {
				return false
			}
		}
	}
	return true
}

// atomicOf is the number of an atomic request among those of the segment, from 1.
func (s *segment) atomicOf(a *coordinator.Atomic) int {
	if a == nil {
		return 0
	}
	if n := len(s.atomic); n > 0 && s.atomic[n-1] == a {
		return n
	}
	s.atomic = append(s.atomic, a)
	s.asked++
	return len(s.atomic)
}

// AtomicError says what became of an atomic request with these results: nil if all of it is
// written, coordinator.ErrDuplicate if all of it was written before, else why nothing is. The error
// may be one that says that it is in doubt: see ClassOf.
func AtomicError(results []Result) error {
	var whole error
	for i := range results {
		switch err := results[i].Err; {
		case err == nil, whole != nil && errors.Is(err, coordinator.ErrNotWhole):
		case whole == nil, errors.Is(whole, coordinator.ErrNotWhole), errors.Is(whole, coordinator.ErrDuplicate):
			whole = err
		}
	}
	return whole
}
