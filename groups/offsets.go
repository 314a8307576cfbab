package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
	"firn.dev/segments"
)

// Commit stores offsets of a group. They are decided when it returns, and journaled within a
// second. Offsets are of different partitions that exist, with metadata that is not longer than
// OffsetMetadataBytes: front doors answer for the others one by one.
func (m *Manager) Commit(ctx context.Context, group string, c Committer,
	offsets []coordinator.GroupOffset) *kerr.Error {
	c.Offsets = offsets
	return m.told(m.with(ctx, group, c.Generation < 0, func(t *shardOwnership, l *hostedGroup) error {
		switch {
		case l == nil && c.Epochs:
			return kerr.UnknownMemberID // which members of both protocols understand
		case l == nil:
			return kerr.IllegalGeneration // nobody of that generation is known
		}
		if refused := m.mayStore(group); refused != nil {
			return refused
		}
		return t.commit(ctx, l, func(now time.Time, g *protocol.Group) (coordinator.CommitOffsets, *kerr.Error) {
			refused := g.MayCommit(now, c)
			if refused != nil {
				m.metrics.refused.Inc()
			}
			return coordinator.CommitOffsets{Offsets: offsets}, refused
		})
	}))
}

// mayStore says whether there is room for the offsets of a group.
func (m *Manager) mayStore(group string) *kerr.Error {
	if view := m.opts.Node.View(); view.GroupCount() >= m.opts.Limits.MaxStoredGroups &&
		len(view.CommittedOffsets(group)) == 0 {
		m.failures.Do(func() { m.opts.Logger.Warn("MaxStoredGroups: a consumer group cannot commit", "group", group) })
		return kerr.GroupMaxSizeReached
	}
	return nil
}

// commit has the coordinator decide what a group commits or gives up, as plan says, which may
// refuse. The commits of one group are planned and decided one after the other, and numbered as
// they are planned: so none of an earlier generation comes behind one of a later, one whose answer
// was lost undoes nothing if it arrives after the next, and what plan finds committed is what was
// committed last.
func (t *shardOwnership) commit(ctx context.Context, l *hostedGroup,
	plan func(now time.Time, g *protocol.Group) (coordinator.CommitOffsets, *kerr.Error)) error {
	return t.commitThen(ctx, l, plan, func(*protocol.Group, bool) {})
}

// commitThen is commit, and runs done when a plan that was not refused is decided, or is not,
// before the next commit is planned.
func (t *shardOwnership) commitThen(ctx context.Context, l *hostedGroup,
	plan func(now time.Time, g *protocol.Group) (coordinator.CommitOffsets, *kerr.Error),
	done func(g *protocol.Group, decided bool)) error {
	select {
	case l.committing <- struct{}{}:
		defer func() { <-l.committing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := t.m.flusher.awaitCapacity(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // a client that left while it waited for its turn commits nothing
	}
	var c coordinator.CommitOffsets
	err := l.ask(func(now time.Time, g *protocol.Group) (refused *kerr.Error) {
		if g.Dead {
			return kerr.NotCoordinator
		}
		c, refused = plan(now, g)
		c.Version = t.m.shards[t.shard].nextVersion() // before this ownership can end
		return refused
	})
	if err != nil {
		return err
	}
	decided := len(c.Offsets) == 0 && !c.Forget // for there is nothing to decide
	defer func() { l.step(func(_ time.Time, g *protocol.Group) { done(g, decided) }) }()
	if decided {
		return nil
	}
	c.Lease, c.Epoch, c.Group = t.lease.Name, t.lease.Epoch, l.name
	// a client that goes away leaves no half of a commit behind
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeTimeout)
	defer cancel()
	entry, err := t.life.Decide(ctx, coordinator.Change{Offsets: &c})
	t.m.flusher.add(t.life, entry)
	if err == nil {
		t.m.metrics.commits.Add(float64(len(c.Offsets)))
		decided = true
		if c.Forget {
			l.forget() // before the next commit is planned, which might store what the group was
		}
		return nil
	}
	told := t.m.told(err)
	if told == kerr.NotCoordinator {
		t.end()
	}
	return told
}

// Delete deletes a group that has no members, with all that it has committed.
func (m *Manager) Delete(ctx context.Context, group string) *kerr.Error {
	return m.told(m.with(ctx, group, true, func(t *shardOwnership, l *hostedGroup) error {
		return t.commit(ctx, l, func(_ time.Time, g *protocol.Group) (c coordinator.CommitOffsets, _ *kerr.Error) {
			switch {
			case g.Dead:
				return c, kerr.NotCoordinator
			case g.InUse():
				return c, kerr.NonEmptyGroup
			case !m.exists(group, g):
				return c, kerr.GroupIDNotFound
			}
			return coordinator.CommitOffsets{Forget: true}, nil
		})
	}))
}

// exists says that there is something to tell of a group: what it has committed, or what its
// members have made it.
func (m *Manager) exists(group string, g *protocol.Group) bool {
	_, stored := m.dormant(group)
	return stored || g.Remembers()
}

// DeleteOffsets deletes what a group has committed for partitions, and answers for each of them:
// those of topics that members are subscribed to stay.
func (m *Manager) DeleteOffsets(ctx context.Context, group string, partitions []segments.Partition) ([]*kerr.Error,
	*kerr.Error) {
	answers := make([]*kerr.Error, len(partitions))
	view := m.opts.Node.View()
	err := m.with(ctx, group, true, func(t *shardOwnership, l *hostedGroup) error {
		return t.commit(ctx, l, func(_ time.Time, g *protocol.Group) (c coordinator.CommitOffsets, _ *kerr.Error) {
			switch {
			case g.Dead:
				return c, kerr.NotCoordinator
			case g.IsShare():
				return c, kerr.GroupIDNotFound
			case g.Members() > 0 && !g.OfConsumers():
				return c, kerr.NonEmptyGroup
			case g.Members() == 0 && !m.exists(group, g):
				return c, kerr.GroupIDNotFound
			}
			subscribed, seen := g.Subscriptions(), map[segments.Partition]bool{}
			for i, at := range partitions {
				if topic := view.TopicName(at.Topic); topic != "" && subscribed(topic) {
					answers[i] = kerr.GroupSubscribedToTopic
				} else if _, committed := view.Committed(group, at); committed && !seen[at] {
					c.Offsets = append(c.Offsets, coordinator.DeletedOffset(at))
					seen[at] = true
				}
			}
			return c, nil
		})
	})
	return answers, m.told(err)
}
