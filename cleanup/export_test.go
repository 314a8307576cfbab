package cleanup

import (
	"context"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// LeastTarget is the smallest target of merges, so that a test has many of them.
const LeastTarget = leastTarget

// LeaseOf names the lease under which a partition is tended, for tests that take it away.
func LeaseOf(at segments.Partition) string { return leaseOf(at) }

// Ripeness is how old a segment is before a Cleaner with this deadline merges it.
func Ripeness(commitDeadline time.Duration) time.Duration {
	return (&Options{CommitDeadline: commitDeadline}).ripeness()
}

// Attempt merges these spans, or compacts the partition if there are none, at once: a history says
// when, and what a Cleaner would find to do.
func (c *Cleaner) Attempt(ctx context.Context, at segments.Partition, merge []coordinator.Span, after uint64) error {
	topic := c.view.TopicByID(at.Topic)
	config, err := topicconfig.Parse(topic.Configs)
	if err != nil {
		return err
	}
	w := work{topic: topic, at: at, config: config, now: time.Now(), merge: merge, after: after, compact: len(merge) == 0}
	_, err = c.attempt(ctx, w)
	return err
}

// Retain moves log starts of which one cannot be moved, which a Cleaner does not find by itself.
func Retain(ctx context.Context, opts Options, starts map[segments.Partition]int64) error {
	c, err := prepare(opts)
	if err == nil {
		c.retain(ctx, starts)
	}
	return err
}
