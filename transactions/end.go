package transactions

import (
	"context"
	"errors"
	"fmt"
	"math"

	"firn.dev/coordinator"
)

// End is EndTxn: it ends the transaction of a producer, and returns once that is complete. With
// bump (KIP-890 part 2) the next transaction has another epoch, which it returns. The same call
// again gets the same answer, until the next transaction begins.
func (m *Manager) End(ctx context.Context, id string, p coordinator.Producer, result coordinator.Result,
	bump bool) (coordinator.Producer, error) {
	next, ordinal := int64(-1), uint64(0)
	err := m.end(ctx, id, func(now *coordinator.DecidedID) (coordinator.Ending, error) {
		if hasEnded(now, p, bump) {
			if now.Aborting {
				return coordinator.Ending{}, coordinator.ErrConcurrentTransactions
			}
			if now.Result == result {
				return coordinator.Ending{}, coordinator.ErrTransactionEnded
			}
			return coordinator.Ending{}, fmt.Errorf(
				"%w: it ended with %s",
				coordinator.ErrTransactionState,
				now.Result,
			)
		}
		// What was asked for is the end of the transaction of the first look. A later look may find the
		// next one, of the same epoch in the old protocol (R6).
		if ordinal == 0 {
			ordinal = now.Ordinal
		}
		if now.Ordinal != ordinal {
			return coordinator.Ending{}, fmt.Errorf("%w: it has ended, and the next has begun",
				coordinator.ErrTransactionState)
		}
		// The old protocol adds first what it writes to: nothing is on its way that would open a
		// transaction. In the new one something may be, and only the next epoch keeps it out.
		if !bump && p == producerOf(&now.TransactionalID) && !now.Ongoing() {
			return coordinator.Ending{}, fmt.Errorf("%w: nothing was done in the transaction of %q",
				coordinator.ErrTransactionState, id)
		}
		if bump && next < 0 && p.Epoch >= lastEpoch {
			var err error
			if next, err = m.opts.Node.ProducerID(ctx); err != nil {
				return coordinator.Ending{}, err
			}
		}
		return coordinator.Ending{
			Producer:      p,
			Ordinal:       ordinal,
			Result:        result,
			Bump:          bump,
			NewProducerID: next,
		}, nil
	})
	if err != nil {
		return coordinator.Producer{}, err
	}
	now, _, err := m.decided(ctx, id)
	if err != nil {
		return coordinator.Producer{}, err
	}
	if !hasEnded(&now, p, bump) {
		return coordinator.Producer{}, fmt.Errorf("%w: %q has begun anew", coordinator.ErrProducerEpoch, id)
	}
	return producerOf(&now.TransactionalID), nil
}

// hasEnded says whether the last transaction was that of a producer, which may still ask for the
// present epoch. It has ended the transaction itself; or a timeout or an administrator has, and no
// other session has begun since: then it goes on with the present epoch if it can be told
// (KIP-588, in the protocol of KIP-890).
func hasEnded(now *coordinator.DecidedID, p coordinator.Producer, bump bool) bool {
	if now.EndedEpoch >= 0 {
		return now.EndedProducerID == p.ProducerID && now.EndedEpoch == p.Epoch
	}
	return bump && !now.Gone && now.ProducerID == p.ProducerID && now.PreviousEpoch == p.Epoch &&
		(now.Aborting || now.Result == coordinator.Aborted)
}

// end has an ending decided, built anew from what is decided as often as it has to be, and waits
// until it is complete.
func (m *Manager) end(ctx context.Context, id string,
	build func(now *coordinator.DecidedID) (coordinator.Ending, error)) error {
	for n := 0; ; n++ {
		err := m.tryToEnd(ctx, id, build)
		switch {
		case err == nil, errors.Is(err, coordinator.ErrTransactionEnded):
			return m.complete(ctx, id)
		case !passes(err):
			m.confirmed(ctx, id)
			return err
		}
		if ended := again.Pause(ctx, n); ended != nil {
			return fmt.Errorf("%w, after: %w", ended, err)
		}
	}
}

func (m *Manager) tryToEnd(ctx context.Context, id string,
	build func(now *coordinator.DecidedID) (coordinator.Ending, error)) error {
	now, in, err := m.decided(ctx, id)
	if err != nil {
		return err
	}
	ending, err := build(&now)
	if err != nil {
		return err
	}
	ending.ID, ending.Incarnation = id, in
	if err = m.opts.Writer.End(ctx, ending, now.Open); err == nil {
		m.metrics.ended.WithLabelValues(ending.Result.String()).Inc()
	}
	return err
}

// confirmed waits until what is decided of an id is in the journal: a refusal that rests on it is
// told to nobody before (R6).
func (m *Manager) confirmed(ctx context.Context, id string) {
	_ = m.Retry(ctx, func() error {
		now, _, err := m.decided(ctx, id)
		if err != nil {
			return err
		}
		if shown, known := m.view.TransactionalID(id); !known || shown.Version < now.Version {
			return coordinator.ErrConcurrentTransactions
		}
		return nil
	})
}

// lastEpoch is the last of a producer id that a producer is told, as in Kafka.
const lastEpoch = math.MaxInt16 - 1

// complete waits until the last ending of an id is complete.
func (m *Manager) complete(ctx context.Context, id string) error {
	return m.Retry(ctx, func() error {
		now, _, err := m.decided(ctx, id)
		if err == nil && !now.Complete {
			err = coordinator.ErrConcurrentTransactions
		}
		return err
	})
}
