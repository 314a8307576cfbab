package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// condition is something beside which the tail is measured, and what was found.
type condition struct {
	name   string
	replay func(context.Context) (bytes int64, err error) // until its context ends; nil: nothing

	delays []time.Duration
	speeds []float64 // MiB/s of the replay, by round
}

// fill writes the history, and the topic of the tail.
func (s *stack) fill(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.node.Kafka()), kgo.DefaultProduceTopic(history),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	for topic, n := range map[string]int32{history: partitions, live: 1} {
		if _, err := adm.CreateTopic(ctx, n, 1, nil, topic); err != nil {
			return err
		}
	}
	values := make([]byte, 8<<20) // what cannot be compressed
	rand.Read(values)
	began, n := time.Now(), int(s.gib*(1<<30)/valueBytes)
	failed := make(chan error, 1)
	for i := range n {
		at := i % (len(values) / valueBytes) * valueBytes
		client.Produce(ctx, &kgo.Record{Partition: int32(i % partitions), Value: values[at:][:valueBytes]},
			func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Fprintf(os.Stderr, "%d records of history, %.1f GiB, in %s\n", n, s.gib, time.Since(began).Round(time.Second))
	return nil
}

// measure has the tail read under each condition in turn, and prints a table.
func (s *stack) measure(ctx context.Context) error {
	fmt.Fprintf(os.Stderr, "waiting %s until the history is old\n", old)
	select {
	case <-time.After(old):
	case <-ctx.Done():
		return ctx.Err()
	}
	conditions := []*condition{
		{name: "alone"},
		{name: fmt.Sprintf("beside %d clients that read everything through the node", s.readers), replay: s.throughNode},
		{name: "beside firn replay, from the bucket", replay: s.fromBucket},
	}
	for round := range s.rounds {
		for i := range conditions {
			c := conditions[(i+round)%len(conditions)]
			if err := s.under(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d: %s: p99 %v so far\n", round+1, c.name, quantile(c.delays, 99))
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintf(table, "| %d records a second at the tail, history of %.1f GiB\t p50\t p99\t longest\t p99 beside "+
		"alone\t MiB/s replayed\t\n| ---\t ---\t ---\t ---\t ---\t ---\t\n",
		s.rate, s.gib)
	alone := quantile(conditions[0].delays, 99)
	for _, c := range conditions {
		fmt.Fprintf(table, "| %s\t %v\t %v\t %v\t %.2f\t %s\t\n", c.name, quantile(c.delays, 50), quantile(c.delays, 99),
			quantile(c.delays, 100),
			float64(quantile(c.delays, 99))/float64(alone), median(c.speeds))
	}
	return table.Flush()
}

// under measures the tail for a while, with a replay beside it if the condition has one.
func (s *stack) under(ctx context.Context, c *condition) error {
	replaying, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		bytes int64
		err   error
	}
	replayed, began := make(chan result, 1), time.Now()
	if c.replay != nil {
		go func() {
			bytes, err := c.replay(replaying)
			if err != nil { // the tail need not be measured any longer
				stop()
			}
			replayed <- result{bytes, err}
		}()
	}
	delays, err := s.tail(replaying)
	stop()
	if c.replay != nil {
		r := <-replayed
		if r.err != nil {
			return r.err
		}
		c.speeds = append(c.speeds, float64(r.bytes)/(1<<20)/time.Since(began).Seconds())
	}
	c.delays = append(c.delays, delays...)
	return err
}

func quantile(ds []time.Duration, percent int) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(ds))
	return sorted[(len(sorted)-1)*percent/100].Round(10 * time.Microsecond)
}

func median(of []float64) string {
	if len(of) == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", slices.Sorted(slices.Values(of))[len(of)/2])
}
