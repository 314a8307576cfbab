package groups

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
)

// shardOwnership is the time for which this node owns a shard of groups.
type shardOwnership struct {
	m     *Manager
	shard int
	life  *coordinator.Life
	lease *coordinator.Hold
	// renewed ends when the lease is lost. stop ends it, and the renewing.
	renewed context.Context
	stop    func()

	ended chan struct{} // closed by end

	ending sync.Once
	mu     sync.Mutex
	over   bool
	groups map[string]*hostedGroup
}

// holds says whether the lease is held, as far as this node knows.
func (t *shardOwnership) holds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.over && t.lease.Held()
}

// run has the lease renewed until it is lost, or is another node's to have.
func (t *shardOwnership) run() {
	defer t.end()
	defer t.stop()
	look := time.NewTicker(t.m.opts.LeaseTTL / 5)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-t.renewed.Done():
			if t.m.ctx.Err() == nil {
				t.m.opts.Logger.Info("groups are not this node's any more", "shard", t.shard, "cause", context.Cause(t.renewed))
			}
			return
		case <-t.ended:
			return
		}
		if !t.m.mine(t.shard) {
			t.handOver()
			return
		}
	}
}

// held asks the coordinator for the lease once more. Without an error nobody else has had it since
// this ownership began.
func (t *shardOwnership) held(ctx context.Context) error {
	doubted, err := t.lease.Renew(ctx)
	if doubted {
		t.regained()
	}
	return err
}

// current returns once it is certain that what the view showed before the call was all that
// anybody had been told of this ownership's groups. That takes two questions, because each may be
// answered wrongly by itself: whether the lease is still held, by a coordinator whose clock may
// have jumped; and whether that coordinator is still the one that decides, which only the bucket
// knows. No clock of this node is asked, so it may have been stopped at any point for any time.
func (t *shardOwnership) current(ctx context.Context) error {
	return t.sure(ctx, func(ctx context.Context) error {
		err := t.held(ctx)
		if err == nil {
			err = t.life.Current(ctx)
		}
		return err
	})
}

// still is current without its second question, which costs a request to the bucket: only a node
// whose Redis was given up may be wrong.
func (t *shardOwnership) still(ctx context.Context) error { return t.sure(ctx, t.held) }

func (t *shardOwnership) sure(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	select {
	case <-t.ended:
		return kerr.NotCoordinator
	default:
	}
	if told := t.m.told(ask(ctx)); told != nil {
		if told == kerr.NotCoordinator {
			t.end()
		}
		return told
	}
	return nil
}

// regained sets the timers of groups anew: while the lease was in doubt they rang in vain, and what
// they were set for is done now.
func (t *shardOwnership) regained() {
	t.mu.Lock()
	missed := slices.Collect(maps.Values(t.groups))
	t.mu.Unlock()
	for _, l := range missed {
		l.ring()
	}
}

// handOver gives the lease to the node whose it is to have, once what was committed under it is
// journaled.
func (t *shardOwnership) handOver() {
	ctx, cancel := context.WithTimeout(t.m.ctx, t.m.opts.LeaseTTL)
	defer cancel()
	t.keepAll(ctx)
	t.end()
	if err := t.m.flusher.flush(ctx); err != nil {
		t.m.opts.Logger.Debug("journaling offsets before handing groups over", "error", err)
	}
	t.stop()
	t.release(ctx)
	t.m.opts.Logger.Info("groups were handed over to another node", "shard", t.shard)
}

func (t *shardOwnership) release(ctx context.Context) {
	if err := t.lease.Release(ctx); err != nil {
		t.m.opts.Logger.Debug("handing groups back failed", "error", err)
	}
}

// end tells everybody who waits that this node does not own their group any more. When it returns,
// nothing more is planned under this ownership.
func (t *shardOwnership) end() {
	t.ending.Do(func() {
		t.mu.Lock()
		t.over = true
		close(t.ended)
		groups := t.groups
		t.groups = nil
		t.mu.Unlock()
		for _, l := range groups {
			l.step(func(_ time.Time, g *protocol.Group) { g.Die() })
			t.m.groups.Add(-1)
		}
	})
}

// enter returns a group and keeps it from being forgotten until leave. Without create, a group that
// nobody is in is nil.
func (t *shardOwnership) enter(group string, create bool) (*hostedGroup, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || !t.lease.Held() {
		return nil, kerr.NotCoordinator
	}
	return t.enterLocked(group, create)
}

func (t *shardOwnership) enterLocked(group string, create bool) (*hostedGroup, error) {
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
		l = newHostedGroup(t, group)
		t.groups[group] = l
		l.recall()
	}
	l.users++
	return l, nil
}

// leave gives back what enter returned.
func (t *shardOwnership) leave(l *hostedGroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.users--
	if l.users == 0 && t.groups[l.name] == l && l.idle() {
		delete(t.groups, l.name)
		t.m.groups.Add(-1)
		t.m.bytes.Add(-l.bytes()) // what a share group knows of partitions is stored
	}
}

// with runs f in a group of this node.
func (m *Manager) with(ctx context.Context, group string, create bool,
	f func(t *shardOwnership, l *hostedGroup) error) error {
	t, err := m.ownership(ctx, group)
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
