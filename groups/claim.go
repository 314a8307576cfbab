package groups

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
	"firn.dev/segments"
)

// Consumers that cannot hold a session (a function that is started for each piece of work) lease
// partitions one by one: they claim one for a time, read from where the group is, commit under the
// claim's epoch, and renew the claim or give it up. A group is made of members or of claims, never
// of both at once; a client that comes as the other gets INCONSISTENT_GROUP_PROTOCOL.
//
// Claims are nowhere stored. When the group's owner dies or hands the group over, all claims end,
// and each holder learns of it when it next renews or commits.

// Claim is a partition that a holder has for a time.
type Claim struct {
	Partition segments.Partition
	Holder    string
	Epoch     uint64        // fences commits: it grows with each new holder, also across owners of the group
	TTL       time.Duration // what is left of it
	Offset    int64         // where to read on: the group's committed offset, or -1 if there is none
}

// ClaimRequest asks for partitions.
type ClaimRequest struct {
	// names who claims. Two that are at work at one time must have different names: the same one has
	// the same claims
	Holder     string
	Topics     []segments.TopicID
	Partitions []segments.Partition // empty: any of Topics
	Max        int                  // how many the holder wants to have of these
	TTL        time.Duration        // from 1 s to 15 min
}

// ClaimCommit is the offset of the next record to read in a claimed partition.
type ClaimCommit struct {
	Held
	Offset      int64
	LeaderEpoch int32 // -1: unknown
	Metadata    string
	// where the holder began to read, as its Claim said: refused if the group is elsewhere by now.
	// So a former life of a holder that has come again under the same name writes nothing any more.
	// nil: not told
	From    *int64
	Release bool // and gives the claim up, once the offset is committed
}

// Claim gives a holder up to Max partitions, for TTL. Those that it has already come first and last
// for TTL from now on, so that a request whose answer was lost can be made again. Fewer, or none,
// are no error: others have the rest.
func (m *Manager) Claim(ctx context.Context, group string, r ClaimRequest) (claimed []Claim, _ *kerr.Error) {
	partitions, refused := m.claimable(&r)
	if refused != nil {
		return nil, refused
	}
	err := m.with(ctx, group, true, func(t *shardOwnership, l *hostedGroup) error {
		if !t.epochsLeft(r.Max) {
			t.handOver()
			return kerr.NotCoordinator
		}
		view := m.opts.Node.View()
		asked := protocol.Claiming{Holder: r.Holder, Partitions: partitions, Max: r.Max, TTL: r.TTL, Epoch: t.claimEpoch,
			Lag: func(at segments.Partition) int64 { return lag(view, group, at) }}
		err := t.alone(ctx, l, func() error {
			return l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
				c, refused := g.AsClaims()
				if refused != nil {
					return refused
				}
				asked.Spare = m.opts.Limits.MaxClaims - int(m.claims.Load())
				granted, refused := c.Claim(now, &asked)
				claimed = m.shown(group, granted, now)
				return refused
			})
		})
		if err != nil || len(claimed) == 0 {
			return err
		}
		return t.current(ctx) // the holder reads on from where the group is
	})
	if told := m.told(err); told != nil {
		if told == kerr.GroupMaxSizeReached {
			m.failures.Do(func() { m.opts.Logger.Warn("MaxClaims or ClaimsPerGroup: a claim is refused", "group", group) })
		}
		return nil, told
	}
	return claimed, nil
}

// claimable checks a request, and returns the partitions that it is about, each once.
func (m *Manager) claimable(r *ClaimRequest) ([]segments.Partition, *kerr.Error) {
	if r.Holder == "" || len(r.Holder) > m.opts.Limits.HolderBytes || r.Max < 1 {
		return nil, kerr.InvalidRequest
	}
	if refused := checkTTL(r.TTL); refused != nil {
		return nil, refused
	}
	r.Max, r.Holder = min(r.Max, m.opts.Limits.ClaimsPerGroup), strings.Clone(r.Holder)
	view := m.opts.Node.View()
	partitions := slices.Clone(r.Partitions)
	for _, at := range partitions {
		if _, exists := view.Partition(at); !exists {
			return nil, kerr.UnknownTopicOrPartition
		}
	}
	if len(partitions) == 0 {
		for _, id := range r.Topics {
			topic := view.TopicByID(id)
			if topic == nil {
				return nil, kerr.UnknownTopicOrPartition
			}
			for i := range topic.Partitions {
				partitions = append(partitions, segments.Partition{Topic: id, Index: i})
			}
		}
	}
	slices.SortFunc(partitions, segments.Partition.Compare)
	return slices.Compact(partitions), nil
}

// MinClaimTTL and MaxClaimTTL are how long a claim can last, of partitions and of records.
const (
	MinClaimTTL = time.Second
	MaxClaimTTL = protocol.MaxClaimTTL
)

func checkTTL(ttl time.Duration) *kerr.Error {
	if ttl < MinClaimTTL || ttl > MaxClaimTTL {
		return kerr.InvalidSessionTimeout
	}
	return nil
}

// shown are claims with the group's offsets.
func (m *Manager) shown(group string, granted []protocol.Grant, now time.Time) []Claim {
	view := m.opts.Node.View()
	all := make([]Claim, len(granted))
	for i, c := range granted {
		all[i] = Claim{Partition: c.Partition, Holder: c.Holder, Epoch: c.Epoch, TTL: c.Until.Sub(now), Offset: -1}
		if committed, there := view.Committed(group, c.Partition); there {
			all[i].Offset = max(committed.Offset, -1) // a negative one is no place to read from
		}
	}
	return all
}

// RenewClaims lets claims last for ttl from now on, and answers for each: FENCED_MEMBER_EPOCH if it
// has ended.
func (m *Manager) RenewClaims(ctx context.Context, group, holder string, held []Held, ttl time.Duration) ([]*kerr.Error,
	*kerr.Error) {
	if refused := checkTTL(ttl); refused != nil {
		return nil, refused
	}
	return m.eachClaim(ctx, group, held, func(now time.Time, g *protocol.Claims,
		h Held) *kerr.Error {
		return g.Renew(now, h, holder, ttl)
	})
}

// ReleaseClaims gives claims up, and answers for each: FENCED_MEMBER_EPOCH if it has ended before.
func (m *Manager) ReleaseClaims(ctx context.Context, group, holder string, held []Held) ([]*kerr.Error, *kerr.Error) {
	return m.eachClaim(ctx, group, held, func(now time.Time, g *protocol.Claims,
		h Held) *kerr.Error {
		return g.Release(now, h, holder)
	})
}

// eachClaim runs an event for each claim that somebody names.
func (m *Manager) eachClaim(ctx context.Context, group string, held []Held,
	event func(now time.Time, g *protocol.Claims, h Held) *kerr.Error) ([]*kerr.Error, *kerr.Error) {
	answers := make([]*kerr.Error, len(held))
	err := m.with(ctx, group, false, func(_ *shardOwnership, l *hostedGroup) error {
		if l == nil {
			fenceAll(answers)
			return nil
		}
		return l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
			c, refused := g.AsClaims()
			if refused != nil {
				return refused
			}
			for i, h := range held {
				answers[i] = event(now, c, h)
			}
			return nil
		})
	})
	return answers, m.told(err)
}

func fenceAll(answers []*kerr.Error) {
	for i := range answers {
		answers[i] = kerr.FencedMemberEpoch
	}
}

// CommitClaims stores offsets under claims, and answers for each: FENCED_MEMBER_EPOCH if the claim
// has ended, so that somebody else may have the partition; OFFSET_OUT_OF_RANGE beyond the
// partition's end, where every later holder would wait for records that do not come. Like all
// commits they are decided when it returns, and journaled within a second.
func (m *Manager) CommitClaims(ctx context.Context, group, holder string, commits []ClaimCommit) ([]*kerr.Error,
	*kerr.Error) {
	answers := make([]*kerr.Error, len(commits))
	if slices.ContainsFunc(commits, m.beyond) {
		if err := m.opts.Node.CatchUp(ctx); err != nil { // another node may have served the holder more than this one knows
			return nil, m.told(err)
		}
	}
	err := m.with(ctx, group, false, func(t *shardOwnership, l *hostedGroup) error {
		if l == nil {
			fenceAll(answers)
			return nil
		}
		if refused := m.mayStore(group); refused != nil {
			return refused
		}
		var planned []ClaimCommit
		err := t.commit(ctx, l, func(now time.Time, g *protocol.Group) (o coordinator.CommitOffsets, _ *kerr.Error) {
			c, refused := g.AsClaims()
			if refused != nil {
				return o, refused
			}
			planned = m.plan(now, group, c, holder, commits, answers)
			o.Offsets = offsetsOf(planned)
			return o, nil
		})
		l.step(func(now time.Time, g *protocol.Group) {
			if c, refused := g.AsClaims(); refused == nil {
				var doubtful time.Time
				if err != nil {
					doubtful = now.Add(takeTimeout)
				}
				for _, p := range planned {
					c.Decided(now, p.Held, doubtful, p.Release)
				}
			}
		})
		return err
	})
	return answers, m.told(err)
}

// beyond says whether a commit lies beyond the end of its partition, as this node knows it.
func (m *Manager) beyond(c ClaimCommit) bool {
	p, exists := m.opts.Node.View().Partition(c.Partition)
	return exists && c.Offset > p.HighWatermark
}

// beginsAt says whether a holder that claims a partition now would be told to begin there. Where
// nothing is committed it may begin anywhere.
func (m *Manager) beginsAt(group string, at segments.Partition, offset int64) bool {
	committed, there := m.opts.Node.View().Committed(group, at)
	info, _ := m.opts.Node.View().Partition(at)
	return !there || committed.Offset < 0 || committed.Offset == offset || max(committed.Offset, info.LogStart) == offset
}

// offsetsOf are the offsets of commits.
func offsetsOf(commits []ClaimCommit) []coordinator.GroupOffset {
	all := make([]coordinator.GroupOffset, len(commits))
	for i, c := range commits {
		all[i] = coordinator.GroupOffset{Partition: c.Partition, Offset: c.Offset, LeaderEpoch: c.LeaderEpoch,
			Metadata: c.Metadata}
	}
	return all
}

// plan answers the commits that cannot be made, and returns the others.
func (m *Manager) plan(now time.Time, group string, c *protocol.Claims, holder string, commits []ClaimCommit,
	answers []*kerr.Error) (planned []ClaimCommit) {
	seen := make(map[segments.Partition]bool, len(commits))
	for i, p := range commits {
		_, exists := m.opts.Node.View().Partition(p.Partition)
		_, fenced := c.Held(now, p.Partition, holder, p.Epoch)
		switch {
		case !exists:
			answers[i] = kerr.UnknownTopicOrPartition
		case fenced != nil:
			answers[i] = fenced
			m.metrics.refused.Inc()
		case c.Busy(p.Partition):
			answers[i] = kerr.ConcurrentTransactions
		case p.From != nil && !m.beginsAt(group, p.Partition, *p.From):
			answers[i] = kerr.FencedMemberEpoch
		case seen[p.Partition] || p.Offset < 0:
			answers[i] = kerr.InvalidRequest
		case m.beyond(p):
			answers[i] = kerr.OffsetOutOfRange
		case len(p.Metadata) > m.opts.Limits.OffsetMetadataBytes:
			answers[i] = kerr.OffsetMetadataTooLarge
		default:
			seen[p.Partition] = true
			planned = append(planned, p)
		}
	}
	return planned
}

// Claims returns the claims that a group has, ordered by partition.
func (m *Manager) Claims(ctx context.Context, group string) (all []Claim, _ *kerr.Error) {
	err := m.with(ctx, group, false, func(t *shardOwnership, l *hostedGroup) error {
		if l == nil {
			return nil
		}
		err := l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
			c, is := g.Claims()
			if is {
				c.Tick(now)
				all = m.shown(group, c.All(), now)
			}
			return nil
		})
		if err != nil || len(all) == 0 {
			return err
		}
		return t.current(ctx)
	})
	return all, m.told(err)
}

// assignClaims says what holders have as members of Kafka's consumer protocol would.
func (m *Manager) assignClaims(d *Description) {
	view := m.opts.Node.View()
	for i := range d.Members {
		member := &d.Members[i]
		if member.Claimed == nil {
			continue
		}
		var has kmsg.ConsumerMemberAssignment
		var wants kmsg.ConsumerMemberMetadata
		for _, at := range member.Claimed { // in order, so those of a topic follow each other
			topic := view.TopicByID(at.Topic)
			if topic == nil {
				continue
			}
			if n := len(has.Topics); n == 0 || has.Topics[n-1].Topic != topic.Name {
				has.Topics = append(has.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: topic.Name})
				wants.Topics = append(wants.Topics, topic.Name)
			}
			last := &has.Topics[len(has.Topics)-1]
			last.Partitions = append(last.Partitions, at.Index)
		}
		member.Assignment, member.Metadata = has.AppendTo(nil), wants.AppendTo(nil)
	}
}

func (t *shardOwnership) epochsLeft(n int) bool {
	return t.m.shards[t.shard].claimed.Load()+uint64(n) < 1<<claimBits
}

func (t *shardOwnership) claimEpoch() uint64 {
	incarnation, number := t.lease.Epoch>>32, t.lease.Epoch&(1<<leaseBits-1)
	return incarnation<<(leaseBits+claimBits) | number<<claimBits | t.m.shards[t.shard].claimed.Add(1)
}

// alone runs f when no commit of the group is being decided.
func (t *shardOwnership) alone(ctx context.Context, l *hostedGroup, f func() error) error {
	select {
	case l.committing <- struct{}{}:
		defer func() { <-l.committing }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}
