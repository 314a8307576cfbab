package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
)

// Stage stages offsets of a group in a transaction (TxnOffsetCommit): they are in the journal when
// it returns, and count once the transaction has committed. s says of whom they are and what; the
// group's lease and the version are filled in. Errors are Kafka's where they are of the group
// (kerr.Error), and the coordinator's where they are of the transaction.
func (m *Manager) Stage(ctx context.Context, c Committer, s coordinator.StageOffsets) error {
	c.Offsets = s.Offsets
	return m.with(ctx, s.Group, c.Generation < 0, func(t *shardOwnership, l *hostedGroup) error {
		if l == nil {
			return kerr.IllegalGeneration // nobody of that generation is known
		}
		if refused := m.mayStore(s.Group); refused != nil {
			return refused
		}
		return t.stage(ctx, l, c, s)
	})
}

// stage has the coordinator decide it. Stagings and commits of a group are numbered in one order.
func (t *shardOwnership) stage(ctx context.Context, l *hostedGroup, c Committer, s coordinator.StageOffsets) error {
	select {
	case l.committing <- struct{}{}:
		defer func() { <-l.committing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
		if g.Dead {
			return kerr.NotCoordinator
		}
		s.Version = t.m.shards[t.shard].nextVersion()
		if c.Anonymous() && !g.IsShare() {
			return nil // clients before KIP-447 do not say who they are
		}
		return g.MayCommit(now, c)
	})
	if err != nil {
		return err
	}
	s.Lease, s.Epoch = t.lease.Name, t.lease.Epoch
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeTimeout)
	defer cancel()
	entry, err := t.life.Decide(ctx, coordinator.Change{Stage: &s})
	if err != nil {
		t.m.flusher.add(t.life, entry)
		return err
	}
	return t.life.Settle(ctx, entry)
}
