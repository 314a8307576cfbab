package coordinator

import (
	"cmp"
	"fmt"
	"slices"
)

// MaxCommitDecisions bounds one commit, which is one atomic step that everybody else waits for: see
// CommitRequest.Decisions. Redis takes some ten milliseconds for as many.
const MaxCommitDecisions = 4096

// Decisions is how many decisions the request asks for: one for each ending and atomic request, and
// each batch of a producer or request that the coordinator has to look up, and one for all other
// batches that follow each other in a run.
func (r *CommitRequest) Decisions() int {
	n := len(r.Endings) + len(r.Atomic)
	for i := range r.Runs {
		plain := false
		for j := range r.Runs[i].Batches {
			if known := r.Runs[i].Batches[j].LookedUp(); known || !plain {
				n++
				plain = !known
			}
		}
	}
	return n
}

// LookedUp says whether the coordinator has to look up what it knows of the batch's producer or
// request.
func (b *CommitBatch) LookedUp() bool { return b.ProducerID >= 0 || b.Key != nil }

// Validate refuses what no segment can contain; the numbers of records and bytes are added up
// below.
func (r *CommitRequest) Validate() error {
	if err := r.validateEndings(); err != nil {
		return err
	}
	if err := r.validateAtomic(); err != nil {
		return err
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Position < 0 {
			return fmt.Errorf("%w: run of %s at position %d", ErrMalformed, run.Partition, run.Position)
		}
		for j := range run.Batches {
			if b := &run.Batches[j]; b.Records < 1 || b.Length < 1 || b.ProducerID >= 0 && b.Ending == 0 &&
				(b.BaseSequence < 0 || b.ProducerEpoch < 0 || b.Key != nil) ||
				b.Key != nil && b.Key.Partitions < 0 || !r.validTransaction(b) {
				return fmt.Errorf("%w: batch %d of run %d of segment %s: %+v", ErrMalformed, j, i, r.Segment, *b)
			}
		}
	}
	if n := r.Decisions(); n > MaxCommitDecisions {
		return fmt.Errorf("%w: the commit of segment %s asks for %d decisions, at most %d are allowed: "+
			"write it as several segments", ErrMalformed, r.Segment, n, MaxCommitDecisions)
	}
	return r.validateBytes()
}

// validateBytes refuses runs that share bytes. Most requests have their runs in the order of their
// bytes.
func (r *CommitRequest) validateBytes() error {
	inOrder := func(a, b CommitRun) int { return cmp.Compare(a.Position, b.Position) }
	runs := r.Runs
	if !slices.IsSortedFunc(runs, inOrder) {
		runs = slices.SortedStableFunc(slices.Values(runs), inOrder)
	}
	end := int64(0)
	for i := range runs {
		if runs[i].Position < end {
			return fmt.Errorf("%w: the run of %s at position %d of segment %s begins inside of another", ErrMalformed,
				runs[i].Partition, runs[i].Position, r.Segment)
		}
		end = runs[i].Position
		for j := range runs[i].Batches {
			end += int64(runs[i].Batches[j].Length)
		}
	}
	return nil
}

// validTransaction says whether what a batch says of transactions is possible.
func (r *CommitRequest) validTransaction(b *CommitBatch) bool {
	if b.Ending == 0 {
		return b.Protocol <= OldTransactional && (b.Protocol == NotTransactional || b.ProducerID >= 0)
	}
	return b.Ending > 0 && b.Ending <= len(r.Endings) && b.Records == 1 && b.Key == nil &&
		b.Protocol == NotTransactional &&
		b.ProducerID == r.Endings[b.Ending-1].ProducerID && b.ProducerEpoch == r.Endings[b.Ending-1].Epoch
}

// validateEndings refuses endings that no owner asks for.
func (r *CommitRequest) validateEndings() error {
	for i := range r.Endings {
		if err := r.Endings[i].Validate(); err != nil {
			return err
		}
		for j := range r.Endings[:i] {
			if r.Endings[j].ID == r.Endings[i].ID {
				return fmt.Errorf("%w: two endings of %q in one commit", ErrMalformed, r.Endings[i].ID)
			}
		}
	}
	return nil
}
