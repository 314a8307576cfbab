package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

const (
	topic = "replayed"
	// deadline is short, so that segments are merged soon.
	deadline   = 2 * time.Second
	batchBytes = 128 << 10 // before compression
	patience   = 5 * time.Minute
)

// filled is a bucket with a topic in it, and the node that wrote it.
type filled struct {
	store      segments.Store
	node       *coordinator.Node
	writer     *ingest.Writer
	partitions []segments.Partition
}

// fill writes records that look like log lines.
func fill(ctx context.Context, store segments.Store, o options) (*filled, error) {
	codec, err := batch.ParseCodec(o.codec)
	if err != nil {
		return nil, fmt.Errorf("--codec: %w", err)
	}
	f := &filled{store: store}
	f.node, err = coordinator.Join(ctx, coordinator.NodeOptions{Store: store, Info: coordinator.NodeInfo{ID: 1},
		CommitDeadline: deadline,
		Coordinator:    embedded.New(embedded.Options{CommitDeadline: deadline})})
	if err != nil {
		return nil, err
	}
	id := segments.NewTopicID()
	if _, err = f.node.Change(ctx, coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: topic,
		Partitions: int32(o.partitions)}}); err != nil {
		return nil, err
	}
	for i := range o.partitions {
		f.partitions = append(f.partitions, segments.Partition{Topic: id, Index: int32(i)})
	}
	if f.writer, err = ingest.New(ingest.Options{Store: store, Node: f.node,
		Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	for written := int64(0); written < int64(o.mib)<<20; {
		n, err := f.write(ctx, random, codec)
		if err != nil {
			return nil, err
		}
		written += n
	}
	return f, nil
}

// write writes as much as makes a segment, about, and says how much that is.
func (f *filled) write(ctx context.Context, random *rand.Rand, codec batch.Codec) (n int64, err error) {
	var batches []ingest.Batch
	for n < 8<<20 {
		b, err := batch.Build(lines(random), batch.NoProducer(codec))
		if err != nil {
			return 0, err
		}
		h, err := batch.Check(b)
		if err != nil {
			return 0, err
		}
		batches = append(batches, ingest.Batch{Partition: f.partitions[random.IntN(len(f.partitions))], Header: h, Bytes: b})
		n += int64(len(b))
	}
	p, err := f.writer.Append(ctx, batches)
	if err != nil {
		return 0, err
	}
	results, err := p.Wait(ctx)
	for i := range results {
		if err == nil {
			err = results[i].Err
		}
	}
	return n, err
}

// lines are records of some 200 bytes that compress about three to one.
func lines(random *rand.Rand) (records []batch.Record) {
	now := time.Now().UnixMilli()
	for size := 0; size < batchBytes; {
		value := fmt.Appendf(nil, `{"time":%d,"level":"info","service":"checkout-%d","message":"request served",`+
			`"path":"/v1/orders/%016x","status":200,"micros":%d,"trace":"%016x"}`,
			now, random.IntN(20), random.Uint64(), random.IntN(100_000), random.Uint64())
		size += len(value)
		records = append(records, batch.Record{Timestamp: now, Key: fmt.Appendf(nil, "%08x", random.Uint32()), Value: value})
	}
	return records
}

// merge merges all but what was written last.
func (f *filled) merge(ctx context.Context) error {
	c, err := cleanup.New(cleanup.Options{Node: f.node, Store: f.store, Pace: cleanup.NewPace(1 << 30),
		CommitDeadline: deadline, Grace: 10 * time.Second, Stale: deadline})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for !f.merged() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not merged after %v: %w", patience, ctx.Err())
		}
	}
	return c.Close(ctx)
}

func (f *filled) merged() bool {
	for _, p := range f.partitions {
		for _, s := range f.node.View().Spans(p, 0, 1<<20) {
			if s.Version == 0 {
				return false
			}
		}
	}
	return true
}

func (f *filled) close() error {
	if err := f.writer.Close(context.Background()); err != nil {
		return err
	}
	return f.node.Close(context.Background())
}
