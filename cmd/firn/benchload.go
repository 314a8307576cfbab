package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/retry"
)

// benching is a bench under way.
type benching struct {
	*benchOptions
	name   string
	values [][]byte // what records have in them, behind leastBenchBytes of their own
}

const (
	benchValueCount = 1024             // different values, again and again
	benchTick       = time.Millisecond // what becomes due meanwhile is sent together
	benchSilence    = 30 * time.Second // without a record, after which a consumer waits for no more
)

// benchValues are values of a size: random, or lines as of a log in JSON, which shrink to a third.
func benchValues(payload string, size int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"request", "accepted", "from", "upstream", "gateway", "timeout", "retry", "of", "payment", "order",
		"customer", "cart", "updated", "without", "stock", "reserved", "shipment", "delayed", "by", "carrier"}
	values := make([][]byte, benchValueCount)
	for i := range values {
		v := make([]byte, leastBenchBytes, size+64)
		if payload == payloadText {
			v = fmt.Appendf(v, `{"trace":"%016x","message":"`, random.Uint64())
		}
		for len(v) < size {
			switch {
			case payload == payloadRandom:
				v = binary.BigEndian.AppendUint64(v, random.Uint64())
			case random.IntN(8) == 0:
				v = fmt.Appendf(v, "%d ", random.IntN(1e7))
			default:
				v = append(append(v, words[random.IntN(len(words))]...), ' ')
			}
		}
		values[i] = v[:size]
	}
	return values
}

// benchLoad is one rate being measured.
type benchLoad struct {
	*benching
	rate        float64 // of each producer; 0: as fast as it can
	mark        uint64  // in all of its records, and in no others
	from, until time.Time
	buffers     sync.Pool // of values

	answers                sync.WaitGroup
	acknowledged, consumed latencies
	acked, read            atomic.Int64 // of those that were due between from and until
	arrived                atomic.Int64 // acknowledgements between from and until
	failed, unsent         atomic.Int64
	failure                atomic.Pointer[error]
}

// measure has producers write at a rate, and a consumer read.
func (b *benching) measure(ctx context.Context, rate int) (benchMeasure, error) {
	ends, err := b.ends(ctx)
	if err != nil {
		return benchMeasure{}, err
	}
	l := &benchLoad{benching: b, rate: float64(rate) / float64(b.producers), mark: rand.Uint64()}
	l.buffers.New = func() any { return new(make([]byte, b.size)) }
	reader, err := b.consumer(ctx, ends)
	if err != nil {
		return benchMeasure{}, err
	}
	defer reader.Close()
	var writers []*kgo.Client
	for range b.producers {
		writer, err := b.producer(ctx)
		if err != nil {
			return benchMeasure{}, err
		}
		defer writer.Close()
		writers = append(writers, writer)
	}
	l.from = time.Now().Add(b.warm)
	l.until = l.from.Add(b.span)
	reading, stop := context.WithCancel(ctx)
	var consumer, producers sync.WaitGroup
	consumer.Go(func() { l.consume(reading, reader) })
	for i, writer := range writers {
		producers.Go(func() { l.produce(ctx, uint64(i), writer) })
	}
	cost, costErr := b.costs(ctx, l.from, l.until)
	producers.Wait()
	l.answers.Wait()
	l.awaitReader(ctx)
	stop()
	consumer.Wait()
	if ctx.Err() != nil {
		return benchMeasure{}, errInterrupted
	}
	if costErr != nil {
		return benchMeasure{}, costErr
	}
	if failure := l.failure.Load(); failure != nil && (l.acked.Load() == 0 || l.read.Load() == 0) {
		return benchMeasure{}, *failure
	}
	return l.result(rateName(rate), cost), nil
}

func (b *benching) producer(ctx context.Context) (*kgo.Client, error) {
	c, err := codec(b.compression)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.ClientID("firn-bench"), kgo.DefaultProduceTopic(b.name),
		kgo.ProducerBatchCompression(c), kgo.ProducerLinger(b.linger),
		kgo.RecordDeliveryTimeout(deliveryTimeout), kgo.MaxBufferedRecords(produceBufferRecords),
		kgo.MaxBufferedBytes(max(produceBufferBytes/b.producers, 1<<20)),
	}
	if b.inFlight != idempotent {
		opts = append(opts, kgo.MaxProduceRequestsInflightPerBroker(b.inFlight))
		if b.inFlight > 1 { // the library has 5 or 1 alone
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
	}
	return b.connect(ctx, opts...)
}

func (b *benching) consumer(ctx context.Context, from map[int32]int64) (*kgo.Client, error) {
	offsets := map[int32]kgo.Offset{}
	for partition, offset := range from {
		offsets[partition] = kgo.NewOffset().At(offset)
	}
	return b.connect(ctx, kgo.KeepControlRecords(), // so that the last of a partition comes, whatever it is
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{b.name: offsets}))
}

// produce sends records when each is due, whatever became of those before.
func (l *benchLoad) produce(ctx context.Context, seed uint64, writer *kgo.Client) {
	random := rand.New(rand.NewPCG(l.mark, seed))
	last := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		due := time.Now()
		if l.rate > 0 {
			due = last.Add(time.Duration(random.ExpFloat64() / l.rate * float64(time.Second)))
		}
		last = due
		if !due.Before(l.until) {
			return
		}
		if !time.Now().Before(l.until) { // they are late by more than is left
			l.unsent.Add(1)
			continue
		}
		if wait := time.Until(due); wait > 0 {
			if retry.Pause(ctx, max(wait, benchTick)) != nil {
				return
			}
		}
		value := l.buffers.Get().(*[]byte)
		copy(*value, l.values[n%len(l.values)])
		binary.BigEndian.PutUint64(*value, uint64(due.UnixNano()))
		binary.BigEndian.PutUint64((*value)[8:], l.mark)
		l.answers.Add(1)
		writer.Produce(ctx, &kgo.Record{Value: *value}, func(_ *kgo.Record, err error) {
			defer l.answers.Done()
			l.buffers.Put(value)
			l.answered(due, err)
		})
	}
}

// counts says whether a time is part of the figures.
func (l *benchLoad) counts(t time.Time) bool { return !t.Before(l.from) && t.Before(l.until) }

func (l *benchLoad) answered(due time.Time, err error) {
	if err != nil {
		l.failure.Store(&err)
		l.failed.Add(1)
		return
	}
	now := time.Now()
	if l.counts(now) {
		l.arrived.Add(1)
	}
	if l.counts(due) {
		l.acked.Add(1)
		l.acknowledged.add(now.Sub(due))
	}
}

// consume reads until ctx ends, or it may not read.
func (l *benchLoad) consume(ctx context.Context, reader *kgo.Client) {
	for ctx.Err() == nil {
		fetches := reader.PollFetches(ctx)
		if err := refusal(fetches); err != nil && ctx.Err() == nil {
			l.failure.Store(&err)
			return
		}
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			if len(r.Value) != l.size || binary.BigEndian.Uint64(r.Value[8:]) != l.mark {
				return
			}
			if due := time.Unix(0, int64(binary.BigEndian.Uint64(r.Value))); l.counts(due) {
				l.consumed.add(now.Sub(due))
				l.read.Add(1)
			}
		})
	}
}

// refusal is the first error of what was fetched; the client tries again what may pass.
func refusal(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		return fmt.Errorf("reading partition %d of topic %s: %w", e.Partition, e.Topic, e.Err)
	}
	return nil
}

// awaitReader waits until the consumer has all that was acknowledged, or nothing more comes.
func (l *benchLoad) awaitReader(ctx context.Context) {
	for last, since := int64(-1), time.Now(); l.read.Load() < l.acked.Load() && ctx.Err() == nil; {
		if n := l.read.Load(); n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > benchSilence {
			return
		}
		time.Sleep(benchTick)
	}
}

// result is what was measured.
func (l *benchLoad) result(rate string, cost *benchCost) benchMeasure {
	seconds := l.span.Seconds()
	bytes := float64(l.arrived.Load()) * float64(l.size)
	m := benchMeasure{
		Rate: rate, Records: perSecond(float64(l.arrived.Load()) / seconds), In: bytesPerSecond(bytes / seconds),
		Ack50: l.acknowledged.quantile(0.5), Ack99: l.acknowledged.quantile(0.99),
		Ack999: l.acknowledged.quantile(0.999), Consumed50: l.consumed.quantile(0.5),
		Consumed99: l.consumed.quantile(0.99), Failed: l.failed.Load(), Unsent: l.unsent.Load(),
	}
	if cost != nil {
		m.Puts = &cost.puts
		if bytes > 0 {
			m.GiB = new(cost.dollars / dollars(bytes/(1<<30)))
		}
	}
	return m
}

// benchCost is what the requests to the bucket came to in a time.
type benchCost struct {
	puts    perSecond
	dollars dollars
}

// costs looks at the nodes at the begin and at the end of a time; nil without --http-url.
func (b *benching) costs(ctx context.Context, from, until time.Time) (*benchCost, error) {
	if len(b.nodes.urls) == 0 {
		return nil, nil
	}
	var moments []*moment
	for _, at := range []time.Time{from, until} {
		if retry.Pause(ctx, time.Until(at)) != nil {
			return nil, errInterrupted
		}
		m, err := b.nodes.look(ctx)
		if err != nil {
			return nil, err
		}
		moments = append(moments, m)
	}
	before, after := moments[0], moments[1]
	for url := range after.ids {
		if err := errors.Join(before.errors[url], after.errors[url]); err != nil {
			return nil, fmt.Errorf("the metrics of %s: %w", url, reason(err))
		}
		if before.scrapes[url] == nil {
			return nil, fmt.Errorf("node %s came meanwhile: what it cost is not known", url)
		}
	}
	view := after.view(before, 0)
	cost := &benchCost{dollars: view.Dollars * dollars(view.Seconds/time.Hour.Seconds())}
	for url, s := range after.scrapes {
		cost.puts += perSecond(s.rateOf(before.scrapes[url], metricStore, map[string]string{"op": "put"}))
	}
	return cost, nil
}

// readAgain reads what was written since the topic ended there, and says how fast that went.
func (b *benching) readAgain(ctx context.Context, begin map[int32]int64) (perSecond, bytesPerSecond, error) {
	ends, err := b.ends(ctx)
	if err != nil {
		return 0, 0, err
	}
	reader, err := b.consumer(ctx, begin)
	if err != nil {
		return 0, 0, err
	}
	defer reader.Close()
	left := 0
	for partition, end := range ends {
		if end > begin[partition] {
			left++
		}
	}
	started, records, bytes := time.Now(), 0, 0
	for left > 0 {
		polling, cancel := context.WithTimeout(ctx, benchSilence)
		fetches := reader.PollFetches(polling)
		over := polling.Err()
		cancel()
		if ctx.Err() != nil {
			return 0, 0, errInterrupted
		}
		if err := refusal(fetches); err != nil && over == nil {
			return 0, 0, err
		}
		if over != nil {
			return 0, 0, fmt.Errorf("reading topic %s again: nothing comes for %s", b.name, benchSilence)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				records, bytes = records+1, bytes+len(r.Value)
				if r.Offset == ends[p.Partition]-1 {
					left--
				}
			}
		})
	}
	seconds := time.Since(started).Seconds()
	return perSecond(float64(records) / seconds), bytesPerSecond(float64(bytes) / seconds), nil
}
