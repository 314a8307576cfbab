package groups

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// tenure is the time for which this node owns a shard of groups.
type tenure struct {
	m     *Manager
	shard int
	life  *coordinator.Life
	lease coordinator.Lease
	ended chan struct{} // closed by end

	ending sync.Once
	mu     sync.Mutex
	over   bool
	until  time.Time // the lease's end, by this node's clock and on the safe side
	groups map[string]*live
}

// holds says whether the lease is held, as far as this node knows.
func (t *tenure) holds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.over && time.Now().Before(t.until)
}

// run renews the lease until it is lost, or is another node's to have.
func (t *tenure) run() {
	defer t.end()
	renewal := time.NewTicker(t.m.opts.LeaseTTL / 5)
	defer renewal.Stop()
	for {
		select {
		case <-renewal.C:
		case <-t.life.Ended():
			return
		case <-t.ended:
			return
		}
		if !t.m.mine(t.shard) {
			t.handOver()
			return
		}
		if err := t.renew(); err != nil {
			t.m.opts.Logger.Info("groups are not this node's any more", "shard", t.shard, "cause", err)
			return
		}
	}
}

// renew fails when the lease is lost. Other errors are tried again, until it would have ended.
func (t *tenure) renew() error {
	t.mu.Lock()
	until := t.until
	t.mu.Unlock()
	ctx, cancel := context.WithDeadline(t.m.ctx, until)
	defer cancel()
	if err := t.held(ctx); err != nil && (t.m.told(err) == kerr.NotCoordinator || !time.Now().Before(until)) {
		return err
	}
	return nil
}

// held asks the coordinator for the lease once more. Without an error nobody else has had it since
// this tenure began.
func (t *tenure) held(ctx context.Context) error {
	asked := time.Now()
	lease, err := t.life.Acquire(ctx, t.lease.Name, t.m.opts.LeaseTTL)
	if err != nil {
		return err
	}
	if lease.Epoch != t.lease.Epoch {
		return coordinator.ErrLeaseLost // and taken again: what was decided meanwhile is not known here
	}
	t.extend(asked.Add(t.m.opts.LeaseTTL))
	return nil
}

// current returns once it is certain that what the view showed before the call was all that
// anybody had been told of this tenure's groups. That takes two questions, because each may be
// answered wrongly by itself: whether the lease is still held, by a coordinator whose clock may
// have jumped; and whether that coordinator is still the one that decides, which only the bucket
// knows. No clock of this node is asked, so it may have been stopped at any point for any time.
func (t *tenure) current(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	select {
	case <-t.ended:
		return kerr.NotCoordinator
	default:
	}
	err := t.held(ctx)
	if err == nil {
		err = t.life.Current(ctx)
	}
	if told := t.m.told(err); told != nil {
		if told == kerr.NotCoordinator {
			t.end()
		}
		return told
	}
	return nil
}

// extend notes until when the lease is held. While it was in doubt, timers of groups rang in vain: what they were set
// for is done now, and they are set anew.
func (t *tenure) extend(until time.Time) {
	t.mu.Lock()
	var missed []*live
	if now := time.Now(); !now.Before(t.until) && now.Before(until) {
		missed = slices.Collect(maps.Values(t.groups))
	}
	t.until = until
	t.mu.Unlock()
	for _, l := range missed {
		l.ring()
	}
}

// handOver gives the lease to the node whose it is to have, once what was committed under it is journaled.
func (t *tenure) handOver() {
	ctx, cancel := context.WithTimeout(t.m.ctx, t.m.opts.LeaseTTL)
	defer cancel()
	t.keepAll(ctx)
	t.end()
	if err := t.m.flusher.flush(ctx); err != nil {
		t.m.opts.Logger.Debug("journaling offsets before handing groups over", "error", err)
	}
	t.release(ctx)
	t.m.opts.Logger.Info("groups were handed over to another node", "shard", t.shard)
}

func (t *tenure) release(ctx context.Context) {
	if err := t.life.Release(ctx, t.lease); err != nil && !errors.Is(err, coordinator.ErrLeaseLost) {
		t.m.opts.Logger.Debug("handing a lease back failed", "lease", t.lease.Name, "error", err)
	}
}

// end tells everybody who waits that this node does not own their group any more. When it returns,
// nothing more is planned under this tenure, whoever called it first.
func (t *tenure) end() {
	t.ending.Do(func() {
		t.mu.Lock()
		t.over = true
		close(t.ended)
		groups := t.groups
		t.groups = nil
		t.mu.Unlock()
		for _, l := range groups {
			l.step(func(_ time.Time, g *party) { g.die() })
			t.m.groups.Add(-1)
		}
	})
}

// enter returns a group and keeps it from being forgotten until leave. Without create, a group that nobody is in is nil.
func (t *tenure) enter(group string, create bool) (*live, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || !time.Now().Before(t.until) {
		return nil, kerr.NotCoordinator
	}
	return t.enterLocked(group, create)
}

func (t *tenure) enterLocked(group string, create bool) (*live, error) {
	l := t.groups[group]
	if l == nil {
		if !create {
			return nil, nil
		}
		if t.m.groups.Add(1) > int64(t.m.opts.Limits.MaxGroups) {
			t.m.groups.Add(-1)
			t.m.failures.Do(func() {
				t.m.opts.Logger.Warn("MaxGroups: a consumer group is refused", "limit", t.m.opts.Limits.MaxGroups)
			})
			return nil, kerr.GroupMaxSizeReached
		}
		l = newLive(t, group)
		t.groups[group] = l
		l.recall()
	}
	l.users++
	return l, nil
}

// leave gives back what enter returned.
func (t *tenure) leave(l *live) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.users--
	if l.users == 0 && !t.over && l.idle() {
		delete(t.groups, l.name)
		t.m.groups.Add(-1)
	}
}

// with runs f in a group of this node.
func (m *Manager) with(ctx context.Context, group string, create bool, f func(t *tenure, l *live) error) error {
	t, err := m.tenure(ctx, group)
	if err != nil {
		return err
	}
	l, err := t.enter(group, create)
	if err != nil {
		return err
	}
	if l != nil {
		defer t.leave(l)
	}
	return f(t, l)
}
