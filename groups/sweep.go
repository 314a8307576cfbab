package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// Offsets of a group without members are deleted when nobody has committed any for OffsetsRetention. When a group was left is nowhere stored, so the
// times of its commits have to tell: while a group has members, commits older than a day are made anew. They so live between
// OffsetsRetention and a day longer, by which they are counted.

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

// aged says whether a group has commits that are old enough to look at it more closely.
func (m *Manager) aged(group string, now time.Time) bool {
	for _, c := range m.opts.Node.View().CommittedOffsets(group) {
		if now.Sub(time.UnixMilli(c.Time)) >= m.opts.renewal() {
			return true
		}
	}
	return false
}

// sweepGroup deletes the old offsets of a group without members, and renews those of one with members.
func (m *Manager) sweepGroup(ctx context.Context, group string, now time.Time) error {
	return m.with(ctx, group, true, func(t *tenure, l *live) error {
		return t.commit(ctx, l, func(_ time.Time, g *party) (c coordinator.CommitOffsets, _ *kerr.Error) {
			if g.dead {
				return c, kerr.NotCoordinator
			}
			for _, committed := range m.opts.Node.View().CommittedOffsets(group) {
				age := now.Sub(time.UnixMilli(committed.Time))
				switch {
				case g.members() > 0 && age >= m.opts.renewal():
					c.Offsets = append(c.Offsets, committed.GroupOffset)
				case g.members() == 0 && age >= m.opts.OffsetsRetention+m.opts.renewal():
					c.Offsets = append(c.Offsets, coordinator.DeletedOffset(committed.Partition))
				}
			}
			return c, nil
		})
	})
}
