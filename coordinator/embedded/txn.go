package embedded

import (
	"context"
	"time"

	"firn.dev/coordinator"
)

// What is decided of transactional ids beside what commits decide: State.DecideID says what.

// TransactionalID implements coordinator.Lookups.
func (e *Coordinator) TransactionalID(_ context.Context, in coordinator.Incarnation,
	id string) (coordinator.DecidedID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return coordinator.DecidedID{}, err
	}
	return e.decided.DecidedID(id, e.highWatermark)
}

// changeID decides a change of a transactional id. That it may come again harms nobody: so it is
// not remembered.
func (e *Coordinator) changeID(in coordinator.Incarnation, c *coordinator.Change,
	now time.Time) (coordinator.Entry, error) {
	if c.Stage != nil {
		if err := e.holds(c.Stage.Lease, c.Stage.Epoch, now); err != nil {
			return coordinator.Entry{}, err
		}
	}
	t, err := e.decided.DecideID(c, e.highWatermark, now.UnixMilli())
	if err != nil {
		return coordinator.Entry{}, err
	}
	fact := &coordinator.Fact{Incarnation: in, TransactionalID: t}
	if err := e.decided.Apply(fact); err != nil {
		return coordinator.Entry{}, err
	}
	return e.decide(fact), nil
}
