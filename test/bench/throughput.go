package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

const (
	topic      = "bench"
	partitions = 12
	valueBytes = 1024
	patience   = time.Minute
)

// bench is one run of the program.
type bench struct {
	options
	root   string
	runs   int
	peers  []peer
	report *report
}

// setting is one combination of what is written and how.
type setting struct {
	name   string
	codec  kgo.CompressionCodec
	values [][]byte
}

// sample is what one peer did under one setting, once.
type sample struct {
	produced, consumed     float64 // records per second
	produceCPU, consumeCPU float64 // seconds of the server per GiB of values
	peakMiB                float64
}

func (b *bench) ready(ctx context.Context, server *process.Process) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return server.Ready(ctx)
}

// throughput has each peer take and give records as fast as it can, in turns.
func (b *bench) throughput(ctx context.Context) error {
	text, random := textValues(), randomValues()
	settings := []setting{
		{"none, text", kgo.NoCompression(), text},
		{"none, random", kgo.NoCompression(), random},
		{"lz4, text", kgo.Lz4Compression(), text},
		{"lz4, random", kgo.Lz4Compression(), random},
	}
	for _, s := range settings {
		samples := map[string][]sample{}
		for round := range b.rounds {
			for i := range b.peers {
				p := b.peers[(i+round)%len(b.peers)]
				one, err := b.sample(ctx, p, s, door{})
				if err != nil {
					return fmt.Errorf("%s, %s: %w", p.name, s.name, err)
				}
				samples[p.name] = append(samples[p.name], one)
				fmt.Fprintf(b.log, "throughput, %s, round %d: %s: %.0f records/s in, %.0f out, %.2f and %.2f CPU s/GiB, %.0f MiB\n",
					s.name, round+1, p.name, one.produced, one.consumed, one.produceCPU, one.consumeCPU, one.peakMiB)
			}
		}
		for _, p := range b.peers {
			b.report.throughput = append(b.report.throughput, throughputRow{s.name, p.name, samples[p.name]})
		}
	}
	return nil
}

// sample measures a fresh server of a peer once, through a door.
func (b *bench) sample(ctx context.Context, p peer, s setting, d door) (_ sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*b.seconds+patience)
	defer cancel()
	server, spec, err := b.fresh(ctx, p)
	if err != nil {
		return sample{}, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, server.Output())
		}
		if discarded := discard(server, spec); err == nil {
			err = discarded
		}
	}()
	clients := append([]kgo.Opt{kgo.SeedBrokers(spec.Kafka)}, d.opts...)
	if d.warm {
		if _, err := b.roundTrip(ctx, server, "", clients, "warm", s); err != nil {
			return sample{}, err
		}
	}
	return b.roundTrip(ctx, server, strings.TrimSuffix(p.name+", "+s.name+", "+d.name, ", "), clients, topic, s)
}

// roundTrip has a server take records of a new topic for a while, and give them.
func (b *bench) roundTrip(ctx context.Context, server *process.Process, profile string, clients []kgo.Opt, topic string,
	s setting) (sample, error) {
	if err := createTopic(ctx, server.Spec(), topic, partitions); err != nil {
		return sample{}, err
	}
	var records int64
	producing, err := measure(server, func() error {
		return b.profiled(ctx, server, profile+", in", func() (err error) {
			records, err = produce(ctx, clients, topic, s, b.seconds)
			return err
		})
	})
	if err != nil {
		return sample{}, err
	}
	consuming, err := measure(server, func() error {
		return b.profiled(ctx, server, profile+", out", func() error { return consume(ctx, clients, topic, records) })
	})
	if err != nil {
		return sample{}, err
	}
	gib := float64(records) * valueBytes / (1 << 30)
	return sample{
		produced:   float64(records) / producing.seconds,
		consumed:   float64(records) / consuming.seconds,
		produceCPU: producing.cpuSeconds / gib,
		consumeCPU: consuming.cpuSeconds / gib,
		peakMiB:    consuming.peakMiB,
	}, nil
}

// cost is what a server needed for something.
type cost struct{ seconds, cpuSeconds, peakMiB float64 }

func measure(server *process.Process, do func() error) (cost, error) {
	before, err := server.Usage()
	if err != nil {
		return cost{}, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return cost{}, err
	}
	took := time.Since(began)
	after, err := server.Usage()
	return cost{took.Seconds(), (after.CPU - before.CPU).Seconds(), float64(after.PeakBytes) / (1 << 20)}, err
}

func createTopic(ctx context.Context, spec process.Spec, name string, partitions int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(spec.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, name)
	return err
}

// produce writes for that long, waits for every acknowledgement, and returns how many there were.
func produce(ctx context.Context, clients []kgo.Opt, topic string, s setting, howLong time.Duration) (int64, error) {
	client, err := kgo.NewClient(append(slices.Clone(clients),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(s.codec),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(50_000),
	)...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	var records int64
	for began := time.Now(); records%1000 != 0 || time.Since(began) < howLong; records++ {
		r := &kgo.Record{Topic: topic, Partition: int32(records % partitions), Value: s.values[records%int64(len(s.values))]}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return records, nil
}

// consume reads as many records from the start.
func consume(ctx context.Context, clients []kgo.Opt, topic string, records int64) error {
	client, err := kgo.NewClient(append(slices.Clone(clients),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for got := int64(0); got < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d of %d records: %w", got, records, err)
		}
		got += int64(fetches.NumRecords())
	}
	return nil
}
