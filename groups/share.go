package groups

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/groups/internal/protocol"
	"firn.dev/segments"
)

// ShareState is where a share group is with a partition.
type ShareState struct {
	Offset   int64 // from which something may be acquired; of ShareOffsets the first that is not finished
	New      bool  // nothing is known of the partition: somebody has to say where to begin (BeginShare)
	Full     bool  // nothing more can be acquired before something is acknowledged
	InFlight int   // records that were delivered and are not finished
	Finished int64 // records behind Offset that are finished
}

// ShareConfig is what the configs of a share group say.
type ShareConfig struct {
	Lock               time.Duration // for how long records are acquired
	OffsetReset        string        // where to begin: earliest, latest, or by_duration:PERIOD
	ReadCommitted      bool
	Renew              bool // locks may be renewed
	deliveries         int
	maxLocks           int
	session, heartbeat time.Duration
}

// End is the offset up to which the group reads a partition.
func (c *ShareConfig) End(info coordinator.PartitionInfo) int64 {
	if c.ReadCommitted {
		return info.LastStable
	}
	return info.HighWatermark
}

func (c *ShareConfig) rules() protocol.ShareRules {
	return protocol.ShareRules{Lock: c.Lock, Deliveries: c.deliveries, MaxLocks: c.maxLocks}
}

// ShareConfigOf returns the configs of a share group.
func (m *Manager) ShareConfigOf(group string) ShareConfig {
	on := dynamicconfig.Resource{Kind: dynamicconfig.Group, Name: group}
	all := dynamicconfig.Of(m.opts.Node.View(), on)
	text := func(name string) string {
		if value, set := all[name]; set {
			return value
		}
		return dynamicconfig.ShareDefaults[name]
	}
	number := func(name string) int { return int(parsed(text(name))) }
	return ShareConfig{
		Lock:          parsedMillis(text(dynamicconfig.ShareLockDuration)),
		OffsetReset:   text(dynamicconfig.ShareOffsetReset),
		ReadCommitted: text(dynamicconfig.ShareIsolationLevel) == "read_committed",
		Renew:         text(dynamicconfig.ShareRenew) == "true",
		deliveries:    number(dynamicconfig.ShareDeliveryLimit),
		maxLocks:      number(dynamicconfig.ShareMaxLocks),
		session:       parsedMillis(text(dynamicconfig.ShareSessionTimeout)),
		heartbeat:     parsedMillis(text(dynamicconfig.ShareHeartbeatInterval)),
	}
}

// ShareHeartbeat answers a heartbeat of a member of a share group.
func (m *Manager) ShareHeartbeat(ctx context.Context, group string, r ShareHeartbeat) ConsumerAnswer {
	if err := r.Validate(); err != nil {
		return ConsumerAnswer{Err: err}
	}
	config := m.ShareConfigOf(group)
	var a ConsumerAnswer
	err := m.with(ctx, group, r.Epoch == 0, func(_ *shardOwnership, l *hostedGroup) error {
		if l == nil {
			return kerr.UnknownMemberID
		}
		r.Spare, r.Session = m.opts.Limits.TotalBytes-m.bytes.Load(), config.session
		return l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
			begins := r.Epoch == 0 && (g.IsShare() || !m.committedByOthers(group))
			s, refused := g.AsShare(begins, m.topics.Load())
			if refused != nil {
				return refused
			}
			s.Rules = config.rules()
			a = s.Heartbeat(now, &r)
			return a.Err
		})
	})
	if err != nil {
		return ConsumerAnswer{Err: m.told(err)}
	}
	a.Interval = config.heartbeat
	return a
}

// committedByOthers says that a group has offsets that are not those of a share group.
func (m *Manager) committedByOthers(group string) bool {
	d, exists := m.dormant(group)
	return exists && d.Type != Share
}

// withShares runs f in a group of this node that is, or was, a share group.
func (m *Manager) withShares(ctx context.Context, group string, begin bool,
	f func(t *shardOwnership, l *hostedGroup) error) *kerr.Error {
	stored := m.opts.Node.View().Membership(group) != nil
	return m.told(m.with(ctx, group, begin || stored, func(t *shardOwnership, l *hostedGroup) error {
		if l == nil {
			return kerr.GroupIDNotFound
		}
		return f(t, l)
	}))
}

// inShares runs an event in a share group.
func (m *Manager) inShares(ctx context.Context, group string,
	event func(now time.Time, s *protocol.ShareGroup, l *hostedGroup) *kerr.Error) *kerr.Error {
	return m.certainShares(ctx, group, nil, event)
}

// certainShares is inShares that answers once it is certain that this node is still the owner.
func (m *Manager) certainShares(ctx context.Context, group string, certain func(*shardOwnership, context.Context) error,
	event func(now time.Time, s *protocol.ShareGroup, l *hostedGroup) *kerr.Error) *kerr.Error {
	config := m.ShareConfigOf(group)
	return m.withShares(ctx, group, false, func(t *shardOwnership, l *hostedGroup) error {
		err := l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
			s, refused := g.AsShare(false, nil)
			if refused != nil {
				return refused
			}
			s.Rules = config.rules()
			return event(now, s, l)
		})
		if err != nil || certain == nil {
			return err
		}
		return certain(t, ctx)
	})
}

// ahead says that a record lies beyond the end of its partition, as this node knows it.
func (m *Manager) ahead(at segments.Partition, record int64) bool {
	info, _ := m.opts.Node.View().Partition(at)
	return record >= info.HighWatermark
}

// hear has this node hear the news. What it does not know then is not there, as far as it goes.
func (m *Manager) hear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	_ = m.opts.Node.CatchUp(ctx)
}

// partition returns what a share group knows of a partition, nil if that is nothing.
func (m *Manager) partition(s *protocol.ShareGroup, group string, at segments.Partition) (*protocol.SharePartition,
	*kerr.Error) {
	info, exists := m.opts.Node.View().Partition(at)
	if !exists {
		return nil, kerr.UnknownTopicOrPartition
	}
	p := s.Partitions[at]
	if p == nil {
		stored, there := m.opts.Node.View().Committed(group, at)
		if !there {
			return nil, nil
		}
		spare := m.opts.Limits.TotalBytes - m.bytes.Load()
		if spare < protocol.SharePartitionBytes+int64(len(stored.Metadata)) {
			return nil, kerr.GroupMaxSizeReached
		}
		restored, err := protocol.RestoreSharePartition(stored.Offset, stored.Metadata)
		if err != nil {
			m.opts.Logger.Error("the stored state of a share group's partition cannot be read", "group", group, "partition",
				at, "error", err)
			return nil, kerr.KafkaStorageError
		}
		p = restored
		s.Partitions[at] = p
	}
	if p.Start < info.LogStart {
		p.Trim(info.LogStart)
		s.Announce()
	}
	return p, nil
}

// Shares says of partitions where a share group is with each. The channel is closed when there may
// be something new to be had, of those or others.
func (m *Manager) Shares(ctx context.Context, group string, partitions []segments.Partition) (states []ShareState,
	errs []*kerr.Error, freed <-chan struct{}, err *kerr.Error) {
	states, errs = make([]ShareState, len(partitions)), make([]*kerr.Error, len(partitions))
	err = m.inShares(ctx, group, func(_ time.Time, s *protocol.ShareGroup, l *hostedGroup) *kerr.Error {
		crowded := m.crowded(s)
		for i, at := range partitions {
			p, refused := m.partition(s, group, at)
			if errs[i] = refused; p == nil {
				states[i].New = refused == nil
				continue
			}
			states[i] = ShareState{Offset: p.Next(), Full: p.Full(&s.Rules, crowded), InFlight: p.InFlight()}
		}
		freed = l.freed
		return nil
	})
	return states, errs, freed, err
}

// ShareBeginning is where a share group is to begin a partition.
type ShareBeginning struct {
	Partition segments.Partition
	Offset    int64
}

// BeginShares has a share group begin with partitions that it knows nothing of. That is stored when
// it returns: another owner does not begin somewhere else.
func (m *Manager) BeginShares(ctx context.Context, group string, begin []ShareBeginning) *kerr.Error {
	return m.setShares(ctx, group, begin, shareSetting{})
}

// OpenShares is BeginShares for clients that are no members: the group becomes a share group if it
// is none yet. One that is something else is GROUP_ID_NOT_FOUND.
func (m *Manager) OpenShares(ctx context.Context, group string, begin []ShareBeginning) *kerr.Error {
	return m.setShares(ctx, group, begin, shareSetting{opens: true})
}

// AlterShares has a share group that is not in use begin with partitions somewhere else.
func (m *Manager) AlterShares(ctx context.Context, group string, begin []ShareBeginning) *kerr.Error {
	return m.setShares(ctx, group, begin, shareSetting{opens: true, again: true})
}

// shareSetting is how the offsets of a share group are set.
type shareSetting struct {
	opens bool // the group becomes a share group if it is none
	again bool // also of partitions that the group has begun; it must not be in use then
}

// setShares stores where a share group begins.
func (m *Manager) setShares(ctx context.Context, group string, begin []ShareBeginning, how shareSetting) *kerr.Error {
	if slices.ContainsFunc(begin, func(b ShareBeginning) bool { return m.ahead(b.Partition, b.Offset-1) }) {
		m.hear(ctx)
	}
	return m.withShares(ctx, group, how.opens, func(t *shardOwnership, l *hostedGroup) error {
		if refused := m.mayStore(group); refused != nil {
			return refused
		}
		next := map[segments.Partition]*protocol.SharePartition{}
		return t.commitThen(ctx, l, func(_ time.Time, g *protocol.Group) (c coordinator.CommitOffsets, _ *kerr.Error) {
			opens := how.opens && (g.IsShare() || !m.committedByOthers(group))
			s, refused := g.AsShare(opens, m.topics.Load())
			switch {
			case refused != nil:
				return c, refused
			case how.again && !s.Idle():
				return c, kerr.NonEmptyGroup
			}
			for _, b := range begin {
				info, exists := m.opts.Node.View().Partition(b.Partition)
				if !exists {
					return c, kerr.UnknownTopicOrPartition
				}
				if !how.again {
					p, refused := m.partition(s, group, b.Partition)
					if refused != nil {
						return c, refused
					}
					if p != nil {
						continue
					}
				}
				next[b.Partition] = protocol.NewSharePartition(min(max(b.Offset, info.LogStart), info.HighWatermark))
				c.Offsets = append(c.Offsets, next[b.Partition].Stored(b.Partition))
			}
			if len(c.Offsets) > 0 { // what is stored of partitions is only understood beside this
				members, _ := g.Export()
				c.Offsets = append(c.Offsets, coordinator.Membership(members))
			}
			return c, nil
		}, func(g *protocol.Group, decided bool) {
			s, is := g.Share()
			if !decided || !is {
				return
			}
			for at, p := range next {
				if how.again || s.Partitions[at] == nil { // a member may have begun it, from what is stored
					s.Partitions[at] = p
				}
			}
			s.Announce()
			l.stored = true
		})
	})
}

// ShareAcquire is what a member has read and wants to have.
type ShareAcquire struct {
	Partition segments.Partition
	From, To  int64      // what was read
	Batches   []LogRange // with records for members, in order
}

// AcquireBounds say how many records a member is given, and for how long.
type AcquireBounds struct {
	Most    int           // of all partitions together
	Exactly bool          // not one more than that; otherwise whole batches
	Split   int           // about how many are to be in a range; 0: any number
	Lock    time.Duration // 0: as the group's config says
}

// within is what was read, as far as it lies from first to last.
func (r *ShareAcquire) within(first, last int64) ShareAcquire {
	cut := ShareAcquire{Partition: r.Partition, From: max(r.From, first), To: min(r.To, last)}
	for _, b := range r.Batches {
		if b = (LogRange{First: max(b.First, cut.From), Last: min(b.Last, cut.To)}); b.First <= b.Last {
			cut.Batches = append(cut.Batches, b)
		}
	}
	return cut
}

// crowded says that a share group takes as much memory as it may: members get what was given back,
// and nothing new until something is acknowledged.
func (m *Manager) crowded(s *protocol.ShareGroup) bool {
	return s.Crowds() || m.bytes.Load() > m.opts.Limits.TotalBytes
}

// AcquireShares gives a member records of what it has read, of each partition in its turn. Of what
// is not in the log it gives nothing, whoever says that it was read.
func (m *Manager) AcquireShares(ctx context.Context, group, member string, read []ShareAcquire,
	bounds AcquireBounds) (got [][]AcquiredRange, err *kerr.Error) {
	got, _, err = m.acquireShares(ctx, group, member, read, bounds)
	return got, err
}

// ClaimShares is AcquireShares of one partition, for clients that are no members. The group is done
// with what lies before next, or others have it. After an error, UnclaimShares has to be called.
func (m *Manager) ClaimShares(ctx context.Context, group, member string, read *ShareAcquire,
	bounds AcquireBounds) (got []AcquiredRange, next int64, err *kerr.Error) {
	all, nexts, err := m.acquireShares(ctx, group, member, []ShareAcquire{*read}, bounds)
	return all[0], nexts[0], err
}

func (m *Manager) acquireShares(ctx context.Context, group, member string, read []ShareAcquire,
	bounds AcquireBounds) (got [][]AcquiredRange, next []int64, err *kerr.Error) {
	got, next = make([][]AcquiredRange, len(read)), make([]int64, len(read))
	if slices.ContainsFunc(read, func(r ShareAcquire) bool { return m.ahead(r.Partition, r.To) }) {
		m.hear(ctx)
	}
	still := (*shardOwnership).still
	err = m.certainShares(ctx, group, still, func(now time.Time, s *protocol.ShareGroup, _ *hostedGroup) *kerr.Error {
		left, crowded := bounds.Most, m.crowded(s)
		for i := range read {
			next[i] = read[i].From
			p, refused := m.partition(s, group, read[i].Partition)
			if refused != nil || p == nil || left <= 0 {
				continue // the next question is answered with the reason
			}
			info, _ := m.opts.Node.View().Partition(read[i].Partition)
			last := info.HighWatermark - 1
			if crowded {
				last = min(last, p.End()-1)
			}
			r := read[i].within(info.LogStart, last)
			got[i] = s.Acquire(now, p, &protocol.ShareAcquisition{Member: member, From: r.From, To: r.To, Batches: r.Batches,
				Most: left, Exactly: bounds.Exactly, Split: bounds.Split, Lock: bounds.Lock})
			next[i] = p.Next()
			for _, some := range got[i] {
				left -= int(some.Records())
				m.metrics.acquired.Add(float64(some.Records()))
			}
		}
		return nil
	})
	return got, next, err
}

// ShareAcks is what a member says of records of one partition.
type ShareAcks struct {
	Partition segments.Partition
	Acks      []ShareAck
}

// AcknowledgeShares takes in what a member says of records, and answers for each partition: either
// all that is said of it is taken in, or nothing. It is decided when it returns, like a commit of
// offsets.
func (m *Manager) AcknowledgeShares(ctx context.Context, group, member string, said []ShareAcks) ([]*kerr.Error,
	*kerr.Error) {
	answers := make([]*kerr.Error, len(said))
	config := m.ShareConfigOf(group)
	err := m.withShares(ctx, group, false, func(t *shardOwnership, l *hostedGroup) error {
		planned := map[*protocol.SharePartition]*protocol.PlannedAcks{}
		return t.commitThen(ctx, l, func(now time.Time, g *protocol.Group) (c coordinator.CommitOffsets, _ *kerr.Error) {
			s, refused := g.AsShare(false, nil)
			if refused != nil {
				return c, refused
			}
			s.Rules = config.rules()
			for i := range said {
				a := &said[i]
				p, refused := m.partition(s, group, a.Partition)
				if refused == nil && p == nil {
					refused = kerr.InvalidRecordState
				}
				if refused == nil && !config.Renew && renews(a.Acks) {
					refused = protocol.Refusal(kerr.InvalidRecordState, "%s of the group is false: its locks cannot be renewed",
						dynamicconfig.ShareRenew)
				}
				if refused == nil {
					refused = p.Check(now, member, a.Acks)
				}
				if _, twice := planned[p]; refused == nil && twice {
					refused = kerr.InvalidRequest
				}
				if answers[i] = refused; refused != nil {
					continue
				}
				planned[p] = p.Plan(now, a.Acks)
				if planned[p].Stores() {
					c.Offsets = append(c.Offsets, p.After(now, a.Acks, &s.Rules).Stored(a.Partition))
				}
			}
			return c, nil
		}, func(g *protocol.Group, decided bool) {
			s, is := g.Share()
			if !is {
				return
			}
			crowded := m.crowded(s)
			for p, plan := range planned {
				full := crowded || p.Full(&s.Rules, false)
				plan.Settle(s, decided)
				if full || p.Next() < p.End() {
					s.Announce()
				}
			}
		})
	})
	if err == nil {
		m.metrics.acknowledged.Add(float64(recordsOf(said, answers)))
	}
	return answers, err
}

func recordsOf(said []ShareAcks, answers []*kerr.Error) (n int64) {
	for i := range said {
		for _, a := range said[i].Acks {
			if answers[i] == nil {
				n += a.Records()
			}
		}
	}
	return n
}

func renews(acks []ShareAck) bool {
	return slices.ContainsFunc(acks, func(a ShareAck) bool { return slices.Contains(a.Types, AckRenew) })
}

// ReleaseShares gives back what a member has acquired of some partitions: its session is over.
func (m *Manager) ReleaseShares(ctx context.Context, group, member string, of []segments.Partition) *kerr.Error {
	return m.inShares(ctx, group, func(_ time.Time, s *protocol.ShareGroup, _ *hostedGroup) *kerr.Error {
		s.Release(member, of)
		return nil
	})
}

// UnclaimShares gives back all that was acquired under a name, of which nobody was told. It counts
// as no delivery.
func (m *Manager) UnclaimShares(ctx context.Context, group, member string) *kerr.Error {
	return m.inShares(ctx, group, func(_ time.Time, s *protocol.ShareGroup, _ *hostedGroup) *kerr.Error {
		s.Unclaim(member)
		return nil
	})
}

// ShareOffsets says where a share group is with each partition that it has begun; of a group that
// is none, it is GROUP_ID_NOT_FOUND.
func (m *Manager) ShareOffsets(ctx context.Context, group string) (map[segments.Partition]ShareState, *kerr.Error) {
	all := map[segments.Partition]ShareState{}
	current := (*shardOwnership).current
	err := m.certainShares(ctx, group, current, func(_ time.Time, s *protocol.ShareGroup, _ *hostedGroup) *kerr.Error {
		for _, c := range m.opts.Node.View().CommittedOffsets(group) {
			p, refused := m.partition(s, group, c.Partition)
			if refused == nil && p != nil {
				all[c.Partition] = ShareState{Offset: p.Start, InFlight: p.InFlight(), Finished: p.Finished()}
			}
		}
		return nil
	})
	return all, err
}

// DeleteShares forgets where a share group that is not in use is with partitions.
func (m *Manager) DeleteShares(ctx context.Context, group string, partitions []segments.Partition) *kerr.Error {
	return m.withShares(ctx, group, false, func(t *shardOwnership, l *hostedGroup) error {
		return t.commitThen(ctx, l, func(_ time.Time, g *protocol.Group) (c coordinator.CommitOffsets, _ *kerr.Error) {
			s, refused := g.AsShare(false, nil)
			switch {
			case refused != nil:
				return c, refused
			case !s.Idle():
				return c, kerr.NonEmptyGroup
			}
			for _, at := range partitions {
				if _, there := m.opts.Node.View().Committed(group, at); there {
					c.Offsets = append(c.Offsets, coordinator.DeletedOffset(at))
				}
			}
			return c, nil
		}, func(g *protocol.Group, decided bool) {
			if s, is := g.Share(); is && decided {
				for _, at := range partitions {
					delete(s.Partitions, at)
				}
			}
		})
	})
}
