package embedded

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Propose implements coordinator.Log.
func (e *Coordinator) Propose(_ context.Context, in coordinator.Incarnation,
	change coordinator.Change) (coordinator.Entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return coordinator.Entry{}, err
	}
	now := e.opts.Clock()
	e.changes.expire(now)
	if change.Offsets != nil {
		return e.commitOffsets(in, change.Offsets, now)
	}
	if change.OfID() {
		return e.changeID(in, &change, now)
	}
	if again, known := e.changes.byID[change.ID]; known {
		return again, nil
	}
	fact, err := e.propose(change, now)
	if err != nil {
		return coordinator.Entry{}, err
	}
	fact.Incarnation = in
	if err := e.decided.Apply(fact); err != nil {
		return coordinator.Entry{}, err
	}
	entry := e.decide(fact)
	if t := fact.Topic; t != nil && t.Deleted {
		e.settling[t.Name] = entry.Seq
	}
	e.changes.remember(change.ID, now.Add(e.opts.CommitDeadline), entry)
	return entry, nil
}

func (e *Coordinator) propose(c coordinator.Change, now time.Time) (*coordinator.Fact, error) {
	switch {
	case c.CreateTopic != nil:
		return e.createTopic(c.CreateTopic)
	case c.DeleteTopic != nil:
		return e.changeTopic(*c.DeleteTopic, func(t *coordinator.TopicFact) error {
			t.Deleted, t.Configs = true, nil
			return nil
		})
	case c.Grow != nil:
		return e.changeTopic(c.Grow.Topic, c.Grow.Apply)
	case c.Configure != nil:
		return e.changeTopic(c.Configure.Topic, c.Configure.Apply)
	case c.LogStart != nil:
		return e.moveLogStart(c.LogStart)
	case c.ProducerIDs > 0:
		return &coordinator.Fact{ProducerIDs: &coordinator.ProducerIDs{End: e.decided.NextProducerID() + c.ProducerIDs}}, nil
	case c.Merge != nil:
		return e.merge(c.Merge, now)
	case len(c.Settings) > 0:
		f, err := coordinator.NewSettings(c.Settings)
		if err != nil {
			return nil, err
		}
		f.Version, f.Time = e.decided.SettingsVersion()+1, now.UnixMilli()
		return &coordinator.Fact{Settings: f}, nil
	}
	return nil, fmt.Errorf("%w: it has no content", coordinator.ErrUnknownChange)
}

// commitOffsets decides what a group has committed, if its owner still is its owner.
func (e *Coordinator) commitOffsets(in coordinator.Incarnation, c *coordinator.CommitOffsets,
	now time.Time) (coordinator.Entry, error) {
	if err := e.holds(c.Lease, c.Epoch, now); err != nil {
		return coordinator.Entry{}, err
	}
	o := &coordinator.Offsets{Group: c.Group, Version: c.Version, Epoch: c.Epoch, Time: now.UnixMilli(), Forget: c.Forget}
	if o.Version == 0 {
		o.Version = e.decided.OffsetsVersion() + 1
	}
	o.Partitions = slices.SortedFunc(slices.Values(c.Offsets), func(a,
		b coordinator.GroupOffset) int {
		return a.Partition.Compare(b.Partition)
	})
	fact := &coordinator.Fact{Incarnation: in, Offsets: o}
	if err := e.decided.Apply(fact); err != nil {
		return coordinator.Entry{}, err
	}
	return e.decide(fact), nil
}

// holds says whether a lease is held with that epoch.
func (e *Coordinator) holds(lease string, epoch uint64, now time.Time) error {
	if l, held := e.leases.held[lease]; !held || l.epoch != epoch || !now.Before(l.expires) {
		return fmt.Errorf("%w: %s, epoch %d", coordinator.ErrLeaseLost, lease, epoch)
	}
	return nil
}

// merge decides a merge, if nothing of what it was planned with has changed.
func (e *Coordinator) merge(c *coordinator.ProposeMerge, now time.Time) (*coordinator.Fact, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := e.holds(c.Lease, c.Epoch, now); err != nil {
		return nil, err
	}
	allowed := coordinator.MergeDeadline(e.opts.CommitDeadline)
	if age := now.Sub(c.Segment.Time()); len(c.Merge.Spans) > 0 && (age > allowed || age < -e.opts.CommitDeadline) {
		return nil, fmt.Errorf("%w: merged segment %s is %s old, allowed is %s", coordinator.ErrTooOld, c.Segment, age,
			allowed)
	}
	if age := now.Sub(c.Youngest.Time()); age <= coordinator.MergeAge(e.opts.CommitDeadline) {
		return nil, fmt.Errorf("%w: %s is %s old", coordinator.ErrTooYoung, c.Youngest, age)
	}
	end, exists := e.highWatermark(c.Merge.Partition)
	if !exists {
		return nil, fmt.Errorf("%w: %s", coordinator.ErrUnknownPartition, c.Merge.Partition)
	}
	if c.Merge.Last >= end {
		return nil, fmt.Errorf("%w: %d in %s, which ends at %d", coordinator.ErrOffsetRange, c.Merge.Last, c.Merge.Partition,
			end)
	}
	_, merging := e.pending.merging[c.Merge.Partition]
	if _, merges, known := e.decided.Position(c.Merge.Partition); !known || merges != c.After || merging {
		return nil, fmt.Errorf("%w: %s", coordinator.ErrMergedMeanwhile, c.Merge.Partition)
	}
	return c.Fact(0), nil
}

// createTopic decides a new topic. A name is free only when the deletion of the topic that had it
// is confirmed: otherwise the new topic might survive a recovery together with the old one.
func (e *Coordinator) createTopic(c *coordinator.CreateTopic) (*coordinator.Fact, error) {
	if _, settling := e.settling[c.Name]; settling || e.decided.TopicNamed(c.Name) != nil || e.decided.Topic(c.ID) != nil {
		return nil, fmt.Errorf("%w: %s", coordinator.ErrTopicExists, c.Name)
	}
	if c.Partitions < 1 {
		return nil, fmt.Errorf("%w: %s with %d", coordinator.ErrPartitionCount, c.Name, c.Partitions)
	}
	return &coordinator.Fact{Topic: &coordinator.TopicFact{ID: c.ID, Name: c.Name, Version: 1, Partitions: c.Partitions,
		Configs: maps.Clone(c.Configs)}}, nil
}

func (e *Coordinator) changeTopic(id segments.TopicID, change func(*coordinator.TopicFact) error) (*coordinator.Fact,
	error) {
	old := e.decided.Topic(id)
	if old == nil || old.Deleted {
		return nil, fmt.Errorf("%w: id %s", coordinator.ErrUnknownTopic, id)
	}
	next := *old
	next.Version++
	if err := change(&next); err != nil {
		return nil, err
	}
	return &coordinator.Fact{Topic: &next}, nil
}

// moveLogStart decides deletions of records, up to the high watermark at most: what is not
// confirmed may still be lost, and the log must not begin behind its end.
func (e *Coordinator) moveLogStart(l *coordinator.LogStart) (*coordinator.Fact, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	for at, offset := range l.Offsets {
		end, exists := e.highWatermark(at)
		if !exists {
			return nil, fmt.Errorf("%w: %s", coordinator.ErrUnknownPartition, at)
		}
		if offset < 0 || offset > end {
			return nil, fmt.Errorf("%w: %d in %s, which ends at %d", coordinator.ErrOffsetRange, offset, at, end)
		}
	}
	return &coordinator.Fact{LogStart: &coordinator.LogStart{Offsets: maps.Clone(l.Offsets)}}, nil
}
