package coordinator

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// leases are the embedded coordinator's. Epochs begin anew in each incarnation, above all earlier ones: the incarnation is their upper half.
type leases struct {
	incarnation Incarnation
	epochs      uint32
	held        map[string]heldLease
}

type heldLease struct {
	holder  string
	epoch   uint64
	expires time.Time
}

// Acquire implements Leases.
func (e *Embedded) Acquire(_ context.Context, in Incarnation, name, holder string, ttl time.Duration) (Lease, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return Lease{}, err
	}
	now := e.opts.Clock()
	l, known := e.leases.held[name]
	live := known && now.Before(l.expires)
	if live && l.holder != holder {
		return Lease{name, l.holder, l.epoch, l.expires.Sub(now)}, ErrLeaseHeld
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
	return Lease{name, l.holder, l.epoch, ttl}, nil
}

// Now implements Leases.
func (e *Embedded) Now(_ context.Context, in Incarnation) (time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.opts.Clock(), e.check(in)
}

// Release implements Leases.
func (e *Embedded) Release(_ context.Context, in Incarnation, name, holder string, epoch uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return err
	}
	l, known := e.leases.held[name]
	if !known || l.holder != holder || l.epoch != epoch || !e.opts.Clock().Before(l.expires) {
		return ErrLeaseLost
	}
	delete(e.leases.held, name)
	return nil
}

// nodes are the live ones, by id.
type nodes map[int32]registration

type registration struct {
	info    NodeInfo
	expires time.Time
}

// Register implements Registry.
func (e *Embedded) Register(_ context.Context, in Incarnation, node NodeInfo, ttl time.Duration) error {
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

// Nodes implements Registry.
func (e *Embedded) Nodes(_ context.Context, in Incarnation) ([]NodeInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return nil, err
	}
	now := e.opts.Clock()
	var live []NodeInfo
	for id, r := range e.nodes {
		if !now.Before(r.expires) {
			delete(e.nodes, id)
			continue
		}
		live = append(live, r.info)
	}
	slices.SortFunc(live, func(a, b NodeInfo) int { return cmp.Compare(a.ID, b.ID) })
	return live, nil
}
