package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var balancers = map[string]func() kgo.GroupBalancer{
	"range": kgo.RangeBalancer, "roundrobin": kgo.RoundRobinBalancer, "sticky": kgo.StickyBalancer,
	"cooperative-sticky": kgo.CooperativeStickyBalancer,
}

// franz is a member on franz-go. A rebalance waits until what was polled is processed and
// committed.
func franz(ctx context.Context, m membership) error {
	opts := []kgo.Opt{
		kgo.SeedBrokers(m.bootstrap...), kgo.ConsumerGroup(m.group), kgo.ConsumeTopics(m.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.MetadataMaxAge(5 * time.Second), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, some map[string][]int32) {
			say("+ %s", numbers(some[m.topic]))
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, some map[string][]int32) {
			say("V %s", numbers(some[m.topic]))
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, some map[string][]int32) {
			say("V %s", numbers(some[m.topic]))
		}),
	}
	if m.protocol == "consumer" {
		opts = append(opts, kgo.ServerSideBalancer())
	} else if balancer := balancers[m.assignor]; balancer != nil {
		opts = append(opts, kgo.Balancers(balancer()), kgo.SessionTimeout(10*time.Second),
			kgo.HeartbeatInterval(500*time.Millisecond))
	} else {
		return fmt.Errorf("no assignor is called %s", m.assignor)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := client.PollRecords(poll, 1000)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) { say("P %d %d", r.Partition, r.Offset) })
		if !fetches.Empty() {
			if err := client.CommitRecords(context.WithoutCancel(ctx), fetches.Records()...); err != nil &&
				!errors.Is(err, context.Canceled) {
				say("E %v", err)
			}
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
	return nil
}
