package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/torture/history"
)

// topic is where the numbered records go.
const topic = "torture"

// crowd is all the clients of one torture and what they have to tell.
type crowd struct {
	opts    Options
	addrs   []string
	checker *history.Checker
	stalls  *stalls                  // nil: nobody asks
	trace   *trace                   // nil: nobody asks
	readers atomic.Int64             // so far
	hurry   atomic.Bool              // producers do not pause
	tailing func(tail int) []kgo.Opt // how a tail's client differs from others

	mu     sync.Mutex
	errors map[string]int // that clients were shown, by what they say
}

// sent notes a record that is about to be sent, and acknowledged one that the server has promised
// that offset.
func (c *crowd) sent(partition int32, record history.Record) {
	c.checker.Sent(partition, record)
	if c.trace != nil {
		c.trace.sent(partition, record)
	}
}

func (c *crowd) acknowledged(partition int32, record history.Record, offset int64) {
	c.checker.Acknowledged(partition, record, offset)
	if c.trace != nil {
		c.trace.acknowledged(partition, record, offset)
	}
}

// reader is a new reader, of which everybody is told who asks.
func (c *crowd) reader(name string) *history.Reader {
	r := c.checker.Reader(name)
	number := int(c.readers.Add(1))
	r.Tell = func(partition int32, offset int64, record history.Record) {
		if c.trace != nil {
			c.trace.read(number, partition, offset, record)
		}
	}
	return r
}

// failed notes an error that a client was shown.
func (c *crowd) failed(who string, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors[who+": "+err.Error()]++
}

// failures lists what failed has noted.
func (c *crowd) failures() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, text := range slices.Sorted(maps.Keys(c.errors)) {
		fmt.Fprintf(&b, "\n  %d times %s", c.errors[text], text)
	}
	return b.String()
}

// client is a Kafka client that finds the server again soon after it was struck.
func (c *crowd) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.addrs...),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20*time.Millisecond + rand.N(30*time.Millisecond) }),
		kgo.RetryTimeout(0),
		kgo.AlwaysRetryEOF(),
	}, opts...)...)
}

// produce writes bursts of numbered records until ctx ends, and returns when all of them have been
// answered.
func (c *crowd) produce(ctx context.Context, producer int32) error {
	random := rand.New(rand.NewPCG(c.opts.Seed, uint64(producer)))
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
		kgo.GzipCompression(), kgo.SnappyCompression()}
	opts := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[int(producer)%len(codecs)]),
		kgo.ProducerLinger(time.Duration(producer%3) * time.Millisecond),
		kgo.MaxBufferedRecords(2000),
		kgo.UnknownTopicRetries(-1),
	}
	if c.opts.Plain {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	client, err := c.client(opts...)
	if err != nil {
		return err
	}
	defer client.Close()

	// Records are on their way whatever becomes of ctx, for a while, so that the end of a torture cuts
	// nothing short.
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, stop) })()
	numbers := make([]int64, c.opts.Partitions)
	for ctx.Err() == nil {
		for range 1 + random.IntN(100) {
			partition := int32(random.IntN(c.opts.Partitions))
			key, value, record := encode(random, producer, partition, numbers[partition])
			numbers[partition]++
			c.sent(partition, record)
			sent := time.Now()
			client.Produce(sending, &kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value},
				func(r *kgo.Record, err error) {
					if err != nil {
						if !c.opts.Plain || isAnswer(err) {
							c.failed("producer", err)
						}
						return
					}
					c.acknowledged(r.Partition, record, r.Offset)
					if c.stalls != nil {
						c.stalls.acknowledged(producer, r.Partition, r.Offset, sent)
					}
				})
		}
		if !c.hurry.Load() {
			time.Sleep(time.Duration(random.Int64N(int64(40 * time.Millisecond))))
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := client.Flush(flush); err != nil {
		return fmt.Errorf("producer %d: %d records are unanswered after %v: %w", producer, client.BufferedProduceRecords(),
			patience, err)
	}
	return nil
}

// tail reads every partition from the start until ctx ends. One tail's progress is what stalls of
// fetch are measured by.
func (c *crowd) tail(ctx context.Context, name string, measured bool, opts ...kgo.Opt) error {
	offsets := map[int32]kgo.Offset{}
	for partition := range int32(c.opts.Partitions) {
		offsets[partition] = kgo.NewOffset().At(0)
	}
	reader := c.reader(name)
	if measured && c.stalls != nil {
		trace := reader.Tell
		reader.Tell = func(partition int32, offset int64, record history.Record) {
			c.stalls.read(partition, offset)
			trace(partition, offset, record)
		}
	}
	return c.read(ctx, reader, offsets, func() bool { return false }, opts...)
}

// reread reads some partition from some offset on, again and again with a new client, until ctx
// ends.
func (c *crowd) reread(ctx context.Context, name string, seed uint64) error {
	random := rand.New(rand.NewPCG(c.opts.Seed, seed))
	for ctx.Err() == nil {
		partition := int32(random.IntN(c.opts.Partitions))
		known := c.checker.Known(partition)
		if err := c.checkEnd(ctx, partition, known); err != nil {
			return err
		}
		if known.End == 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		from := random.Int64N(known.End)
		until := min(known.End, from+1+random.Int64N(2000))
		reader := c.reader(name)
		reader.Seek(partition, from)
		err := c.read(ctx, reader, map[int32]kgo.Offset{partition: kgo.NewOffset().At(from)}, func() bool {
			return reader.Next(partition) >= until
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkEnd asks for the high watermark of a partition that is known to reach that far.
func (c *crowd) checkEnd(ctx context.Context, partition int32, known history.Known) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		if isAnswer(err) {
			c.failed("ListOffsets", err)
		}
		return nil // a call that was cut off says nothing
	}
	end, ok := ends.Lookup(topic, partition)
	switch {
	case !ok:
		c.failed("ListOffsets", fmt.Errorf("no partition %d", partition))
	case end.Err != nil:
		c.failed("ListOffsets", end.Err)
	default:
		c.checker.End(partition, known, end.Offset)
	}
	return nil
}

// read reads until enough, or ctx ends. A reader is never reset: it goes on where it was, or fails.
func (c *crowd) read(ctx context.Context, reader *history.Reader, offsets map[int32]kgo.Offset, enough func() bool,
	opts ...kgo.Opt) error {
	client, err := c.client(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.KeepRetryableFetchErrors(),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil && !enough() {
		fetches := client.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if kerr.IsRetriable(e.Err) && !errors.Is(e.Err, kerr.OffsetOutOfRange) && !errors.Is(e.Err, kerr.CorruptMessage) {
				continue
			}
			c.failed("reader", fmt.Errorf("partition %d: %w", e.Partition, e.Err))
			if errors.Is(e.Err, kerr.OffsetOutOfRange) {
				return fmt.Errorf("a reader was refused an offset that it had been served before: %w", e.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			record, err := decode(r.Key, r.Value)
			if err != nil {
				record.Number = -1 // foreign
			}
			reader.Read(r.Partition, r.Offset, record)
		})
	}
	return nil
}

// readBack reads every partition from the start to its end, when nobody writes any more.
func (c *crowd) readBack(ctx context.Context, opts ...kgo.Opt) (*history.Reader, error) {
	client, err := c.client(opts...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the ends: %w", err)
	}
	reader := c.reader("final")
	offsets := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			offsets[o.Partition] = kgo.NewOffset().At(0)
		}
	})
	if len(offsets) == 0 {
		return reader, nil
	}
	err = c.read(ctx, reader, offsets, func() bool {
		for partition := range offsets {
			end, _ := ends.Lookup(topic, partition)
			if reader.Next(partition) < end.Offset {
				return false
			}
		}
		return true
	}, opts...)
	if err == nil {
		err = ctx.Err()
	}
	return reader, err
}
