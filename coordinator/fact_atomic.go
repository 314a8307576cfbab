package coordinator

import (
	"fmt"
	"slices"
)

// Atomic asks for batches of a commit to be written all or none, and for offsets of a group to
// count once all of them can be read. If one batch of it cannot be accepted, or the lease is not
// held with that epoch, all are rejected: those that could be, with ErrNotWhole or ErrLeaseLost.
// Its batches have a key, the same ID, and are each alone in their partition. So the request is
// known again: when any of its partitions knows it, it is not written.
//
// It is decided when its fact is in the journal. A recovery gives new offsets to what it drops of
// it beyond holes.
type Atomic struct {
	Batches int            // that it has. With fewer in the commit, others had their answer before, and it is refused
	Offsets *CommitOffsets // nil: none. With a version that the holder of the lease gives, and nothing to forget
}

// AtomicOffsets are what an atomic request lets count when all its spans are in the prefixes.
type AtomicOffsets struct {
	Number uint32 // of the request in its segment: CommitSpan.Atomic
	Time   int64  // of the commit, in milliseconds by the coordinator's clock
	StagedOffsets
}

// staged are the offsets of an atomic request, as its fact has them.
func (c *CommitOffsets) staged() StagedOffsets {
	s := StagedOffsets{Group: c.Group, Epoch: c.Epoch, Partitions: make([]StagedOffset, len(c.Offsets))}
	for i := range c.Offsets {
		s.Partitions[i] = StagedOffset{c.Version, c.Offsets[i]}
	}
	slices.SortFunc(s.Partitions, func(a, b StagedOffset) int { return comparePartitions(a.Partition, b.Partition) })
	return s
}

// AppendAtomic appends the offsets of an atomic request as a fact has them behind number and
// time.
func (c *CommitOffsets) AppendAtomic(b []byte) []byte {
	return appendStaged(b, []StagedOffsets{c.staged()})
}

// validateAtomic refuses atomic requests that no front door makes.
func (r *CommitRequest) validateAtomic() error {
	for i := range r.Atomic {
		if err := r.Atomic[i].Validate(); err != nil {
			return fmt.Errorf("%w: atomic request %d of segment %s: %w", ErrMalformed, i+1, r.Segment, err)
		}
	}
	if len(r.Atomic) == 0 {
		return r.eachAtomic(func(*CommitRun, *CommitBatch) error {
			return fmt.Errorf("%w: a batch of an atomic request that segment %s does not have", ErrMalformed, r.Segment)
		})
	}
	ids, places := map[[16]byte]int{}, map[string]bool{}
	return r.eachAtomic(func(run *CommitRun, b *CommitBatch) error {
		if b.Atomic < 0 || b.Atomic > len(r.Atomic) || b.Atomic > 0 && (b.Key == nil || b.ProducerID >= 0 || b.Ending != 0 ||
			b.Protocol != NotTransactional) {
			return fmt.Errorf("%w: a batch of atomic request %d of segment %s: %+v", ErrMalformed, b.Atomic, r.Segment, *b)
		}
		if b.Key == nil {
			return nil
		}
		if of, twice := ids[b.Key.ID]; twice && of != b.Atomic {
			return fmt.Errorf("%w: an atomic request of segment %s has the key of another", ErrMalformed, r.Segment)
		}
		ids[b.Key.ID] = b.Atomic
		place := fmt.Sprint(b.Atomic, run.Partition)
		if b.Atomic > 0 && places[place] {
			return fmt.Errorf("%w: an atomic request of segment %s has two batches in %s", ErrMalformed, r.Segment,
				run.Partition)
		}
		places[place] = true
		return nil
	})
}

// eachAtomic looks at batches: at all if there are atomic requests, else at those that say that
// they are of one.
func (r *CommitRequest) eachAtomic(look func(*CommitRun, *CommitBatch) error) error {
	for i := range r.Runs {
		for j := range r.Runs[i].Batches {
			if b := &r.Runs[i].Batches[j]; len(r.Atomic) > 0 || b.Atomic != 0 {
				if err := look(&r.Runs[i], b); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Validate refuses what no front door asks for.
func (a *Atomic) Validate() error {
	if a.Batches < 1 || a.Batches > MaxTransactionPartitions {
		return fmt.Errorf("it has %d batches, at most %d are allowed", a.Batches, MaxTransactionPartitions)
	}
	o := a.Offsets
	if o == nil {
		return nil
	}
	size := len(o.Group)
	for i := range o.Offsets {
		size += len(o.Offsets[i].Metadata)
		if o.Offsets[i].Partition.Index < 0 {
			return fmt.Errorf("an offset of partition %s", o.Offsets[i].Partition)
		}
	}
	switch {
	case o.Group == "" || o.Version == 0 || o.Forget || len(o.Offsets) == 0 || o.Lease == "":
		return fmt.Errorf("offsets of group %q, lease %q, version %d", o.Group, o.Lease, o.Version)
	case len(o.Offsets) > MaxStagedOffsets, size > MaxStagedBytes:
		return fmt.Errorf("offsets of %d partitions with %d bytes, at most %d and %d are allowed", len(o.Offsets), size,
			MaxStagedOffsets, MaxStagedBytes)
	}
	return nil
}
