package transactions

import (
	"context"
	"fmt"
	"time"

	"firn.dev/coordinator"
)

// Begin is InitProducerId: it returns a producer id and an epoch that nothing of an earlier epoch
// comes after, once what was open is aborted. held, if it is not nil, asks for its next epoch
// (KIP-360). It waits for other endings and for the coordinator as long as ctx allows.
func (m *Manager) Begin(ctx context.Context, id string, timeout time.Duration,
	held *coordinator.Producer) (coordinator.Producer, error) {
	if timeout <= 0 || timeout > m.opts.MaxTimeout {
		return coordinator.Producer{}, fmt.Errorf(
			"%w: %s, it has to be above 0 and %s at most",
			ErrTimeout,
			timeout,
			m.opts.MaxTimeout,
		)
	}
	if _, known := m.view.TransactionalID(id); !known && m.view.TransactionalIDCount() >= m.opts.MaxIDs {
		return coordinator.Producer{}, fmt.Errorf("%w: there are %d", ErrTooMany, m.opts.MaxIDs)
	}
	fresh, err := m.opts.Node.ProducerID(ctx)
	if err != nil {
		return coordinator.Producer{}, err
	}
	fence := coordinator.Fence{ID: id, TimeoutMillis: int32(timeout.Milliseconds()), NewProducerID: fresh, Held: held}
	for n := 0; ; n++ {
		own, in, err := m.fence(ctx, fence)
		if err == nil {
			life, err := m.opts.Node.Life(ctx)
			if err == nil && life.Incarnation() == in {
				return producerOf(own), nil
			} // else the epoch may have been given twice (R7)
		} else if !passes(err) {
			return coordinator.Producer{}, err
		}
		if err := again.Pause(ctx, n); err != nil {
			return coordinator.Producer{}, err
		}
	}
}

// fence raises the epoch, and aborts what was ongoing under the one before. The id that it returns
// is in the journal, and no partition has an open transaction.
func (m *Manager) fence(
	ctx context.Context,
	f coordinator.Fence,
) (*coordinator.TransactionalID, coordinator.Incarnation, error) {
	fact, err := m.opts.Node.Change(ctx, coordinator.Change{Fence: &f})
	if err != nil {
		return nil, 0, err
	}
	if t := fact.TransactionalID; t.Aborting {
		return t, fact.Incarnation, m.abort(ctx, t)
	}
	return fact.TransactionalID, fact.Incarnation, nil
}

// abort aborts what was ongoing when an id was fenced.
func (m *Manager) abort(ctx context.Context, t *coordinator.TransactionalID) error {
	return m.end(ctx, t.ID, func(*coordinator.DecidedID) (coordinator.Ending, error) {
		return coordinator.Ending{
			Producer:      producerOf(t),
			Ordinal:       t.Ordinal,
			Result:        coordinator.Aborted,
			ByOwner:       true,
			NewProducerID: -1,
		}, nil
	})
}

func producerOf(t *coordinator.TransactionalID) coordinator.Producer {
	return coordinator.Producer{ProducerID: t.ProducerID, Epoch: t.Epoch}
}

// Add is AddPartitionsToTxn and AddOffsetsToTxn, of clients of the old protocol.
func (m *Manager) Add(ctx context.Context, a coordinator.AddToTransaction) error {
	return m.Retry(ctx, func() error {
		_, err := m.opts.Node.Change(ctx, coordinator.Change{Add: &a})
		return err
	})
}

// Retry tries until an answer is final, or ctx ends: while a transaction before is not complete, or
// the coordinator is away.
func (m *Manager) Retry(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || !passes(err) {
			return err
		}
		if ended := again.Pause(ctx, n); ended != nil {
			return err
		}
	}
}
