package coordinatortest

import (
	"context"
	"iter"
	"sync"
	"time"

	"firn.dev/coordinator"
)

// Frozen is the coordinator of a process that is stopped now and then, in the middle of its calls:
// they reach the coordinator before or behind the stop, and are answered behind it, whatever the
// caller's context says. It is made for bubbles of testing/synctest.
type Frozen struct {
	coordinator.Coordinator

	mu    sync.Mutex
	until time.Time
}

// Freezes are shorter than the leases of groups, of cleanup and of nodes, about as long, longer,
// and longer than what members, claims and polls wait.
var Freezes = []time.Duration{time.Second, 3 * time.Second, 5 * time.Second, 6500 * time.Millisecond,
	12 * time.Second, 31 * time.Second, 2 * time.Minute}

// Freeze stops the process from now on for that long.
func (f *Frozen) Freeze(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = time.Now().Add(d)
}

func (f *Frozen) pass() {
	f.mu.Lock()
	until := f.until
	f.mu.Unlock()
	time.Sleep(time.Until(until))
}

// Generation implements coordinator.Coordinator.
func (f *Frozen) Generation(ctx context.Context) (coordinator.Generation, error) {
	defer f.pass()
	return f.Coordinator.Generation(ctx)
}

// Acquire implements coordinator.Coordinator.
func (f *Frozen) Acquire(
	ctx context.Context, in coordinator.Incarnation, name, holder string, ttl time.Duration,
) (coordinator.Lease, error) {
	defer f.pass()
	return f.Coordinator.Acquire(ctx, in, name, holder, ttl)
}

// Propose implements coordinator.Coordinator.
func (f *Frozen) Propose(
	ctx context.Context, in coordinator.Incarnation, c coordinator.Change,
) (coordinator.Entry, error) {
	defer f.pass()
	return f.Coordinator.Propose(ctx, in, c)
}

// Latest implements coordinator.Coordinator.
func (f *Frozen) Latest(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	defer f.pass()
	return f.Coordinator.Latest(ctx, in)
}

// Register implements coordinator.Coordinator.
func (f *Frozen) Register(
	ctx context.Context, in coordinator.Incarnation, n coordinator.NodeInfo, ttl time.Duration,
) error {
	f.pass()
	return f.Coordinator.Register(ctx, in, n, ttl)
}

// Follow implements coordinator.Coordinator.
func (f *Frozen) Follow(
	ctx context.Context, in coordinator.Incarnation, after uint64,
) iter.Seq2[coordinator.Entry, error] {
	return func(yield func(coordinator.Entry, error) bool) {
		for e, err := range f.Coordinator.Follow(ctx, in, after) {
			f.pass()
			if !yield(e, err) {
				return
			}
		}
	}
}
