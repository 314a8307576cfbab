package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// tail sends records at a steady rate, whether or not earlier ones have been answered, and returns
// how long after it was due each came to a consumer at the tail.
func (s *stack) tail(ctx context.Context) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.howLong+time.Minute)
	defer cancel()
	producer, err := kgo.NewClient(kgo.SeedBrokers(s.node.Kafka()), kgo.DefaultProduceTopic(live), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	ends, err := kadm.NewClient(producer).ListEndOffsets(ctx, live)
	if err != nil {
		return nil, err
	}
	end, found := ends.Lookup(live, 0)
	if !found || end.Err != nil {
		return nil, fmt.Errorf("the end of %s is not known: %w", live, end.Err)
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(s.node.Kafka()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{live: {0: kgo.NewOffset().At(end.Offset)}}))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()

	n, began := s.rate*int(s.howLong/time.Second), time.Now()
	sending, ctx := errgroup.WithContext(ctx)
	sending.Go(func() error { return s.send(ctx, producer, n, began) })
	var delays []time.Duration
	sending.Go(func() error {
		for len(delays) < n {
			fetches := consumer.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return fmt.Errorf("consuming the tail: %w", err)
			}
			now := time.Since(began)
			for r := range fetches.RecordsAll() {
				delays = append(delays, now-time.Duration(binary.BigEndian.Uint64(r.Value)))
			}
		}
		return nil
	})
	return delays, sending.Wait()
}

// send writes n records, each with the time at which it was due, since began.
func (s *stack) send(ctx context.Context, producer *kgo.Client, n int, began time.Time) error {
	failed := make(chan error, 1)
	for i := range n {
		due := time.Duration(i) * time.Second / time.Duration(s.rate)
		select {
		case <-time.After(due - time.Since(began)):
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		value := binary.BigEndian.AppendUint64(make([]byte, 0, valueBytes), uint64(due))[:valueBytes]
		producer.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	return producer.Flush(ctx)
}

// throughNode has clients read the whole history through the node, each some partitions of it,
// again and again.
func (s *stack) throughNode(ctx context.Context) (int64, error) {
	var read atomic.Int64
	var readers errgroup.Group
	for i := range s.readers {
		readers.Go(func() error {
			for ctx.Err() == nil {
				if err := s.readOnce(ctx, i, &read); err != nil && !errors.Is(err, context.Canceled) {
					return err
				}
			}
			return nil
		})
	}
	err := readers.Wait()
	return read.Load(), err
}

// readOnce reads every readers-th partition from its start to its end.
func (s *stack) readOnce(ctx context.Context, which int, read *atomic.Int64) error {
	from, left := map[int32]kgo.Offset{}, 0
	total := int(s.gib * (1 << 30) / valueBytes)
	for p := which; p < partitions; p += s.readers {
		from[int32(p)] = kgo.NewOffset().AtStart()
		left += (total - p + partitions - 1) / partitions
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.node.Kafka()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{history: from}),
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(8<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			read.Add(int64(len(r.Value)))
			left--
		}
	}
	return nil
}

// fromBucket runs firn replay again and again, and counts what it writes.
func (s *stack) fromBucket(ctx context.Context) (int64, error) {
	var read counter
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, s.firn, "replay", history, "--store", s.store, "--format", "raw")
		var complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &read, &complaints
		if err := cmd.Run(); err != nil && ctx.Err() == nil {
			return 0, fmt.Errorf("firn replay: %w: %s", err, strings.TrimSpace(complaints.String()))
		}
	}
	return int64(read), nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
