package redis_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"firn/coordinator"
	"firn/coordinator/redis"
	"firn/coordinator/redis/redistest"
	"firn/segments"
)

// BenchmarkCommit commits segments of a number of runs, each of one batch, from a number of callers, each of which waits for its answer.
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 16} {
		for _, runs := range []int{1, 20, 100} {
			for _, idempotent := range []bool{false, true} {
				if idempotent && callers > 1 {
					continue
				}
				b.Run(fmt.Sprintf("callers=%d/runs=%d/idempotent=%v", callers, runs, idempotent), func(b *testing.B) {
					benchmarkCommit(b, callers, runs, idempotent)
				})
			}
		}
	}
}

func benchmarkCommit(b *testing.B, callers, runs int, idempotent bool) {
	c := connect(b, redis.Options{Addrs: []string{redistest.Start(b).Addr}})
	in, at := open(b, c)
	commit := func(ctx context.Context, n int32) error {
		req := coordinator.CommitRequest{Segment: request(at).Segment}
		for i := range runs {
			batch := coordinator.CommitBatch{Length: 1000, Records: 1, ProducerID: -1}
			if idempotent {
				batch.ProducerID, batch.BaseSequence = 1, n
			}
			req.Runs = append(req.Runs, coordinator.CommitRun{Partition: segments.Partition{Topic: at.Topic, Index: int32(i)},
				Position: int64(i) * 1000, Batches: []coordinator.CommitBatch{batch}})
		}
		answer, err := c.Commit(ctx, in, req)
		if err == nil && answer.Runs[runs-1][0].Err != nil {
			err = answer.Runs[runs-1][0].Err
		}
		if err == nil && n%64 == 0 {
			err = c.Confirm(ctx, in, []uint64{answer.Entry.Seq})
		}
		return err
	}
	var n atomic.Int32
	b.ReportAllocs()
	b.SetParallelism(callers)
	b.ResetTimer()
	if callers == 1 {
		for i := int32(0); b.Loop(); i++ {
			if err := commit(b.Context(), i); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := commit(b.Context(), n.Add(1)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkSettled is a call that does next to nothing: what a round trip and the check of trust cost.
func BenchmarkSettled(b *testing.B) {
	c := connect(b, redis.Options{Addrs: []string{redistest.Start(b).Addr}})
	in, _ := open(b, c)
	for b.Loop() {
		if _, err := c.Settled(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFollow is the time from a commit's call to its entry at a follower.
func BenchmarkFollow(b *testing.B) {
	c := connect(b, redis.Options{Addrs: []string{redistest.Start(b).Addr}})
	in, at := open(b, c)
	heard := make(chan uint64, 1)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for entry, err := range c.Follow(ctx, in, 0) {
			if err != nil {
				return
			}
			heard <- entry.Seq
		}
	}()
	<-heard
	<-heard // the topic and its confirmation
	for b.Loop() {
		if _, err := c.Commit(b.Context(), in, request(at)); err != nil {
			b.Fatal(err)
		}
		<-heard
	}
	cancel()
	<-done
}

// BenchmarkOpen loads a state of 10,000 partitions with a producer each.
func BenchmarkOpen(b *testing.B) {
	c := connect(b, redis.Options{Addrs: []string{redistest.Start(b).Addr}})
	topic := segments.NewTopicID()
	for in := coordinator.Incarnation(1); b.Loop(); in++ {
		state := coordinator.NewState(in, "x")
		fact := &coordinator.Fact{Incarnation: in, Commit: &coordinator.Commit{}}
		for i := range int32(10_000) {
			fact.Commit.Spans = append(fact.Commit.Spans, coordinator.CommitSpan{Partition: segments.Partition{Topic: topic, Index: i},
				Span: coordinator.Span{Length: 1}, Producers: []coordinator.ProducerBatch{{ProducerID: 1}}})
		}
		if err := state.Apply(fact); err != nil {
			b.Fatal(err)
		}
		if err := c.Open(b.Context(), state); err != nil {
			b.Fatal(err)
		}
	}
}
