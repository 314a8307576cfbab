package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"firn.dev/segments"
)

// Propose implements Log.
func (e *Embedded) Propose(_ context.Context, in Incarnation, change Change) (Entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return Entry{}, err
	}
	now := e.opts.Clock()
	e.changes.expire(now)
	if change.Offsets != nil {
		return e.commitOffsets(in, change.Offsets, now)
	}
	if again, known := e.changes.byID[change.ID]; known {
		return again, nil
	}
	fact, err := e.propose(change, now)
	if err != nil {
		return Entry{}, err
	}
	fact.Incarnation = in
	if err := e.decided.Apply(fact); err != nil {
		return Entry{}, err
	}
	entry := e.decide(fact)
	if t := fact.Topic; t != nil && t.Deleted {
		e.settling[t.Name] = entry.Seq
	}
	e.changes.remember(change.ID, now.Add(e.opts.CommitDeadline), entry)
	return entry, nil
}

func (e *Embedded) propose(c Change, now time.Time) (*Fact, error) {
	switch {
	case c.CreateTopic != nil:
		return e.createTopic(c.CreateTopic)
	case c.DeleteTopic != nil:
		return e.changeTopic(*c.DeleteTopic, func(t *TopicFact) error {
			t.Deleted, t.Configs = true, nil
			return nil
		})
	case c.Grow != nil:
		return e.changeTopic(c.Grow.Topic, func(t *TopicFact) error {
			if c.Grow.Partitions <= t.Partitions {
				return fmt.Errorf("%w: %s has %d, asked for are %d", ErrPartitionCount, t.Name, t.Partitions, c.Grow.Partitions)
			}
			t.Partitions = c.Grow.Partitions
			return nil
		})
	case c.Configure != nil:
		return e.changeTopic(c.Configure.Topic, func(t *TopicFact) error {
			t.Configs = maps.Clone(t.Configs)
			if t.Configs == nil {
				t.Configs = map[string]string{}
			}
			for key, value := range c.Configure.Set {
				if value == nil {
					delete(t.Configs, key)
				} else {
					t.Configs[key] = *value
				}
			}
			return nil
		})
	case c.LogStart != nil:
		return e.moveLogStart(c.LogStart)
	case c.ProducerIDs > 0:
		return &Fact{ProducerIDs: &ProducerIDs{End: e.decided.nextProducerID + c.ProducerIDs}}, nil
	case c.Merge != nil:
		return e.merge(c.Merge, now)
	case len(c.Settings) > 0:
		f, err := NewSettings(c.Settings)
		if err != nil {
			return nil, err
		}
		f.Version, f.Time = e.decided.settings.version+1, now.UnixMilli()
		return &Fact{Settings: f}, nil
	}
	return nil, fmt.Errorf("%w: it has no content", ErrUnknownChange)
}

// commitOffsets decides what a group has committed, if its owner still is its owner.
func (e *Embedded) commitOffsets(in Incarnation, c *CommitOffsets, now time.Time) (Entry, error) {
	if err := e.holds(c.Lease, c.Epoch, now); err != nil {
		return Entry{}, err
	}
	o := &Offsets{Group: c.Group, Version: c.Version, Epoch: c.Epoch, Time: now.UnixMilli(), Forget: c.Forget}
	if o.Version == 0 {
		o.Version = e.decided.offsetsVersion + 1
	}
	o.Partitions = slices.SortedFunc(slices.Values(c.Offsets), func(a, b GroupOffset) int { return comparePartitions(a.Partition, b.Partition) })
	fact := &Fact{Incarnation: in, Offsets: o}
	if err := e.decided.Apply(fact); err != nil {
		return Entry{}, err
	}
	return e.decide(fact), nil
}

// holds says whether a lease is held with that epoch.
func (e *Embedded) holds(lease string, epoch uint64, now time.Time) error {
	if l, held := e.leases.held[lease]; !held || l.epoch != epoch || !now.Before(l.expires) {
		return fmt.Errorf("%w: %s, epoch %d", ErrLeaseLost, lease, epoch)
	}
	return nil
}

// merge decides a merge, if nothing of what it was planned with has changed.
func (e *Embedded) merge(c *ProposeMerge, now time.Time) (*Fact, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := e.holds(c.Lease, c.Epoch, now); err != nil {
		return nil, err
	}
	allowed := MergeDeadline(e.opts.CommitDeadline)
	if age := now.Sub(c.Segment.Time()); len(c.Merge.Spans) > 0 && (age > allowed || age < -e.opts.CommitDeadline) {
		return nil, fmt.Errorf("%w: merged segment %s is %s old, allowed is %s", ErrTooOld, c.Segment, age, allowed)
	}
	if age := now.Sub(c.Youngest.Time()); age <= MergeAge(e.opts.CommitDeadline) {
		return nil, fmt.Errorf("%w: %s is %s old", ErrTooYoung, c.Youngest, age)
	}
	end, exists := e.highWatermark(c.Merge.Partition)
	if !exists {
		return nil, fmt.Errorf("%w: %s", ErrUnknownPartition, c.Merge.Partition)
	}
	if c.Merge.Last >= end {
		return nil, fmt.Errorf("%w: %d in %s, which ends at %d", ErrOffsetRange, c.Merge.Last, c.Merge.Partition, end)
	}
	_, merging := e.pending.merging[c.Merge.Partition]
	if p := e.decided.partitions[c.Merge.Partition]; p == nil || p.merges != c.After || merging {
		return nil, fmt.Errorf("%w: %s", ErrMergedMeanwhile, c.Merge.Partition)
	}
	return c.Fact(0), nil
}

// createTopic decides a new topic. A name is free only when the deletion of the topic that had it is confirmed: otherwise the new topic might
// survive a recovery together with the old one.
func (e *Embedded) createTopic(c *CreateTopic) (*Fact, error) {
	if _, settling := e.settling[c.Name]; settling || e.decided.names[c.Name] != nil || e.decided.topics[c.ID] != nil {
		return nil, fmt.Errorf("%w: %s", ErrTopicExists, c.Name)
	}
	if c.Partitions < 1 {
		return nil, fmt.Errorf("%w: %s with %d", ErrPartitionCount, c.Name, c.Partitions)
	}
	return &Fact{Topic: &TopicFact{ID: c.ID, Name: c.Name, Version: 1, Partitions: c.Partitions, Configs: maps.Clone(c.Configs)}}, nil
}

func (e *Embedded) changeTopic(id segments.TopicID, change func(*TopicFact) error) (*Fact, error) {
	old := e.decided.topics[id]
	if old == nil || old.Deleted {
		return nil, fmt.Errorf("%w: id %s", ErrUnknownTopic, id)
	}
	next := *old
	next.Version++
	if err := change(&next); err != nil {
		return nil, err
	}
	return &Fact{Topic: &next}, nil
}

// moveLogStart decides deletions of records, up to the high watermark at most: what is not confirmed may still be lost, and the log must not
// begin behind its end.
func (e *Embedded) moveLogStart(l *LogStart) (*Fact, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	for at, offset := range l.Offsets {
		end, exists := e.highWatermark(at)
		if !exists {
			return nil, fmt.Errorf("%w: %s", ErrUnknownPartition, at)
		}
		if offset < 0 || offset > end {
			return nil, fmt.Errorf("%w: %d in %s, which ends at %d", ErrOffsetRange, offset, at, end)
		}
	}
	return &Fact{LogStart: &LogStart{Offsets: maps.Clone(l.Offsets)}}, nil
}
