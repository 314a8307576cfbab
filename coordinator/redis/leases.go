package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"firn.dev/coordinator"
)

// A lease's epoch is the incarnation in its upper half and, in its lower half, a number that Redis
// counts up in each incarnation: so it grows across incarnations too.
func epoch(in coordinator.Incarnation, number int64) uint64 {
	return uint64(in)<<32 | uint64(number)
}

// Acquire implements coordinator.Leases.
func (c *Coordinator) Acquire(
	ctx context.Context, in coordinator.Incarnation, name, holder string, ttl time.Duration,
) (coordinator.Lease, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return coordinator.Lease{}, err
	}
	keys := []string{g.current(), g.counters(), g.leases()}
	answer, err := c.run(ctx, acquireScript, keys, g.name, name, holder, ttl.Microseconds())
	if err != nil {
		return coordinator.Lease{}, err
	}
	r := newReply(answer)
	ours := r.int() == 1
	lease := coordinator.Lease{Name: name, Holder: r.string(), Epoch: epoch(in, r.int())}
	lease.Expires = time.Duration(r.int()) * time.Microsecond
	switch {
	case r.err != nil:
		return coordinator.Lease{}, r.err
	case !ours:
		return lease, coordinator.ErrLeaseHeld
	}
	return lease, nil
}

// Now implements coordinator.Leases.
func (c *Coordinator) Now(ctx context.Context, in coordinator.Incarnation) (time.Time, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return time.Time{}, err
	}
	answer, err := c.run(ctx, nowScript, []string{c.shard.current()}, g.name)
	if err != nil {
		return time.Time{}, err
	}
	r := newReply([]any{answer})
	return time.UnixMicro(r.int()), r.err
}

// Release implements coordinator.Leases.
func (c *Coordinator) Release(ctx context.Context, in coordinator.Incarnation, name, holder string, held uint64) error {
	g, err := c.generation(ctx, in)
	if err != nil {
		return err
	}
	number := int64(-1) // of another incarnation: nobody's
	if held>>32 == uint64(in) {
		number = int64(uint32(held))
	}
	answer, err := c.run(ctx, releaseScript, []string{g.current(), g.leases()}, g.name, name, holder, number)
	if err != nil {
		return err
	}
	r := newReply([]any{answer})
	if released := r.int() == 1; !released && r.err == nil {
		return coordinator.ErrLeaseLost
	}
	return r.err
}

// Register implements coordinator.Registry.
func (c *Coordinator) Register(
	ctx context.Context, in coordinator.Incarnation, node coordinator.NodeInfo, ttl time.Duration,
) error {
	g, err := c.generation(ctx, in)
	if err != nil {
		return err
	}
	info, err := json.Marshal(node)
	if err != nil {
		return err
	}
	keys := []string{g.current(), g.nodes()}
	_, err = c.run(ctx, registerScript, keys, g.name, node.ID, max(0, ttl.Microseconds()), info)
	if err == nil && ttl > 0 {
		_, _ = c.forget(ctx, g) // now and then is often enough; what is wrong, the next call says as well
	}
	return err
}

// Nodes implements coordinator.Registry.
func (c *Coordinator) Nodes(ctx context.Context, in coordinator.Incarnation) ([]coordinator.NodeInfo, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return nil, err
	}
	answer, err := c.run(ctx, nodesScript, []string{g.current(), g.nodes()}, g.name)
	if err != nil {
		return nil, err
	}
	r := newReply(answer)
	var nodes []coordinator.NodeInfo
	for len(r.rest) > 0 {
		var node coordinator.NodeInfo
		if err := json.Unmarshal([]byte(r.string()), &node); err != nil {
			return nil, fmt.Errorf("redis: a node: %w", err)
		}
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b coordinator.NodeInfo) int { return cmp.Compare(a.ID, b.ID) })
	return nodes, r.err
}

// AnnounceRecovery implements coordinator.Recoveries.
func (c *Coordinator) AnnounceRecovery(ctx context.Context, in coordinator.Incarnation, ttl time.Duration) error {
	_, err := c.recovering(ctx, in, ttl)
	return err
}

// AnnouncedRecovery implements coordinator.Recoveries.
func (c *Coordinator) AnnouncedRecovery(ctx context.Context) (coordinator.Incarnation, error) {
	return c.recovering(ctx, 0, 0)
}

func (c *Coordinator) recovering(ctx context.Context, in coordinator.Incarnation,
	ttl time.Duration) (coordinator.Incarnation, error) {
	answer, err := c.run(ctx, recoveringScript, []string{c.shard.recovering()}, "", uint64(in), ttl.Microseconds())
	if err != nil {
		return 0, err
	}
	r := newReply([]any{answer})
	return coordinator.Incarnation(r.int()), r.err
}
