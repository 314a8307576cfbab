package groups

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
)

// keepLocked has what the next owner must know stored, unless that is under way.
func (l *hostedGroup) keepLocked() {
	if l.keeping || l.group.Dead || l.group.Agreement() == l.kept {
		return
	}
	l.keeping = true
	l.t.m.tasks.Go(func() {
		l.keep(l.t.m.ctx)
		l.t.dismiss(l)
	})
}

// keepAgain is how long a group waits before it tries again to store its members.
const keepAgain = time.Second

// keep stores the members until what is stored is what is, or nothing more can be.
func (l *hostedGroup) keep(ctx context.Context) {
	for {
		now, members, due := l.unkept(ctx)
		if !due {
			return
		}
		planned := false
		var partitions *protocol.Unstored
		err := l.t.commit(ctx, l, func(_ time.Time, g *protocol.Group) (c coordinator.CommitOffsets, refused *kerr.Error) {
			if g.Dead {
				return c, kerr.NotCoordinator
			}
			// The group may have gone on, or been deleted, while this waited for its turn.
			if stored, agreed := g.Export(); agreed {
				now, members, planned = g.Agreement(), stored, true
				partitions = g.Unstored()
				c.Offsets = append(partitions.Offsets, coordinator.Membership(members))
			}
			return c, nil
		})
		if err == nil {
			if planned {
				l.didKeep(now, len(members) > 0, partitions)
			}
			continue
		}
		l.t.m.failures.Do(func() {
			l.t.m.opts.Logger.Warn("storing the members of a group fails, trying again", "group", l.name, "error", err)
		})
		select {
		case <-time.After(keepAgain):
		case <-l.t.ended:
		case <-ctx.Done():
		}
	}
}

// unkept returns what is to be stored now. If that is nothing, keeping is over.
func (l *hostedGroup) unkept(ctx context.Context) (now protocol.Agreement, members []byte, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now = l.group.Agreement()
	if !l.group.Dead && ctx.Err() == nil && now != l.kept {
		if members, due = l.group.Export(); due {
			if len(members) > 0 && l.mayKeep() || l.stored {
				return now, members, true
			}
			l.kept = now
		}
	}
	l.keeping = false
	return now, nil, false
}

// mayKeep says whether there is room to store the group. One that is empty is worth less than one
// that wants to commit.
func (l *hostedGroup) mayKeep() bool {
	return l.group.Members() > 0 || l.stored || l.t.m.mayStore(l.name) == nil
}

// didKeep notes what was stored.
func (l *hostedGroup) didKeep(what protocol.Agreement, some bool, partitions *protocol.Unstored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept, l.stored = what, some
	partitions.Kept()
}

// dismiss forgets a group that nobody is in, once its members are stored.
func (t *shardOwnership) dismiss(l *hostedGroup) {
	t.mu.Lock()
	l.users++
	t.mu.Unlock()
	t.leave(l)
}

// keepAll stores what groups have not stored yet, before another node takes them over.
func (t *shardOwnership) keepAll(ctx context.Context) {
	t.mu.Lock()
	groups := slices.Collect(maps.Values(t.groups))
	t.mu.Unlock()
	for _, l := range groups {
		l.mu.Lock()
		ours := !l.keeping && !l.group.Dead && l.group.Agreement() != l.kept
		l.keeping = l.keeping || ours
		l.mu.Unlock()
		if ours {
			l.keep(ctx)
		}
	}
}

// takeOver brings the groups of this shard back as former owners stored them.
func (t *shardOwnership) takeOver() {
	view := t.m.opts.Node.View()
	for _, name := range view.Groups() {
		if shardOf(name) != t.shard || view.Membership(name) == nil {
			continue
		}
		t.mu.Lock()
		l, err := t.enterLocked(name, true) // also when this took so long that the lease has to be renewed first
		t.mu.Unlock()
		if err == nil { // or MaxGroups, which enterLocked tells of
			t.leave(l)
		}
	}
}

// recall brings a group that was not in memory back as it was stored, if it was.
func (l *hostedGroup) recall() {
	stored := l.t.m.opts.Node.View().Membership(l.name)
	if stored == nil {
		return
	}
	l.step(func(now time.Time, g *protocol.Group) {
		topics := l.t.m.topics.Load()
		if err := g.Restore(now, stored, topics); err != nil {
			l.t.m.opts.Logger.Warn("the stored members of a group cannot be read; they have to join again",
				"group", l.name, "error", err)
		}
		l.kept, l.stored = g.Agreement(), true
		g.CatchUp(topics)
	})
}

// forget makes a group that was deleted one that never had a member, unless somebody has joined
// meanwhile.
func (l *hostedGroup) forget() {
	l.step(func(_ time.Time, g *protocol.Group) {
		if g.Forget() {
			l.kept, l.stored = g.Agreement(), false
		}
	})
}

// dormant describes a group that is not in memory; false if nothing is stored of it.
func (m *Manager) dormant(group string) (d Description, exists bool) {
	d.Group = group
	view := m.opts.Node.View()
	stored := view.Membership(group)
	if stored == nil {
		return d, view.GroupExists(group)
	}
	if g := protocol.NewGroup(&m.ofGroups); g.Restore(time.Now(), stored, m.topics.Load()) == nil {
		g.Describe(&d)
	}
	return d, true
}
