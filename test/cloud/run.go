package cloud

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Run runs a setting in a time of its own.
func Run(t *testing.T, s Setting) (r Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s = s.withDefaults()
		var err error
		if r, err = s.run(t.Context()); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	})
	return r
}

func (s *Setting) run(ctx context.Context) (Result, error) {
	c, err := start(ctx, s)
	defer c.end()
	if err != nil {
		return Result{}, err
	}
	change := coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: topicID, Name: topic,
		Partitions: partitions}}
	if _, err := c.nodes[0].member.Change(ctx, change); err != nil {
		return Result{}, err
	}
	time.Sleep(time.Second) // until every node has registered and knows the topic
	l := &loading{from: time.Now().Add(s.Warm)}
	l.until = l.from.Add(s.For)
	var before, after Usage
	l.running.Go(func() {
		time.Sleep(time.Until(l.from))
		before = c.bucket.Usage()
		time.Sleep(time.Until(l.until))
		after = c.bucket.Usage()
	})
	for i := range s.Producers {
		if s.Records == 0 {
			break
		}
		producer, err := s.producer(&c.network)
		if err != nil {
			return Result{}, err
		}
		defer producer.Close()
		l.running.Go(func() { l.produce(ctx, s, i, producer) })
	}
	l.running.Wait()
	return s.result(l.took, l.failed, after.Since(before), s.For), l.err
}

const topic = "topic"

// topicID is always the same, because it decides which nodes lead which partitions.
var topicID = segments.TopicID{15: 1}

func (s *Setting) producer(network interface {
	DialContext(ctx context.Context, network, address string) (conn net.Conn, err error)
}, more ...kgo.Opt) (*kgo.Client, error) {
	seeds := make([]string, s.Nodes)
	for i := range seeds {
		seeds[i] = address(i)
	}
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.Dialer(network.DialContext), kgo.DefaultProduceTopic(topic),
		kgo.ProducerLinger(s.Linger), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(1 << 22)}
	if s.InFlight != idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(s.InFlight))
	}
	return kgo.NewClient(append(opts, more...)...)
}

// loading is the producers of a setting.
type loading struct {
	from, until time.Time // of the records that count
	running     sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration
	failed int
	err    error // the last of a record
}

// tick is how long a producer sleeps at least: what becomes due meanwhile is sent together, late by
// as much, and that is in the figures.
const tick = time.Millisecond

// produce sends records when each is due, whatever became of those before, and waits for the
// answers.
func (l *loading) produce(ctx context.Context, s *Setting, i int, producer *kgo.Client) {
	random := rand.New(rand.NewPCG(s.Seed, uint64(i)+1))
	rate := s.Records / float64(s.Producers)
	gap := func() time.Duration {
		share := 1.0
		if !s.Even {
			share = random.ExpFloat64()
		}
		return time.Duration(share / rate * float64(time.Second))
	}
	value := make([]byte, recordBytes) // nobody looks into it, and nothing compresses it
	var answers sync.WaitGroup
	first := l.from.Add(-s.Warm + time.Duration(random.Float64()/rate*float64(time.Second)))
	for due := first; due.Before(l.until); due = due.Add(gap()) {
		if wait := time.Until(due); wait > 0 {
			time.Sleep(max(wait, tick))
		}
		answers.Add(1)
		producer.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			defer answers.Done()
			l.answer(due, err)
		})
	}
	answers.Wait()
}

func (l *loading) answer(due time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.failed++
		l.err = fmt.Errorf("a record was not written: %w", err)
	case !due.Before(l.from):
		l.took = append(l.took, time.Since(due))
	}
}
