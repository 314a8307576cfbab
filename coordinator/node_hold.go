package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Hold is a lease that a life holds: it has the lease renewed, knows until when nobody else can
// have it, and says when it is lost. All who hold a lease do it with one.
type Hold struct {
	Lease
	life *Life
	ttl  time.Duration

	mu    sync.Mutex
	until time.Time // by this node's clock, and on the safe side
}

// renewals is how often a lease is renewed in the time that it lasts, so that a few tries may fail.
const renewals = 5

// Hold takes a lease; ErrLeaseHeld says that another has it. The caller releases it.
func (l *Life) Hold(ctx context.Context, name string, ttl time.Duration) (*Hold, error) {
	asked := time.Now()
	lease, err := l.Acquire(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	return &Hold{Lease: lease, life: l, ttl: ttl, until: asked.Add(ttl)}, nil
}

// Held reports whether the lease is held, as far as this node knows. It may be in doubt for a while
// and held again afterwards.
func (h *Hold) Held() bool { return time.Now().Before(h.end()) }

func (h *Hold) end() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.until
}

// Renew asks the coordinator for the lease once more. Without an error nobody else has had it since
// Hold. It reports whether the lease was in doubt before: Held has said no meanwhile.
func (h *Hold) Renew(ctx context.Context) (doubted bool, err error) {
	asked := time.Now()
	lease, err := h.life.Acquire(ctx, h.Name, h.ttl)
	switch {
	case err != nil:
		return false, err
	case lease.Epoch != h.Epoch: // taken again: what was decided meanwhile is not known here
		return false, fmt.Errorf("%w: %s", ErrLeaseLost, h.Name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	doubted = !time.Now().Before(h.until)
	if until := asked.Add(h.ttl); until.After(h.until) {
		h.until = until
	}
	return doubted, nil
}

// While has the lease renewed, and returns a context that ends when it is lost; its cause says why.
// Each time that the lease was in doubt and is held again, it calls regained, unless that is nil.
// stop ends the context, and returns once nothing is renewed any more.
func (h *Hold) While(ctx context.Context, regained func()) (held context.Context, stop func()) {
	held, end := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { end(h.renew(held, regained)) })
	return held, func() {
		end(context.Canceled)
		renewal.Wait()
	}
}

// renew renews the lease until it is lost, and says why.
func (h *Hold) renew(ctx context.Context, regained func()) error {
	timer := time.NewTicker(h.ttl / renewals)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-h.life.Ended():
			return fmt.Errorf("%w: %s", ErrLeaseLost, h.Name)
		case <-ctx.Done():
			return ctx.Err()
		}
		until := h.end()
		asking, cancel := context.WithDeadline(ctx, until)
		doubted, err := h.Renew(asking)
		cancel()
		switch {
		case err != nil && (ClassOf(err) != ClassInDoubt || !time.Now().Before(until)):
			return fmt.Errorf("%w: %s: %w", ErrLeaseLost, h.Name, err)
		case doubted && regained != nil:
			regained()
		}
	}
}

// Release gives the lease back. A lease that was lost already is no error.
func (h *Hold) Release(ctx context.Context) error {
	if err := h.life.Release(ctx, h.Lease); err != nil && !errors.Is(err, ErrLeaseLost) {
		return fmt.Errorf("handing the lease %s back: %w", h.Name, err)
	}
	return nil
}
