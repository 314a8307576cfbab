package sim

import (
	"context"
	"time"

	"firn/coordinator"
	"firn/groups"
	"firn/segments"
)

// member is the one member of a group. It commits more and more, and asks now and then for what is committed.
func (c *client) member() {
	group, next := c.name, int64(0)
	for c.think() {
		i, err := c.node(c.w.ctx)
		if err != nil {
			return
		}
		t := i.member.View().Topic(topicName)
		if t == nil {
			continue
		}
		at := segments.Partition{Topic: t.ID}
		group = c.name + t.ID.String()
		if c.dice().chance("commit", 0.6) {
			next++
			c.commit(i, group, at, next)
		} else {
			c.fetchCommitted(i, group, at)
		}
	}
}

// commit commits once, at whichever node owns the group.
func (c *client) commit(i *instance, group string, at segments.Partition, offset int64) bool {
	ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
	defer cancel()
	c.w.judge.commits(group, offset)
	losses := c.w.groupLosses()
	_, err := serve(ctx, i, func(ctx context.Context) (struct{}, error) {
		refused := i.groups.Commit(ctx, group, groups.Committer{Generation: -1}, []coordinator.GroupOffset{{Partition: at, Offset: offset, LeaderEpoch: -1}})
		if refused != nil {
			return struct{}{}, refused
		}
		return struct{}{}, nil
	})
	c.w.trace("%s: %s commits %d: %v", c.name, i.name, offset, err)
	if err != nil {
		return false
	}
	c.w.judge.committed(group, offset, losses)
	return true
}

// fetchCommitted asks once. It says whether it was answered.
func (c *client) fetchCommitted(i *instance, group string, at segments.Partition) (offset int64, ok bool) {
	ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
	defer cancel()
	losses := c.w.groupLosses()
	since := c.w.judge.lossless(group)
	answer, err := serve(ctx, i, func(ctx context.Context) (coordinator.CommittedOffset, error) {
		view, refused := i.groups.Fetch(ctx, group)
		if refused != nil {
			return coordinator.CommittedOffset{}, refused
		}
		committed, _ := view.Committed(group, at)
		return committed, nil
	})
	c.w.trace("%s: %s says that %d is committed: %v", c.name, i.name, answer.Offset, err)
	if err != nil {
		return 0, false
	}
	c.w.judge.fetched(i.name, group, answer.Offset, since, losses)
	return answer.Offset, true
}

// ownership is how long the owner of a group may take itself for the owner when the coordinator knows it no more: the time of its lease, and a little.
const ownership = 6 * time.Second

// groupLosses is how often the coordinator may have lost what a group committed. While some nodes talk to another server than the rest, and for the time of a lease after each
// loss, two nodes may own a group, and neither knows what is committed at the other. And a commit that arrives when its caller has given up undoes what was committed since.
func (w *world) groupLosses() int {
	w.mu.Lock()
	uncertain := len(w.apart) > 0 || w.counts[LateRequest]+w.counts[Repeated] > 0 || time.Since(w.loss) < ownership
	w.mu.Unlock()
	if uncertain {
		w.judge.loses()
	}
	return w.judge.losses()
}

// administer makes topics grow, deletes records, and deletes the topic and makes it again.
func (c *client) administer() {
	for on := true; on || c.w.topicID() == (segments.TopicID{}) && c.w.judge.found() == nil; {
		if on = c.w.sleep(c.dice().between("think", time.Second, 10*time.Second), c.w.judge.over); !on { // in the end there is a topic
			c.w.sleepAlways(time.Second)
		}
		i, err := c.node(c.w.ctx)
		if err != nil {
			return
		}
		t := i.member.View().Topic(topicName)
		d := c.dice()
		switch kind := d.n("kind", 6); {
		case t == nil:
			c.change(i, coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: segments.NewTopicID(), Name: topicName, Partitions: int32(c.w.plan.Partitions)}})
		case !on:
		case kind < 2 && t.Partitions < 6:
			c.change(i, coordinator.Change{Grow: &coordinator.Grow{Topic: t.ID, Partitions: t.Partitions + 1}})
		case kind < 5:
			at := segments.Partition{Topic: t.ID, Index: int32(d.n("partition", int(t.Partitions)))}
			info, known := i.member.View().Partition(at)
			if !known || info.HighWatermark == 0 {
				break
			}
			below := info.LogStart + int64(d.n("below", int(info.HighWatermark-info.LogStart)+1))
			c.w.judge.deletes(at, below)
			c.change(i, coordinator.Change{LogStart: &coordinator.LogStart{Offsets: map[segments.Partition]int64{at: below}}})
		case d.chance("delete", 0.3):
			c.w.judge.deletesTopic(t.ID, 10)
			c.change(i, coordinator.Change{DeleteTopic: &t.ID})
		}
	}
}

func (c *client) change(i *instance, change coordinator.Change) {
	ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
	defer cancel()
	_, err := serve(ctx, i, func(ctx context.Context) (coordinator.Fact, error) { return i.member.Change(ctx, change) })
	c.w.trace("%s: change at %s: %v", c.name, i.name, err)
}
