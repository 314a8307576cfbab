package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// latency has a lone producer write one record at a time, and measures beside it what the disk asks
// for the same.
func (b *bench) latency(ctx context.Context) error {
	took := map[string][]time.Duration{}
	for round := range b.rounds {
		for i := range b.peers {
			p := b.peers[(i+round)%len(b.peers)]
			ds, err := b.lone(ctx, p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			fmt.Fprintf(b.log, "latency, round %d: %s: p50 %v p99 %v of %d\n", round+1, p.name, quantile(ds, 50),
				quantile(ds, 99), len(ds))
			took[p.name] = append(took[p.name], ds...)
		}
		for name, put := range map[string]func(string, int) error{diskFsync: fsyncTwice, diskPut: putTwice} {
			ds, err := b.disk(ctx, put)
			if err != nil {
				return err
			}
			fmt.Fprintf(b.log, "latency, round %d: %s: p50 %v p99 %v of %d\n", round+1, name, quantile(ds, 50), quantile(ds, 99),
				len(ds))
			took[name] = append(took[name], ds...)
		}
	}
	names := []string{diskFsync, diskPut}
	for _, p := range b.peers {
		names = append(names, p.name)
	}
	for _, name := range names {
		b.report.latency = append(b.report.latency, latencyRow{name, quantile(took[name], 50), quantile(took[name], 99),
			len(took[name])})
	}
	return nil
}

// lone measures a lone producer of one peer.
func (b *bench) lone(ctx context.Context, p peer) (_ []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.seconds+patience)
	defer cancel()
	server, spec, err := b.fresh(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() {
		if discarded := discard(server, spec); err == nil {
			err = discarded
		}
	}()
	if err := createTopic(ctx, spec, topic, 1); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(spec.Kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.AllISRAcks()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	values := textValues()
	const warmUp = 20
	var ds []time.Duration
	for i, began := 0, time.Now(); i < warmUp || time.Since(began) < b.seconds; i++ {
		sent := time.Now()
		if err := client.ProduceSync(ctx, &kgo.Record{Value: values[i%pool]}).FirstErr(); err != nil {
			return nil, err
		}
		if i >= warmUp {
			ds = append(ds, time.Since(sent))
		}
	}
	return ds, nil
}

// What the disk is measured by.
const (
	diskFsync = "the disk: two writes with fdatasync"
	diskPut   = "the disk: two files, each with fdatasync, renamed, directory fsync"
)

// disk measures something in the directory where the servers have their data.
func (b *bench) disk(ctx context.Context, put func(dir string, i int) error) ([]time.Duration, error) {
	dir := filepath.Join(b.root, "disk")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var ds []time.Duration
	for i, began := 0, time.Now(); time.Since(began) < b.seconds/2 && ctx.Err() == nil; i++ {
		started := time.Now()
		if err := put(dir, i); err != nil {
			return nil, err
		}
		ds = append(ds, time.Since(started))
	}
	return ds, ctx.Err()
}

// fsyncTwice appends 1 KiB to a file and syncs it, twice.
func fsyncTwice(dir string, _ int) error {
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	for range 2 {
		if _, err := f.Write(make([]byte, valueBytes)); err != nil {
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
	}
	return nil
}

// putTwice makes two durable files of 1 KiB, as a store of objects does for a segment and for the
// journal.
func putTwice(dir string, i int) error {
	for n := range 2 {
		name := filepath.Join(dir, fmt.Sprintf("%d-%d", i, n))
		f, err := os.Create(name + ".new")
		if err != nil {
			return err
		}
		_, err = f.Write(make([]byte, valueBytes))
		if err == nil {
			err = unix.Fdatasync(int(f.Fd()))
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err == nil {
			err = os.Rename(name+".new", name)
		}
		if err == nil {
			err = syncDir(dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// quantile returns the q-th percentile.
func quantile(ds []time.Duration, q int) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(ds))
	return sorted[min(len(sorted)*q/100, len(sorted)-1)]
}
