package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/coordinator"
)

// Exchange is producers that write a few records together, again and again: in a transaction each
// time, or without.
type Exchange struct {
	Setting       // of the cluster; its records are those of the exchange
	Transactional bool
	Rounds        int           // of each producer
	Every         time.Duration // a producer begins a round
}

// recordsOfRound are spread over the partitions.
const recordsOfRound = 10

// ExchangeResult is what an Exchange came to. Latencies are in milliseconds.
type ExchangeResult struct {
	Rounds               int
	Puts                 int64
	WriteP50, WriteP99   float64 // of the records of a round, until the last is acknowledged
	CommitP50, CommitP99 float64
}

// RunExchange runs an exchange in a time of its own.
func RunExchange(t *testing.T, e Exchange) (r ExchangeResult) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e.Setting = e.withDefaults()
		var err error
		if r, err = e.run(t.Context()); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	})
	return r
}

func (e *Exchange) run(ctx context.Context) (r ExchangeResult, err error) {
	c, err := start(ctx, &e.Setting)
	defer c.end()
	if err != nil {
		return r, err
	}
	change := coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: topicID, Name: topic, Partitions: partitions}}
	if _, err := c.nodes[0].member.Change(ctx, change); err != nil {
		return r, err
	}
	time.Sleep(time.Second) // until every node has registered and knows the topic
	var mu sync.Mutex
	var wrote, committed []time.Duration
	var running sync.WaitGroup
	errs := make([]error, e.Producers)
	clients := make([]*kgo.Client, e.Producers)
	for i := range clients {
		var opts []kgo.Opt
		if e.Transactional {
			opts = append(opts, kgo.TransactionalID(fmt.Sprint("exchange-", i)))
		}
		client, err := e.producer(&c.network, append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			return r, err
		}
		defer client.Close()
		clients[i] = client
	}
	before, began := c.bucket.Usage(), time.Now()
	for i, client := range clients {
		running.Go(func() {
			next := began.Add(e.Every * time.Duration(i) / time.Duration(e.Producers))
			for range e.Rounds {
				time.Sleep(time.Until(next))
				write, commit, err := e.round(ctx, client)
				if errs[i] = err; err != nil {
					return
				}
				mu.Lock()
				wrote, committed = append(wrote, write), append(committed, commit)
				mu.Unlock()
				next = next.Add(e.Every)
			}
		})
	}
	running.Wait()
	used := c.bucket.Usage().Since(before)
	if err := errors.Join(errs...); err != nil {
		return r, err
	}
	slices.Sort(wrote)
	slices.Sort(committed)
	return ExchangeResult{Rounds: len(wrote), Puts: used.Puts, WriteP50: quantile(wrote, 0.5),
		WriteP99: quantile(wrote, 0.99), CommitP50: quantile(committed, 0.5), CommitP99: quantile(committed, 0.99)}, nil
}

// round writes the records of a round, commits them if it is to, and says what either took.
func (e *Exchange) round(ctx context.Context, client *kgo.Client) (wrote, committed time.Duration, err error) {
	if e.Transactional {
		if err := client.BeginTransaction(); err != nil {
			return 0, 0, err
		}
	}
	records := make([]*kgo.Record, recordsOfRound)
	for i := range records {
		records[i] = &kgo.Record{Partition: int32(i % partitions), Value: make([]byte, recordBytes)}
	}
	began := time.Now()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return 0, 0, err
	}
	wrote = time.Since(began)
	if e.Transactional {
		err = client.EndTransaction(ctx, kgo.TryCommit)
	}
	return wrote, time.Since(began) - wrote, err
}
