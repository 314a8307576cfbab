package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

// recordsPerSegment is how many records each flush of the full directory has.
const recordsPerSegment = 100

// start measures how long each peer takes from exec until it is of use.
func (b *bench) start(ctx context.Context) error {
	rows := map[string]*startRow{}
	for round := range max(b.rounds, 5) {
		for i := range b.peers {
			p := b.peers[(i+round)%len(b.peers)]
			if rows[p.name] == nil {
				rows[p.name] = &startRow{peer: p.name}
			}
			took, err := b.startEmpty(ctx, p)
			if err != nil {
				return fmt.Errorf("%s, empty: %w", p.name, err)
			}
			rows[p.name].empty = append(rows[p.name].empty, took)
		}
	}
	for _, p := range b.peers {
		row := rows[p.name]
		fmt.Fprintf(b.log, "start, empty: %s: %v\n", p.name, quantile(row.empty, 50))
		if err := b.startFull(ctx, p, row); err != nil {
			return fmt.Errorf("%s, full: %w", p.name, err)
		}
		fmt.Fprintf(b.log, "start, full: %s: answers after %v, first fetch after %v (%s)\n", p.name, quantile(row.full, 50),
			quantile(row.fetch, 50), row.note)
		b.report.start = append(b.report.start, *row)
	}
	return nil
}

// startEmpty starts a peer on an empty directory.
func (b *bench) startEmpty(ctx context.Context, p peer) (time.Duration, error) {
	server, spec, took, err := b.freshTimed(ctx, p)
	if err != nil {
		return 0, err
	}
	return took, discard(server, spec)
}

// startFull fills a directory and starts the peer on it again and again, after kill -9 each time.
func (b *bench) startFull(ctx context.Context, p peer, row *startRow) (err error) {
	server, spec, err := b.fresh(ctx, p)
	if err != nil {
		return err
	}
	defer func() {
		if discarded := discard(server, spec); err == nil {
			err = discarded
		}
	}()
	if err := createTopic(ctx, spec, topic, partitions); err != nil {
		return err
	}
	began := time.Now()
	if err := fill(ctx, spec, b.segments); err != nil {
		return err
	}
	row.filled = time.Since(began)
	row.note = inDirectory(spec.Dir)
	for range b.rounds {
		server.Kill()
		next, err := process.Start(spec)
		if err != nil {
			return err
		}
		server = next
		took, err := b.ready(ctx, server)
		if err != nil {
			return err
		}
		if err := consume(ctx, []kgo.Opt{kgo.SeedBrokers(spec.Kafka)}, topic, 1); err != nil {
			return err
		}
		row.full = append(row.full, took)
		row.fetch = append(row.fetch, time.Since(server.Started()))
	}
	return nil
}

// fill writes many small batches, each acknowledged before the next one: each is a flush of its
// own.
func fill(ctx context.Context, spec process.Spec, flushes int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(spec.Kafka),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ManualFlushing(),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	values := textValues()
	for i := range flushes {
		for n := range recordsPerSegment {
			client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: values[(i+n)%pool][:100]},
				nil)
		}
		if err := client.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// inDirectory says what a server has made of it.
func inDirectory(dir string) string {
	files, bytes := 0, int64(0)
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go while the server lives
		}
		if info, err := d.Info(); err == nil {
			files++
			bytes += info.Size()
		}
		return nil
	})
	return fmt.Sprintf("%d files, %d MiB", files, bytes>>20)
}
