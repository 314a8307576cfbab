package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// chain is three stages, each a group that reads a topic, changes every record, and writes it to
// the next. Groups grow and shrink meanwhile. Because every member writes, and commits what it
// read, before it gives a partition up, each record has to come out once.
type chain struct {
	cluster *cluster
	balance string // a classic assignor, or "consumer protocol"
	records int
	passed  [stages]atomic.Int64 // records that each stage has written
	moves   atomic.Int64         // partitions that were given to a member
}

// The work of a member takes time, so that groups of changing size share it.
const (
	workAtOnce = 500
	workTakes  = 20 * time.Millisecond
)

const (
	stages          = 3
	chainPartitions = 12
	keys            = 997
)

func (c *chain) topic(stage int) string {
	return fmt.Sprintf("chain-%s-%d", strings.ReplaceAll(c.balance, " ", "-"), stage)
}

// run returns how long it took.
func (c *chain) run(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*patience)
	defer cancel()
	for stage := range stages + 1 {
		if err := c.cluster.create(ctx, chainPartitions, c.topic(stage)); err != nil {
			return 0, err
		}
	}
	if err := c.fill(ctx); err != nil {
		return 0, err
	}
	begun := time.Now()
	g, working := errgroup.WithContext(ctx)
	for stage := range stages {
		g.Go(func() error { return c.stage(working, stage) })
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	return took, c.check(ctx)
}

// fill writes records 0, 1, 2, … Their key decides the partition in every stage.
func (c *chain) fill(ctx context.Context) error {
	client, err := c.cluster.client(kgo.DefaultProduceTopic(c.topic(0)))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for i := range c.records {
		client.Produce(ctx, &kgo.Record{Key: fmt.Append(nil, i%keys), Value: binary.BigEndian.AppendUint64(nil, uint64(i))},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
				}
			})
	}
	err = client.Flush(ctx)
	if f := failed.Load(); f != nil {
		err = errors.Join(err, *f)
	}
	return err
}

// stage runs a group of one member, which grows to four and shrinks to two while the records pass.
func (c *chain) stage(ctx context.Context, stage int) error {
	g, ctx := errgroup.WithContext(ctx)
	total := int64(c.records)
	// Each member: from which part of the records on it is there, and until which.
	for _, span := range [][2]float64{{0, 0.7}, {0.1, 0.6}, {0.25, 2}, {0.4, 0.85}, {0.5, 2}} {
		g.Go(func() error {
			at := func(part float64) func() bool {
				return func() bool { return c.passed[stage].Load() >= min(total, int64(part*float64(total))) }
			}
			if err := wait(ctx, at(span[0])); err != nil {
				return err
			}
			return c.member(ctx, stage, at(span[1]))
		})
	}
	return g.Wait()
}

func wait(ctx context.Context, so func() bool) error {
	for !so() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// member is one member of a stage's group, until it is over.
func (c *chain) member(ctx context.Context, stage int, over func() bool) error {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.topic(stage) + "-group"), kgo.ConsumeTopics(c.topic(stage)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.FetchMaxBytes(1 << 20),
		kgo.DefaultProduceTopic(c.topic(stage + 1)), kgo.ProducerBatchMaxBytes(1 << 20),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, some map[string][]int32) {
			c.moves.Add(int64(len(some[c.topic(stage)])))
		}),
	}
	if balancer := balancers[c.balance]; balancer != nil {
		opts = append(opts, kgo.Balancers(balancer()), kgo.HeartbeatInterval(200*time.Millisecond))
	} else {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	client, err := c.cluster.client(opts...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for !over() {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := client.PollRecords(poll, workAtOnce)
		cancel()
		if err := c.pass(ctx, client, stage, fetches); err != nil {
			return fmt.Errorf("stage %d: %w", stage, err)
		}
		client.AllowRebalance()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// pass writes what was read to the next topic, and commits it.
func (c *chain) pass(ctx context.Context, client *kgo.Client, stage int, fetches kgo.Fetches) error {
	if fetches.Empty() {
		return nil
	}
	time.Sleep(workTakes)
	var changed []*kgo.Record
	fetches.EachRecord(func(r *kgo.Record) {
		value := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(r.Value)*3+uint64(stage))
		changed = append(changed, &kgo.Record{Key: r.Key, Value: value})
	})
	if err := client.ProduceSync(ctx, changed...).FirstErr(); err != nil {
		return err
	}
	if err := client.CommitRecords(ctx, fetches.Records()...); err != nil {
		return err
	}
	c.passed[stage].Add(int64(len(changed)))
	return nil
}

// changed is what record i has become.
func changed(i uint64) uint64 {
	for stage := range uint64(stages) {
		i = i*3 + stage
	}
	return i
}

// check reads the last topic: every record once, those of one key in their order.
func (c *chain) check(ctx context.Context) error {
	client, err := c.cluster.client(kgo.ConsumeTopics(c.topic(stages)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	origin := make(map[uint64]int, c.records)
	for i := range c.records {
		origin[changed(uint64(i))] = i
	}
	next := map[int]int{} // by key
	for i := range keys {
		next[i] = i
	}
	for n := 0; n < c.records; {
		fetches := client.PollRecords(ctx, 10_000)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d of %d records came out: %w", n, c.records, err)
		}
		for _, r := range fetches.Records() {
			i, known := origin[binary.BigEndian.Uint64(r.Value)]
			if !known {
				return fmt.Errorf("offset %d of partition %d holds what nobody wrote", r.Offset, r.Partition)
			}
			if next[i%keys] != i {
				return fmt.Errorf("record %d came out where %d of the same key was next: lost, twice, or out of order", i,
					next[i%keys])
			}
			next[i%keys] += keys
			n++
		}
	}
	for stage := range stages {
		if passed := c.passed[stage].Load(); passed != int64(c.records) {
			return fmt.Errorf("stage %d passed %d records on, there are %d", stage, passed, c.records)
		}
	}
	return nil
}

var balancers = map[string]func() kgo.GroupBalancer{
	"range": kgo.RangeBalancer, "roundrobin": kgo.RoundRobinBalancer, "sticky": kgo.StickyBalancer,
	"cooperative-sticky": kgo.CooperativeStickyBalancer,
}
