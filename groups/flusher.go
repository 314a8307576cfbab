package groups

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"firn.dev/coordinator"
)

// flusher has decided offsets journaled: not each alone, which would cost an object each, but all
// that come within an interval together. So what the loss of a coordinator can undo is bounded by
// the interval and one put.
type flusher struct {
	interval time.Duration
	limit    int
	logger   *slog.Logger
	wake     chan struct{}

	mu      sync.Mutex
	waiting []settling
	drained chan struct{} // closed, and replaced, when waiting is taken
	running chan struct{} // of one element: held while a batch is being journaled
}

// settling is a decided fact and the life in which it was decided.
type settling struct {
	life  *coordinator.Life
	entry coordinator.Entry
}

func newFlusher(interval time.Duration, limit int, logger *slog.Logger) *flusher {
	return &flusher{interval: interval, limit: limit, logger: logger, wake: make(chan struct{}, 1),
		drained: make(chan struct{}), running: make(chan struct{}, 1)}
}

// add takes a decided fact. Entries without one are left out.
func (f *flusher) add(life *coordinator.Life, entry coordinator.Entry) {
	if entry.Fact == nil {
		return
	}
	f.mu.Lock()
	f.waiting = append(f.waiting, settling{life, entry})
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// awaitCapacity waits until fewer than limit facts wait.
func (f *flusher) awaitCapacity(ctx context.Context) error {
	for {
		f.mu.Lock()
		drained, full := f.drained, len(f.waiting) >= f.limit
		f.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// depth is how many facts wait.
func (f *flusher) depth() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.waiting))
}

// run journals until ctx ends.
func (f *flusher) run(ctx context.Context) {
	timer := time.NewTimer(f.interval)
	defer timer.Stop()
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		timer.Reset(f.interval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if err := f.flush(ctx); err != nil && ctx.Err() == nil {
			f.logger.Debug("committed offsets were not journaled by this life", "error", err)
		}
	}
}

// flush journals all facts that wait. It does not try the facts of an ended life again: if their
// incarnation goes on, another node finds them unjournaled in the commit stream and helps; if not,
// they are void. Those that may not be in the journal when ctx ends wait again, for Close.
func (f *flusher) flush(ctx context.Context) error {
	select {
	case f.running <- struct{}{}:
		defer func() { <-f.running }()
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	taken := f.waiting
	f.waiting = nil
	close(f.drained)
	f.drained = make(chan struct{})
	f.mu.Unlock()
	var failed error
	for len(taken) > 0 {
		life := taken[0].life
		var entries []coordinator.Entry
		for len(entries) < len(taken) && taken[len(entries)].life == life {
			entries = append(entries, taken[len(entries)].entry)
		}
		if err := life.Settle(ctx, entries...); err != nil {
			failed = err
			if ctx.Err() != nil {
				f.mu.Lock()
				f.waiting = append(taken, f.waiting...)
				f.mu.Unlock()
				return failed
			}
		}
		taken = taken[len(entries):]
	}
	return failed
}
