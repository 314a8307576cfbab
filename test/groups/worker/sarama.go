package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

var strategies = map[string]func() sarama.BalanceStrategy{
	"range": sarama.NewBalanceStrategyRange, "roundrobin": sarama.NewBalanceStrategyRoundRobin,
	"sticky": sarama.NewBalanceStrategySticky,
}

// saramaMember is a member on sarama, which knows the classic protocol, eager assignors only.
func saramaMember(ctx context.Context, m membership) error {
	strategy := strategies[m.assignor]
	if m.protocol != "classic" || strategy == nil {
		return fmt.Errorf("sarama knows neither %s nor %s", m.protocol, m.assignor)
	}
	c := sarama.NewConfig()
	c.Version = sarama.V3_0_0_0
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy()}
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Metadata.RefreshFrequency = 5 * time.Second
	c.Metadata.Retry.Max = 100
	group, err := sarama.NewConsumerGroup(m.bootstrap, m.group, c)
	if err != nil {
		return err
	}
	defer group.Close()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{m.topic}, &handler{topic: m.topic}); err != nil &&
			!errors.Is(err, sarama.ErrClosedConsumerGroup) {
			say("E %v", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

type handler struct{ topic string }

func (h *handler) Setup(s sarama.ConsumerGroupSession) error {
	say("A %s", numbers(s.Claims()[h.topic]))
	return nil
}

func (h *handler) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	say("V *")
	return nil
}

func (h *handler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, open := <-claim.Messages():
			if !open {
				return nil
			}
			say("P %d %d", r.Partition, r.Offset)
			s.MarkMessage(r, "")
			if len(claim.Messages()) == 0 {
				s.Commit()
			}
		case <-s.Context().Done():
			return nil
		}
	}
}
