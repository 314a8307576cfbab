package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// churnNames is how many names the churned topics share, so that names come back after their topics
// were deleted.
const churnNames = 6

// churn creates, fills, grows and deletes topics, and remembers what it was promised. It works
// alone on its names: what the cluster must show is known whenever a call has been answered, and
// "it may have happened" is settled by asking again.
type churn struct {
	c      *crowd
	topics map[string]*churned
	done   atomic.Int64
}

// churned is a topic that is there.
type churned struct {
	partitions int32
	written    map[int32][]string // values, by partition
	client     *kgo.Client        // that writes to it, once there is one
}

// hangUp makes the next write use a client, and a producer id, of its own. A client that is told to
// forget a topic counts its records from 0 again, under the same producer id: that makes them
// duplicates.
func (t *churned) hangUp() {
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
}

func (ch *churn) hangUp() {
	for _, t := range ch.topics {
		t.hangUp()
	}
}

func newChurn(c *crowd) *churn { return &churn{c: c, topics: map[string]*churned{}} }

// count says how many changes were made.
func (ch *churn) count() int { return int(ch.done.Load()) }

// run churns until ctx ends.
func (ch *churn) run(ctx context.Context) error {
	defer ch.hangUp()
	// The client would make a call again by itself after its connection broke, and hide that the first
	// one may have been heard.
	calls, err := ch.c.client(kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer calls.Close()
	admin := kadm.NewClient(calls)
	random := rand.New(rand.NewPCG(ch.c.opts.Seed, 77))
	for ctx.Err() == nil {
		name := fmt.Sprintf("churn-%d", random.IntN(churnNames))
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := ch.change(work, random, admin, name)
		cancel()
		if err != nil {
			return fmt.Errorf("churning topic %s: %w", name, err)
		}
		ch.done.Add(1)
		time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond))))
	}
	return nil
}

// change makes one change, however often the server dies meanwhile.
func (ch *churn) change(ctx context.Context, random *rand.Rand, admin *kadm.Client, name string) error {
	t := ch.topics[name]
	switch action := random.IntN(4); {
	case t == nil:
		partitions := int32(1 + random.IntN(3))
		err := ch.until(ctx, kerr.TopicAlreadyExists, func() error {
			resp, err := admin.CreateTopic(ctx, partitions, 1, nil, name)
			return errors.Join(err, resp.Err)
		})
		if err != nil {
			return err
		}
		ch.topics[name] = &churned{partitions: partitions, written: map[int32][]string{}}
	case action == 0:
		err := ch.until(ctx, kerr.UnknownTopicOrPartition, func() error {
			resp, err := admin.DeleteTopic(ctx, name)
			return errors.Join(err, resp.Err)
		})
		if err != nil {
			return err
		}
		t.hangUp()
		delete(ch.topics, name)
	case action == 1:
		err := ch.until(ctx, kerr.InvalidPartitions, func() error { // refused if it has that many already
			resp, err := admin.UpdatePartitions(ctx, int(t.partitions+1), name)
			return errors.Join(err, resp.Error())
		})
		if err != nil {
			return err
		}
		t.partitions++
		t.hangUp() // it would know the old number for a while
	default:
		return ch.write(ctx, random, name, t)
	}
	return nil
}

// until makes a call again until it is answered; done is the answer that says that an earlier
// attempt was heard.
func (ch *churn) until(ctx context.Context, done error, call func() error) error {
	for attempt := 0; ; attempt++ {
		err := call()
		switch {
		case err == nil, attempt > 0 && errors.Is(err, done):
			return nil
		case ctx.Err() != nil:
			return err
		case isAnswer(err):
			return err
		}
		time.Sleep(5 * time.Millisecond) // the server may be down
	}
}

// isAnswer tells a server's refusal from a call that was not answered.
func isAnswer(err error) bool {
	var answer *kerr.Error
	return errors.As(err, &answer) && !answer.Retriable
}

// write writes a few records to some partition of the topic.
func (ch *churn) write(ctx context.Context, random *rand.Rand, name string, t *churned) error {
	partition := int32(random.IntN(int(t.partitions)))
	var records []*kgo.Record
	for range 1 + random.IntN(5) {
		value := fmt.Sprintf("%s %d %x", name, partition, random.Uint64())
		records = append(records, &kgo.Record{Topic: name, Partition: partition, Value: []byte(value)})
		t.written[partition] = append(t.written[partition], value)
	}
	for {
		if t.client == nil {
			var err error
			if t.client, err = ch.c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1),
				kgo.ProducerLinger(0)); err != nil {
				return err
			}
		}
		err := t.client.ProduceSync(ctx, records...).FirstErr()
		if err == nil || !strings.Contains(err.Error(), "invalid record partitioning choice") || ctx.Err() != nil {
			return err
		}
		t.hangUp() // it asked a node that has not heard of the partition yet; nothing was sent
		time.Sleep(50 * time.Millisecond)
	}
}

// judge compares the cluster with what was promised. Nobody changes anything any more.
func (ch *churn) judge(ctx context.Context) error {
	client, err := ch.c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for i := range churnNames {
		name := fmt.Sprintf("churn-%d", i)
		want := ch.topics[name]
		switch {
		case want == nil && found.Has(name):
			faults = append(faults, fmt.Errorf("topic %s was deleted and is there", name))
		case want == nil:
		case !found.Has(name):
			faults = append(faults, fmt.Errorf("topic %s is not there", name))
		case len(found[name].Partitions) != int(want.partitions):
			faults = append(faults, fmt.Errorf("topic %s has %d partitions, want %d", name, len(found[name].Partitions),
				want.partitions))
		default:
			faults = append(faults, ch.readBack(ctx, name, want))
		}
	}
	return errors.Join(faults...)
}

// missing says how many records of which partitions were not read.
func (t *churned) missing(got map[int32]int) string {
	var b strings.Builder
	for partition, values := range t.written {
		if n := len(values) - got[partition]; n > 0 {
			fmt.Fprintf(&b, ", %d of %d in partition %d of %d", n, len(values), partition, t.partitions)
		}
	}
	return b.String()
}

// readBack compares a topic's records with those that were written: all of them were acknowledged.
func (ch *churn) readBack(ctx context.Context, name string, want *churned) error {
	total := 0
	for _, values := range want.written {
		total += len(values)
	}
	client, err := ch.c.client(kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	got := map[int32]int{}
	for total > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("topic %s: %d records are missing%s: %w", name, total, want.missing(got), err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); total-- {
			r := iter.Next()
			values := want.written[r.Partition]
			at := got[r.Partition]
			if r.Offset != int64(at) || at >= len(values) || string(r.Value) != values[at] {
				return fmt.Errorf("topic %s: partition %d offset %d holds %q, want number %d of %d", name, r.Partition, r.Offset,
					r.Value, at, len(values))
			}
			got[r.Partition]++
		}
	}
	return nil
}
