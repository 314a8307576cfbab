package cleanup

import (
	"context"
	"fmt"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// hold is a lease that is held for some work, which ends with ctx when the lease is lost.
type hold struct {
	c     *Cleaner
	lease *coordinator.Hold
	ctx   context.Context
	stop  func()
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
	lease, err := life.Hold(ctx, name, c.opts.LeaseTTL)
	if err != nil {
		return nil, err
	}
	h := &hold{c: c, lease: lease}
	h.ctx, h.stop = lease.While(ctx, nil)
	if err := c.opts.Node.CatchUp(h.ctx); err != nil {
		h.letGo()
		return nil, err
	}
	return h, nil
}

// releaseTimeout bounds how long a lease takes to be given back. It ends by itself otherwise.
const releaseTimeout = 2 * time.Second

// letGo gives the lease back.
func (h *hold) letGo() {
	h.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), releaseTimeout)
	defer cancel()
	if err := h.lease.Release(ctx); err != nil {
		h.c.opts.Logger.Debug("letting a lease go failed", "error", err)
	}
}
