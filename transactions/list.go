package transactions

import (
	"context"
	"fmt"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// State is what Kafka calls the state of a transactional id.
type State string

// The states that an id can be in here. Kafka has more.
const (
	Empty          State = "Empty" // it has had no transaction
	Ongoing        State = "Ongoing"
	PrepareCommit  State = "PrepareCommit" // decided, and not yet seen by everybody
	PrepareAbort   State = "PrepareAbort"  // the same, or to be aborted because its producer was fenced
	CompleteCommit State = "CompleteCommit"
	CompleteAbort  State = "CompleteAbort"
)

// StateOf says in which state a transactional id is.
func StateOf(t *coordinator.Transaction) State {
	of := func(commit, abort State) State {
		if t.Result == coordinator.Committed {
			return commit
		}
		return abort
	}
	switch {
	case t.Aborting:
		return PrepareAbort
	case t.Since() != 0:
		return Ongoing
	case t.Result == coordinator.NoResult:
		return Empty
	case !t.Complete:
		return of(PrepareCommit, PrepareAbort)
	}
	return of(CompleteCommit, CompleteAbort)
}

// PartitionsOf are the partitions of the transaction that is ongoing, ordered: those with records,
// and those that were added (old protocol).
func PartitionsOf(t *coordinator.Transaction) []segments.Partition {
	all := slices.Clone(t.Added)
	for i := range t.Open {
		all = append(all, t.Open[i].Partition)
	}
	slices.SortFunc(all, segments.Partition.Compare)
	return slices.Compact(all)
}

// Mine are the transactional ids that this node looks after, ordered: clients ask every node.
func (m *Manager) Mine() []coordinator.Transaction {
	all := m.view.Transactions()
	mine := all[:0]
	for i := range all {
		if m.mine(all[i].ID) {
			mine = append(mine, all[i])
		}
	}
	return mine
}

// Of describes a transactional id; false if there is none.
func (m *Manager) Of(id string) (coordinator.Transaction, bool) { return m.view.Transaction(id) }

// Now is the time by the coordinator's clock, by which transactions begin and end.
func (m *Manager) Now(ctx context.Context) (time.Time, error) {
	return m.opts.Node.CoordinatorTime(ctx)
}

// Abort aborts what a producer has ongoing, for an administrator. The producer is fenced.
func (m *Manager) Abort(ctx context.Context, p coordinator.Producer) error {
	t, known := m.view.TransactionalIDOf(p.ProducerID)
	switch {
	case !known:
		return fmt.Errorf("%w: producer %d", coordinator.ErrTransactionalID, p.ProducerID)
	case t.PreviousEpoch == p.Epoch && t.Result == coordinator.Aborted: // by this call for another partition
		return m.complete(ctx, t.ID)
	case t.Epoch != p.Epoch:
		return fmt.Errorf(
			"%w: producer %d has epoch %d, not %d",
			coordinator.ErrProducerEpoch,
			p.ProducerID,
			t.Epoch,
			p.Epoch,
		)
	}
	_, _, err := m.fence(ctx, coordinator.Fence{ID: t.ID, NewProducerID: -1,
		Expired: &coordinator.Expired{Producer: p, Ordinal: t.Ordinal}})
	return err
}
