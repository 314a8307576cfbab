package sim

import (
	"context"
	"time"

	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/segments"
)

// member is one of those who commit what one group has read, and ask now and then for what is
// committed. They know nothing of each other, and each asks at whichever node.
func (c *client) member(team string) {
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
		if group := team + t.ID.String(); c.dice().chance("commit", 0.5) {
			c.commit(i, group, at)
		} else {
			c.fetchCommitted(i, group, at)
		}
	}
}

// commit commits once, at whichever node owns the group.
func (c *client) commit(i *instance, group string, at segments.Partition) {
	ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
	defer cancel()
	offset := c.w.judge.commits(c.name, group, at.Topic)
	_, err := serve(ctx, i, func(server context.Context) (struct{}, error) {
		ctx, leave := leaving(server, ctx)
		defer leave()
		refused := i.groups.Commit(ctx, group, groups.Committer{Generation: -1},
			[]coordinator.GroupOffset{{Partition: at, Offset: offset, LeaderEpoch: -1}})
		if refused != nil {
			return struct{}{}, refused
		}
		return struct{}{}, nil
	})
	c.w.trace("%s: %s commits %d: %v", c.name, i.name, offset, err)
	if err == nil {
		c.w.judge.committed(group, offset)
	}
}

// fetchCommitted asks once.
func (c *client) fetchCommitted(i *instance, group string, at segments.Partition) {
	ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
	defer cancel()
	asked := c.w.judge.asks()
	answer, err := serve(ctx, i, func(ctx context.Context) (committed coordinator.CommittedOffset, _ error) {
		refused := i.groups.Fetch(ctx, group, func(view *coordinator.View) { committed, _ = view.Committed(group, at) })
		if refused != nil {
			return committed, refused
		}
		return committed, nil
	})
	c.w.trace("%s: %s says that %d is committed: %v", c.name, i.name, answer.Offset, err)
	if err == nil {
		c.w.judge.fetched(i.name, group, at.Topic, asked, answer.Offset)
	}
}

// administer makes topics grow, deletes records, and deletes the topic and makes it again.
func (c *client) administer() {
	for on := true; on || c.w.topicID() == (segments.TopicID{}) && c.w.judge.found() == nil; {
		// in the end there is a topic
		if on = c.w.sleep(c.dice().between("think", time.Second, 10*time.Second), c.w.judge.over); !on {
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
			c.change(i, c.w.plan.createTopic())
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
	_, err := serve(ctx, i, func(server context.Context) (coordinator.Fact, error) {
		ctx, leave := leaving(server, ctx)
		defer leave()
		return i.member.Change(ctx, change)
	})
	c.w.trace("%s: change at %s: %v", c.name, i.name, err)
}
