package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Of transactions.
const (
	transactional        = 16 // producers
	recordsOfTransaction = 10
)

// transactionSample is what one peer did, once.
type transactionSample struct {
	transactions    float64 // per second
	write, commit   time.Duration
	cpuMicroseconds float64 // of the server, for each
	plain           float64 // the same records without transactions, in rounds per second
	plainWrite      time.Duration
}

// transactions has producers commit transactions of a few records one after the other, beside the
// same records without transactions.
func (b *bench) transactions(ctx context.Context) error {
	samples := map[string][]transactionSample{}
	for round := range b.rounds {
		for i := range b.peers {
			p := b.peers[(i+round)%len(b.peers)]
			one, err := b.transactionSample(ctx, p, round%2 == 1)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			samples[p.name] = append(samples[p.name], one)
			fmt.Fprintf(b.log, "transactions, round %d: %s: %.0f transactions/s, records %v, commit %v; without: %.0f/s, %v\n",
				round+1, p.name, one.transactions, one.write, one.commit, one.plain, one.plainWrite)
		}
	}
	for _, p := range b.peers {
		b.report.transactions = append(b.report.transactions, transactionRow{p.name, samples[p.name]})
	}
	return nil
}

// transactionSample measures a fresh server of a peer once. What comes second finds it warm.
func (b *bench) transactionSample(ctx context.Context, p peer, plainLast bool) (s transactionSample, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*b.seconds+patience)
	defer cancel()
	server, spec, err := b.fresh(ctx, p)
	if err != nil {
		return s, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, server.Output())
		}
		if discarded := discard(server, spec); err == nil {
			err = discarded
		}
	}()
	if err := createTopic(ctx, spec, topic, partitions); err != nil {
		return s, err
	}
	if err := commitsAtLast(ctx, spec.Kafka); err != nil {
		return s, err
	}
	var plain, within rounds
	var used cost
	steps := []func() error{
		func() (err error) {
			plain, err = b.writeRounds(ctx, spec.Kafka, false)
			return err
		},
		func() (err error) {
			used, err = measure(server, func() error {
				return b.profiled(ctx, server, p.name+", transactions", func() (err error) {
					within, err = b.writeRounds(ctx, spec.Kafka, true)
					return err
				})
			})
			return err
		},
	}
	if plainLast {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return s, err
		}
	}
	n := float64(len(within.wrote))
	return transactionSample{transactions: n / within.took.Seconds(), write: quantile(within.wrote, 50),
		commit: quantile(within.committed, 50), cpuMicroseconds: used.cpuSeconds * 1e6 / n,
		plain: float64(len(plain.wrote)) / plain.took.Seconds(), plainWrite: quantile(plain.wrote, 50)}, nil
}

// commitsAtLast waits until a server that has just started commits: Apache Kafka makes a topic for
// transactions first.
func commitsAtLast(ctx context.Context, addr string) error {
	for {
		err := func() error {
			client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.TransactionalID("first"))
			if err != nil {
				return err
			}
			defer client.Close()
			_, _, err = writeRound(ctx, client, []*kgo.Record{{Value: textValues()[0]}}, true)
			return err
		}()
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// rounds is what each round of records took, and its commit.
type rounds struct {
	wrote, committed []time.Duration
	took             time.Duration
}

// writeRounds has producers write rounds of records for a while, each when the one before is
// acknowledged or committed.
func (b *bench) writeRounds(ctx context.Context, addr string, commits bool) (r rounds, _ error) {
	var mu sync.Mutex
	var failures error
	var running sync.WaitGroup
	values := textValues()
	clients := make([]*kgo.Client, transactional)
	for i := range clients {
		opts := []kgo.Opt{kgo.SeedBrokers(addr), kgo.ProducerLinger(0), kgo.DefaultProduceTopic(topic),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks())}
		if commits {
			opts = append(opts, kgo.TransactionalID(fmt.Sprint("bench-", i)))
		}
		client, err := kgo.NewClient(opts...)
		if err != nil {
			return r, err
		}
		defer client.Close()
		clients[i] = client
	}
	began := time.Now()
	for i, client := range clients {
		running.Go(func() {
			var wrote, committed []time.Duration
			var failed error
			for n := 0; failed == nil && time.Since(began) < b.seconds; n++ {
				records := make([]*kgo.Record, recordsOfTransaction)
				for j := range records {
					at := n*recordsOfTransaction + j
					records[j] = &kgo.Record{Partition: int32((i + at) % partitions), Value: values[at%pool]}
				}
				var w, c time.Duration
				w, c, failed = writeRound(ctx, client, records, commits)
				wrote, committed = append(wrote, w), append(committed, c)
			}
			mu.Lock()
			defer mu.Unlock()
			r.wrote, r.committed = slices.Concat(r.wrote, wrote), slices.Concat(r.committed, committed)
			failures = errors.Join(failures, failed)
		})
	}
	running.Wait()
	r.took = time.Since(began)
	return r, failures
}

// writeRound writes records, commits them if it is to, and says what either took.
func writeRound(ctx context.Context, client *kgo.Client, records []*kgo.Record,
	commits bool) (wrote, committed time.Duration, err error) {
	if commits {
		if err := client.BeginTransaction(); err != nil {
			return 0, 0, err
		}
	}
	began := time.Now()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return 0, 0, err
	}
	wrote = time.Since(began)
	if commits {
		err = client.EndTransaction(ctx, kgo.TryCommit)
	}
	return wrote, time.Since(began) - wrote, err
}
