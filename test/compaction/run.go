package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

const topic = "updates"

// trial is one run.
type trial struct {
	Options
	server *process.Process
	spec   process.Spec
	random *rand.Rand
	writer *kgo.Client // idempotent, the same from beginning to end
	last   map[string]update
	end    int64 // one past the last offset
}

// update is the last record of a key.
type update struct {
	offset    int64
	timestamp int64 // milliseconds
	value     string
	deleted   bool
}

// Run writes, waits and compares.
func Run(ctx context.Context, o Options) error {
	t := &trial{Options: o, random: rand.New(rand.NewPCG(1, 2)), last: map[string]update{}}
	var err error
	command := append(process.Firn(o.Firn), "--commit-deadline", o.Deadline.String(), "--gc-grace", "3s")
	if t.spec, err = process.NewSpec(command, o.Dir); err != nil {
		return err
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	defer func() { t.server.Kill() }()
	if err := t.create(ctx); err != nil {
		return err
	}
	t.writer, err = kgo.NewClient(kgo.SeedBrokers(t.spec.Kafka), kgo.DefaultProduceTopic(topic), kgo.RecordRetries(1000),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer t.writer.Close()
	return t.steps(ctx)
}

func (t *trial) steps(ctx context.Context) error {
	began := time.Now()
	if err := t.write(ctx, t.Updates, 20); err != nil {
		return err
	}
	t.Say("%d updates of %d keys written in %.1f s", t.end, len(t.last), time.Since(began).Seconds())
	for range t.Kills {
		if err := t.kill(ctx); err != nil {
			return err
		}
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	if err := t.others(ctx); err != nil {
		return err
	}
	// The producer goes on, as a duplicate of nothing and out of no order, and deletes keys whose
	// tombstones are then watched.
	if err := t.write(ctx, t.Keys/10, 0); err != nil {
		return fmt.Errorf("the producer after compaction: %w", err)
	}
	if err := t.remove(ctx, t.Keys/10); err != nil {
		return err
	}
	if err := t.tombstones(ctx); err != nil {
		return err
	}
	if err := t.kill(ctx); err != nil {
		return err
	}
	return t.others(ctx)
}

func (t *trial) start(ctx context.Context) error {
	var err error
	if t.server, err = process.Start(t.spec); err != nil {
		return err
	}
	_, err = t.server.Ready(ctx)
	return err
}

// kill kills the server at a random moment of the next second, and starts it again.
func (t *trial) kill(ctx context.Context) error {
	timer := time.NewTimer(time.Duration(t.random.IntN(1000)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.server.Kill()
	return t.start(ctx)
}

func (t *trial) create(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.spec.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	retention := fmt.Sprint(t.Retention.Milliseconds())
	configs := map[string]*string{"cleanup.policy": new("compact"), "min.cleanable.dirty.ratio": new("0"),
		"delete.retention.ms": &retention,
		"segment.bytes":       new("1048576")} // so that a compaction takes many steps
	_, err = kadm.NewClient(client).CreateTopic(ctx, 1, 1, configs, topic)
	return err
}

// write writes updates of random keys, one in oneDeletes of which deletes its key; 0: none.
func (t *trial) write(ctx context.Context, updates, oneDeletes int) error {
	for written := 0; written < updates; {
		n := min(updates-written, 10_000)
		records := make([]*kgo.Record, n)
		for i := range records {
			r := &kgo.Record{Key: fmt.Appendf(nil, "key-%06d", t.random.IntN(t.Keys))}
			if oneDeletes == 0 || t.random.IntN(oneDeletes) > 0 {
				r.Value = fmt.Appendf(nil, "value-%d-%x", t.end+int64(i), t.random.Uint64())
			}
			records[i] = r
		}
		if err := t.produce(ctx, records); err != nil {
			return err
		}
		written += n
	}
	return nil
}

// remove deletes keys.
func (t *trial) remove(ctx context.Context, n int) error {
	var records []*kgo.Record
	for key, u := range t.last {
		if len(records) < n && !u.deleted {
			records = append(records, &kgo.Record{Key: []byte(key)})
		}
	}
	return t.produce(ctx, records)
}

func (t *trial) produce(ctx context.Context, records []*kgo.Record) error {
	for _, result := range t.writer.ProduceSync(ctx, records...) {
		r := result.Record
		if result.Err != nil {
			return result.Err
		}
		if u, known := t.last[string(r.Key)]; !known || r.Offset > u.offset {
			t.last[string(r.Key)] = update{r.Offset, r.Timestamp.UnixMilli(), string(r.Value), r.Value == nil}
		}
		t.end = max(t.end, r.Offset+1)
	}
	return nil
}
