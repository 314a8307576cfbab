package embedded

import (
	"cmp"
	"context"
	"slices"
	"time"

	"firn.dev/coordinator"
)

// leases are those of one incarnation. Their epochs are above those of all earlier incarnations:
// the incarnation is their upper half.
type leases struct {
	incarnation coordinator.Incarnation
	epochs      uint32
	held        map[string]heldLease
}

type heldLease struct {
	holder  string
	epoch   uint64
	expires time.Time
}

// Acquire implements coordinator.Leases.
func (e *Coordinator) Acquire(_ context.Context, in coordinator.Incarnation, name, holder string,
	ttl time.Duration) (coordinator.Lease, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return coordinator.Lease{}, err
	}
	now := e.opts.Clock()
	l, known := e.leases.held[name]
	live := known && now.Before(l.expires)
	if live && l.holder != holder {
		return coordinator.Lease{Name: name, Holder: l.holder, Epoch: l.epoch, Expires: l.expires.Sub(now)},
			coordinator.ErrLeaseHeld
	}
	if !known || l.holder != holder {
		e.leases.epochs++
		l = heldLease{holder: holder, epoch: uint64(in)<<32 | uint64(e.leases.epochs)}
	}
	l.expires = now.Add(ttl)
	if e.leases.held == nil {
		e.leases.held = map[string]heldLease{}
	}
	e.leases.held[name] = l
	return coordinator.Lease{Name: name, Holder: l.holder, Epoch: l.epoch, Expires: ttl}, nil
}

// Now implements coordinator.Leases.
func (e *Coordinator) Now(_ context.Context, in coordinator.Incarnation) (time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.opts.Clock(), e.check(in)
}

// Release implements coordinator.Leases.
func (e *Coordinator) Release(_ context.Context, in coordinator.Incarnation, name, holder string, epoch uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return err
	}
	l, known := e.leases.held[name]
	if !known || l.holder != holder || l.epoch != epoch || !e.opts.Clock().Before(l.expires) {
		return coordinator.ErrLeaseLost
	}
	delete(e.leases.held, name)
	return nil
}

// nodes are the live ones, by id.
type nodes map[int32]registration

type registration struct {
	info    coordinator.NodeInfo
	expires time.Time
}

// Register implements coordinator.Registry.
func (e *Coordinator) Register(_ context.Context, in coordinator.Incarnation, node coordinator.NodeInfo,
	ttl time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return err
	}
	if ttl <= 0 {
		delete(e.nodes, node.ID)
		return nil
	}
	e.nodes[node.ID] = registration{node, e.opts.Clock().Add(ttl)}
	return nil
}

// Nodes implements coordinator.Registry.
func (e *Coordinator) Nodes(_ context.Context, in coordinator.Incarnation) ([]coordinator.NodeInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return nil, err
	}
	now := e.opts.Clock()
	var live []coordinator.NodeInfo
	for id, r := range e.nodes {
		if !now.Before(r.expires) {
			delete(e.nodes, id)
			continue
		}
		live = append(live, r.info)
	}
	slices.SortFunc(live, func(a, b coordinator.NodeInfo) int { return cmp.Compare(a.ID, b.ID) })
	return live, nil
}
