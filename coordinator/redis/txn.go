package redis

import (
	"context"
	"fmt"

	"firn.dev/coordinator"
)

// TransactionalID implements coordinator.Lookups. There are none here yet.
func (c *Coordinator) TransactionalID(ctx context.Context, in coordinator.Incarnation,
	id string) (coordinator.DecidedID, error) {
	if _, err := c.generation(ctx, in); err != nil {
		return coordinator.DecidedID{}, err
	}
	return coordinator.DecidedID{}, fmt.Errorf("%w: %q", coordinator.ErrTransactionalID, id)
}

// errNoTransactions refuses what the scripts do not know yet.
var errNoTransactions = fmt.Errorf("%w: Redis keeps no transactions yet", coordinator.ErrUnknownChange)

// transactional says whether a commit has anything to do with transactions.
func transactional(req *coordinator.CommitRequest) bool {
	if len(req.Endings) > 0 {
		return true
	}
	for i := range req.Runs {
		for j := range req.Runs[i].Batches {
			if req.Runs[i].Batches[j].Protocol != coordinator.NotTransactional {
				return true
			}
		}
	}
	return false
}
