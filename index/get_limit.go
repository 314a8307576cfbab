package index

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// getLimit bounds what gets under way may take. Those of old data together take at most half of it,
// so that a replay, however many read for it, leaves the rest to live traffic; and so do those that
// nobody waits for yet.
type getLimit struct {
	limit int64
	all   *semaphore.Weighted
	old   *semaphore.Weighted // of half of limit
	ahead *semaphore.Weighted // of half of limit
	held  atomic.Int64        // bytes that gets under way have taken
}

func newGetLimit(limit int64) *getLimit {
	return &getLimit{limit: limit, all: semaphore.NewWeighted(limit), old: semaphore.NewWeighted(limit / 2),
		ahead: semaphore.NewWeighted(limit / 2)}
}

// weight is what a get of n bytes takes.
func (r *getLimit) weight(n int64, old bool) int64 {
	if old {
		return min(max(n, minGetWeight), r.limit/2)
	}
	return min(max(n, minGetWeight), r.limit)
}

// acquire waits for room for a get of n bytes, and returns how to give it back.
func (r *getLimit) acquire(ctx context.Context, n int64, old bool) (release func(), err error) {
	weight := r.weight(n, old)
	if old {
		if err := r.old.Acquire(ctx, weight); err != nil {
			return nil, err
		}
	}
	if err := r.all.Acquire(ctx, weight); err != nil {
		if old {
			r.old.Release(weight)
		}
		return nil, err
	}
	r.held.Add(weight)
	return func() { r.release(weight, old) }, nil
}

// tryAhead takes room for a get that nobody waits for, if there is some now.
func (r *getLimit) tryAhead(n int64, old bool) (release func(), ok bool) {
	weight := r.weight(n, old)
	if !r.ahead.TryAcquire(weight) {
		return nil, false
	}
	if old && !r.old.TryAcquire(weight) {
		r.ahead.Release(weight)
		return nil, false
	}
	if !r.all.TryAcquire(weight) {
		r.ahead.Release(weight)
		if old {
			r.old.Release(weight)
		}
		return nil, false
	}
	r.held.Add(weight)
	return func() { r.release(weight, old); r.ahead.Release(weight) }, true
}

func (r *getLimit) release(weight int64, old bool) {
	r.held.Add(-weight)
	r.all.Release(weight)
	if old {
		r.old.Release(weight)
	}
}
