package cleanup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// hold is a lease that is held, and renewed for as long as that.
type hold struct {
	c     *Cleaner
	life  *coordinator.Life
	lease coordinator.Lease

	ctx     context.Context // ends when the lease is lost, the life is over or the hold is let go
	end     context.CancelCauseFunc
	renewal sync.WaitGroup
}

// leaseOf names the lease of a partition.
func leaseOf(at segments.Partition) string { return fmt.Sprintf("cleanup/%s/%d", at.Topic, at.Index) }

// take takes a lease; coordinator.ErrLeaseHeld says that another node has it. Whoever gets it lets
// it go. The view shows everything that was done under it before.
func (c *Cleaner) take(ctx context.Context, name string) (*hold, error) {
	life, err := c.opts.Node.Life(ctx)
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	lease, err := life.Acquire(ctx, name, c.opts.LeaseTTL)
	if err != nil {
		return nil, err
	}
	h := &hold{c: c, life: life, lease: lease}
	h.ctx, h.end = context.WithCancelCause(ctx)
	h.renewal.Go(func() { h.renew(asked.Add(c.opts.LeaseTTL)) })
	if err := c.opts.Node.CatchUp(h.ctx); err != nil {
		h.letGo()
		return nil, err
	}
	return h, nil
}

// renew renews the lease until it is lost or let go.
func (h *hold) renew(until time.Time) {
	ttl := h.c.opts.LeaseTTL
	timer := time.NewTicker(ttl / 3)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-h.life.Ended():
			h.end(coordinator.ErrLeaseLost)
			return
		case <-h.ctx.Done():
			return
		}
		asked := time.Now()
		ctx, cancel := context.WithDeadline(h.ctx, until)
		lease, err := h.life.Acquire(ctx, h.lease.Name, ttl)
		cancel()
		switch {
		case err == nil && lease.Epoch == h.lease.Epoch:
			until = asked.Add(ttl)
		case errors.Is(err, coordinator.ErrUnavailable) && time.Now().Before(until):
		case h.ctx.Err() == nil:
			h.end(fmt.Errorf("%w: %s", coordinator.ErrLeaseLost, h.lease.Name))
			return
		}
	}
}

// releaseTimeout bounds how long a lease takes to be given back. It ends by itself otherwise.
const releaseTimeout = 2 * time.Second

// letGo gives the lease back.
func (h *hold) letGo() {
	h.end(context.Canceled)
	h.renewal.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), releaseTimeout)
	defer cancel()
	if err := h.life.Release(ctx, h.lease); err != nil {
		h.c.opts.Logger.Debug("handing a lease back failed", "lease", h.lease.Name, "error", err)
	}
}
