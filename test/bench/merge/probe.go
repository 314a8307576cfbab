package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/file"
	"firn.dev/test/process"
)

// state is what the bucket holds.
type state struct {
	objects, spans int
	bytes, heap    int64 // of the segments; of an index of the spans in memory
}

func (s state) String() string {
	return fmt.Sprintf("%d segments of %.2f GiB, %d spans, %.1f MiB of index in memory", s.objects,
		float64(s.bytes)/(1<<30), s.spans, float64(s.heap)/(1<<20))
}

// look looks into the bucket, beside the node.
func (m *measurement) look(ctx context.Context) (s state, err error) {
	store, err := file.Open(m.dir)
	if err != nil {
		return s, err
	}
	for object, err := range store.List(ctx, segments.Prefix, "") {
		if err != nil {
			return s, err
		}
		s.objects++
		s.bytes += object.Size
	}
	empty := heap()
	loaded, err := coordinator.Load(ctx, store)
	if err != nil {
		return s, err
	}
	s.heap = heap() - empty
	s.spans = loaded.Summary().Spans
	runtime.KeepAlive(loaded)
	return s, nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// merge waits until everything is merged, and then until what is left over is collected. It says
// how long it took and what was noticed while the merges went on.
func (m *measurement) merge(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("after %s there is still something to merge or to collect", patience))
	defer cancel()
	began := time.Now()
	begun, first, err := m.await(ctx, 0, func(seen process.Metrics) bool { return seen[mergedBytes] > 0 })
	if err != nil {
		return err
	}
	probing, stop := context.WithCancel(ctx)
	var during noticed
	var probe sync.WaitGroup
	probe.Go(func() { during = m.probe(probing) })
	at, last, err := m.await(ctx, hold, func(seen process.Metrics) bool {
		return seen["firn_cleanup_backlog_bytes"] < probeBytes
	})
	took := last.Sub(first)
	stop()
	if probe.Wait(); err != nil {
		return err
	}
	if during.err != nil {
		return during.err
	}
	_, last, err = m.await(ctx, hold, func(seen process.Metrics) bool {
		return seen["firn_cleanup_collected_objects_total"] > 0 && seen["firn_cleanup_garbage_bytes"] == 0 &&
			seen["firn_cleanup_segments"] < left
	})
	if err != nil {
		return err
	}
	collected := last.Sub(began)
	usage, err := m.node.Usage()
	if err != nil {
		return err
	}
	fmt.Printf("merged in %s, %.0f MiB/s copied; collected %s after the node was started; the node took %s of CPU and "+
		"%d MiB at most\n",
		took.Round(time.Second), (at[mergedBytes]-begun[mergedBytes])/(1<<20)/took.Seconds(), collected.Round(time.Second),
		usage.CPU.Round(time.Second),
		usage.PeakBytes>>20)
	during.print("merging")
	return nil
}

const (
	mergedBytes = "firn_cleanup_merged_bytes_total"
	hold        = 3 * time.Second
	probeBytes  = 8 << 20 // more than the lone producer writes until it is merged as well
	left        = 200     // segments: fewer than any part of the source had, more than it takes
)

// await looks at the node's metrics until they are as wanted for as long as hold: merging and
// collecting go in steps. It returns them as they were when that began, and when that was.
func (m *measurement) await(ctx context.Context, hold time.Duration,
	wanted func(process.Metrics) bool) (seen process.Metrics, since time.Time, err error) {
	for {
		now, err := process.Scrape(ctx, m.node.HTTP())
		if err != nil {
			return nil, since, errors.Join(err, context.Cause(ctx))
		}
		if !wanted(now) {
			seen = nil
		} else if seen == nil {
			seen, since = now, time.Now()
		}
		if seen != nil && time.Since(since) >= hold {
			return seen, since, nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil, since, context.Cause(ctx)
		}
	}
}

// noticed is what a lone producer and a consumer at the tail noticed.
type noticed struct {
	ack, seen []time.Duration // from send to acknowledgement, to the consumer
	err       error
}

func (n *noticed) print(when string) {
	fmt.Printf("%-16s acknowledged p50 %v p99 %v, consumed p50 %v p99 %v, of %d\n", when, quantile(n.ack, 50),
		quantile(n.ack, 99), quantile(n.seen, 50),
		quantile(n.seen, 99), len(n.ack))
}

func quantile(of []time.Duration, percent int) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[(len(of)-1)*percent/100].Round(10 * time.Microsecond)
}

func (m *measurement) probeFor(ctx context.Context, when string, howLong time.Duration) error {
	probing, stop := context.WithTimeout(ctx, howLong)
	defer stop()
	n := m.probe(probing)
	if n.err != nil {
		return n.err
	}
	n.print(when)
	return nil
}

// probe writes a record, waits for its acknowledgement and for a consumer to see it, and so on,
// until ctx ends.
func (m *measurement) probe(ctx context.Context) (n noticed) {
	const probes, every = "probes", 20 * time.Millisecond
	forever := context.WithoutCancel(ctx)
	client, err := kgo.NewClient(kgo.SeedBrokers(m.node.Kafka()), kgo.DefaultProduceTopic(probes), kgo.ProducerLinger(0),
		kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics(probes), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		n.err = err
		return n
	}
	defer client.Close()
	value, written := m.pieces[0].lines, int64(0)
	const warmUp = 20
	for i := 0; i < warmUp || ctx.Err() == nil; i++ {
		limited, cancel := context.WithTimeout(forever, time.Minute)
		sent := time.Now()
		var ack time.Duration
		client.Produce(limited, &kgo.Record{Value: value}, func(r *kgo.Record, err error) {
			ack, written, n.err = time.Since(sent), r.Offset, err
		})
		if err := client.Flush(limited); err != nil && n.err == nil {
			n.err = err
		}
		// the first may be written before the consumer looks where the end is
		for consumed := int64(-1); i > 0 && n.err == nil && consumed < written; {
			fetches := client.PollFetches(limited)
			n.err = fetches.Err0()
			fetches.EachRecord(func(r *kgo.Record) { consumed = r.Offset })
		}
		seen := time.Since(sent)
		cancel()
		if n.err != nil {
			return n
		}
		if i >= warmUp {
			n.ack, n.seen = append(n.ack, ack), append(n.seen, seen)
		}
		time.Sleep(every)
	}
	return n
}
