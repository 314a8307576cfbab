package kafka

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// budget is an amount of memory that all connections share. Those who wait for some get it in the order in which they came.
type budget struct {
	limit string // the name of the Limits field
	total int64
	sem   *semaphore.Weighted
	used  atomic.Int64
}

func newBudget(limit string, total int64) *budget {
	return &budget{limit: limit, total: total, sem: semaphore.NewWeighted(total)}
}

// take waits for n bytes, no longer than ctx.
func (b *budget) take(ctx context.Context, n int64) error {
	if err := b.sem.Acquire(ctx, n); err != nil {
		return fmt.Errorf("%s: no room for %d bytes: %w", b.limit, n, context.Cause(ctx))
	}
	b.used.Add(n)
	return nil
}

func (b *budget) give(n int64) {
	b.used.Add(-n)
	b.sem.Release(n)
}

// free is about how much is left.
func (b *budget) free() int64 { return b.total - b.used.Load() }
