package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn/coordinator"
	"firn/segments"
	"firn/segments/file"
	"firn/test/process"
)

// state is what the bucket holds.
type state struct {
	objects, spans int
	bytes, heap    int64 // of the segments; of an index of the spans in memory
}

func (s state) String() string {
	return fmt.Sprintf("%d segments of %.2f GiB, %d spans, %.1f MiB of index in memory", s.objects, float64(s.bytes)/(1<<30), s.spans, float64(s.heap)/(1<<20))
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

// merge waits until everything is merged and what is left over is collected, and says how long it took and what was noticed meanwhile.
func (m *measurement) merge(ctx context.Context) error {
	probing, stop := context.WithTimeout(ctx, patience)
	defer stop()
	began := time.Now()
	var merged, collected time.Duration
	var first time.Time // when the first merge was seen
	var bytes float64
	done := make(chan error, 1)
	go func() {
		defer stop()
		done <- func() error {
			for {
				seen, err := process.Scrape(ctx, m.node.HTTP())
				if err != nil {
					return err
				}
				bytes = seen["firn_cleanup_merged_bytes_total"]
				if first.IsZero() && bytes > 0 {
					first = time.Now()
				}
				if merged == 0 && bytes > 0 && seen["firn_cleanup_backlog_seconds"] == 0 {
					merged = time.Since(first)
				}
				if merged > 0 && seen["firn_cleanup_collected_objects_total"] > 0 && seen["firn_cleanup_garbage_bytes"] == 0 {
					collected = time.Since(began)
					return nil
				}
				select {
				case <-time.After(time.Second):
				case <-probing.Done():
					return fmt.Errorf("after %s there is still something to merge or to collect: backlog %.0f bytes, garbage %.0f bytes", patience,
						seen["firn_cleanup_backlog_bytes"], seen["firn_cleanup_garbage_bytes"])
				}
			}
		}()
	}()
	during := m.probe(probing)
	if err := <-done; err != nil {
		return err
	}
	if during.err != nil {
		return during.err
	}
	usage, err := m.node.Usage()
	if err != nil {
		return err
	}
	fmt.Printf("merged in %s, %.0f MiB/s copied; collected %s after the node was started; the node took %s of CPU and %d MiB at most\n",
		merged.Round(time.Second), bytes/(1<<20)/merged.Seconds(), collected.Round(time.Second), usage.CPU.Round(time.Second), usage.PeakBytes>>20)
	during.print("merging")
	return nil
}

// noticed is what a lone producer and a consumer at the tail noticed.
type noticed struct {
	ack, seen []time.Duration // from send to acknowledgement, to the consumer
	err       error
}

func (n *noticed) print(when string) {
	fmt.Printf("%-16s acknowledged p50 %v p99 %v, consumed p50 %v p99 %v, of %d\n", when, quantile(n.ack, 50), quantile(n.ack, 99), quantile(n.seen, 50),
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

// probe writes a record, waits for its acknowledgement and for a consumer to see it, and so on, until ctx ends.
func (m *measurement) probe(ctx context.Context) (n noticed) {
	const probes, every = "probes", 20 * time.Millisecond
	forever := context.WithoutCancel(ctx)
	client, err := kgo.NewClient(kgo.SeedBrokers(m.node.Kafka()), kgo.DefaultProduceTopic(probes), kgo.ProducerLinger(0), kgo.AllowAutoTopicCreation(),
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
		client.Produce(limited, &kgo.Record{Value: value}, func(r *kgo.Record, err error) { ack, written, n.err = time.Since(sent), r.Offset, err })
		if err := client.Flush(limited); err != nil && n.err == nil {
			n.err = err
		}
		for consumed := int64(-1); i > 0 && n.err == nil && consumed < written; { // the first may be written before the consumer looks where the end is
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
