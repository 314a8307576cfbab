package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
)

// Offsets of a group without members are deleted when nobody has committed any for
// OffsetsRetention. When a group was left is nowhere stored, so the times of its commits have to
// tell: while a group has members, commits older than a day are made anew. They so live between
// OffsetsRetention and a day longer, by which they are counted. Share groups stay until somebody
// deletes them, as in Kafka.

// renewal is how old a commit of a group with members gets before it is made anew.
func (o *Options) renewal() time.Duration { return min(24*time.Hour, o.OffsetsRetention) }

// sweep looks for old offsets, again and again.
func (m *Manager) sweep(ctx context.Context) {
	ticker := time.NewTicker(m.opts.SweepInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			m.sweepOnce(ctx, now)
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manager) sweepOnce(ctx context.Context, now time.Time) {
	for _, group := range m.opts.Node.View().Groups() {
		if ctx.Err() != nil {
			return
		}
		if !m.mine(shardOf(group)) || !m.aged(group, now) {
			continue
		}
		if err := m.sweepGroup(ctx, group, now); err != nil && m.told(err) != kerr.NotCoordinator {
			m.opts.Logger.Warn("looking for old offsets", "group", group, "error", err)
		}
	}
}

// aged says whether a group has commits that are old enough to look at it more closely, or none.
func (m *Manager) aged(group string, now time.Time) bool {
	offsets := m.opts.Node.View().CommittedOffsets(group)
	for _, c := range offsets {
		if now.Sub(time.UnixMilli(c.Time)) >= m.opts.renewal() {
			return true
		}
	}
	return len(offsets) == 0
}

// sweepGroup deletes the old offsets of a group without members, and the group with the last of
// them. It renews those of a group with members, except for topics that they do not read any more.
func (m *Manager) sweepGroup(ctx context.Context, group string, now time.Time) error {
	return m.with(ctx, group, true, func(t *shardOwnership, l *hostedGroup) error {
		return t.commit(ctx, l, func(_ time.Time, g *protocol.Group) (c coordinator.CommitOffsets, _ *kerr.Error) {
			if g.Dead {
				return c, kerr.NotCoordinator
			}
			if g.IsShare() {
				return c, nil
			}
			offsets := m.opts.Node.View().CommittedOffsets(group)
			c.Offsets = m.swept(offsets, now, g)
			if kept := len(offsets) - len(c.Offsets); kept == 0 && g.Vacant() && m.exists(group, g) {
				c = coordinator.CommitOffsets{Forget: true}
			}
			return c, nil
		})
	})
}

// swept is what becomes of those of a group's offsets that do not stay as they are.
func (m *Manager) swept(offsets []coordinator.CommittedOffset, now time.Time, g *protocol.Group) (
	all []coordinator.GroupOffset) {
	reads := func(string) bool { return true }
	if g.OfConsumers() {
		reads = g.Subscriptions()
	}
	for _, committed := range offsets {
		age, in := now.Sub(time.UnixMilli(committed.Time)), g.Members() > 0
		topic := m.opts.Node.View().TopicName(committed.Partition.Topic)
		used := in && (topic == "" || reads(topic))
		switch {
		case used && age >= m.opts.renewal():
			all = append(all, committed.GroupOffset)
		case !used && age >= m.opts.OffsetsRetention+m.opts.renewal():
			all = append(all, coordinator.DeletedOffset(committed.Partition))
		}
	}
	return all
}
