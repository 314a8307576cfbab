package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/index"
)

// groupPoll is how long a member waits for records before it looks whether its group has read
// everything.
const groupPoll = 300 * time.Millisecond

// groupConsumer copies the records that a member of a group gets. It commits what it has written
// out, so a record may come twice and is never skipped.
type groupConsumer struct {
	*consumeOptions
	recordWriter
	client   *kgo.Client
	lookout  *lookout
	adm      *kadm.Client
	ends     map[int32]stretch // what was there to read when the command started
	progress *progress
	written  int64
}

// consumeGroup reads as a member of a group: until the group, not just this member, has read what
// was there at the start; with --follow on and on.
func consumeGroup(ctx context.Context, s streams, o *consumeOptions, from index.Place,
	parts map[int32]stretch, w recordWriter) error {
	reset := kgo.NewOffset().AtStart()
	offset, _ := from.Offset()
	millis, byTime := from.Millis()
	switch {
	case from == index.Latest:
		reset = kgo.NewOffset().AtEnd()
	case byTime:
		reset = kgo.NewOffset().AfterMilli(millis)
	case offset > 0:
		reset = kgo.NewOffset().At(offset)
	}
	cl, err := o.connect(ctx, kgo.ConsumerGroup(o.group), kgo.ConsumeTopics(o.topic), kgo.ConsumeResetOffset(reset),
		kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(o.isolation.level()),
		kgo.KeepControlRecords(), // they are committed as well: a partition may end with one
		kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(groupPoll))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	defer o.watchServer(ctx, s, cl, "trying again until one does")()
	c := &groupConsumer{consumeOptions: o, recordWriter: w, client: cl, lookout: o.lookout(cl),
		adm: kadm.NewClient(cl), ends: parts}
	c.progress = startProgress(s, "consumed", o.count, o.count > 0)
	defer c.progress.finish()
	return c.copyRecords(ctx)
}

// copyRecords reads until done, an error, or a signal. With --follow a signal is the ordinary end.
func (c *groupConsumer) copyRecords(ctx context.Context) error {
	for {
		soon, cancel := context.WithTimeout(ctx, groupPoll)
		fetches := c.client.PollRecords(soon, c.most())
		timedOut := soon.Err() != nil
		cancel()
		if ctx.Err() != nil {
			if c.follow {
				return nil
			}
			return errInterrupted
		}
		idle := fetches.NumRecords() == 0
		if !idle || !timedOut {
			if err := c.copyFetches(ctx, fetches); err != nil {
				return err
			}
		}
		c.client.AllowRebalance()
		if c.count > 0 && c.written >= c.count {
			return nil
		}
		if idle && !c.follow {
			if done, err := c.groupIsDone(ctx); done || err != nil {
				return err
			}
		}
	}
}

// most is how many records one poll may bring.
func (c *groupConsumer) most() int {
	const most = 10_000
	if c.count > 0 {
		return int(min(most, c.count-c.written))
	}
	return most
}

// copyFetches writes records, and commits them once they are written.
func (c *groupConsumer) copyFetches(ctx context.Context, fetches kgo.Fetches) error {
	for _, problem := range fetches.Errors() {
		if outage(problem.Err) {
			continue // the client tries again, and watchServer has told of it
		}
		return explain(c.topic, problem.Err, "")
	}
	var read, bytes int64
	records := fetches.Records()
	for _, r := range records {
		if r.Attrs.IsControl() {
			continue
		}
		written, err := c.write(r)
		if err != nil {
			return err
		}
		if written {
			c.written++
		}
		read++
		bytes += int64(len(r.Key) + len(r.Value))
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.progress.add(read, bytes)
	return explainGroup(c.group, c.client.CommitRecords(ctx, records...))
}

// outage says whether a member cannot reach its group, as against what the group answers.
func outage(err error) bool {
	answer := new(kerr.Error)
	return errors.As(err, new(*kgo.ErrGroupSession)) && !errors.As(err, &answer)
}

// groupIsDone says whether the group has committed all records that were there at the start.
func (c *groupConsumer) groupIsDone(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	committed, err := c.adm.FetchOffsets(ctx, c.group)
	if err != nil {
		return false, explainGroup(c.group, err)
	}
	for partition, part := range c.ends {
		read := part.start
		if o, there := committed.Lookup(c.topic, partition); there && o.At >= 0 {
			read = o.At
		}
		if !c.lookout.isOver(ctx, partition, read, part.end) {
			return false, nil
		}
	}
	return true, nil
}
