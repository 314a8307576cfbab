package redis_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
)

// BenchmarkCommit commits segments of a number of runs, each of one batch, from a number of
// callers, each of which waits for its answer.
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

// BenchmarkCommitKeyed commits segments of a number of runs, each of one batch of a new request.
func BenchmarkCommitKeyed(b *testing.B) {
	for _, runs := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("runs=%d", runs), func(b *testing.B) {
			c := connect(b, redis.Options{Addrs: []string{redistest.Start(b).Addr}})
			in, at := open(b, c)
			number := uint64(0)
			for b.Loop() {
				req := coordinator.CommitRequest{Segment: request(at).Segment}
				for i := range runs {
					number++
					key := &coordinator.RequestKey{Partitions: 100}
					binary.BigEndian.PutUint64(key.ID[:], number)
					batch := coordinator.CommitBatch{Length: 1000, Records: 1, ProducerID: -1, Key: key}
					req.Runs = append(req.Runs, coordinator.CommitRun{
						Partition: segments.Partition{Topic: at.Topic, Index: int32(i)},
						Position:  int64(i) * 1000,
						Batches:   []coordinator.CommitBatch{batch},
					})
				}
				if answer, err := c.Commit(b.Context(), in, req); err != nil || answer.Runs[runs-1][0].Err != nil {
					b.Fatal(err, answer)
				}
			}
		})
	}
}

// BenchmarkOpenKeys loads a state of 100,000 requests, in one partition and in a thousand, and
// measures what one takes in Redis.
func BenchmarkOpenKeys(b *testing.B) {
	const n = 100_000
	for _, partitions := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			server := redistest.Start(b)
			c := connect(b, redis.Options{Addrs: []string{server.Addr}})
			used := func() float64 {
				var bytes float64
				_, info, _ := strings.Cut(server.Do("INFO", "memory"), "used_memory:")
				if _, err := fmt.Sscan(info, &bytes); err != nil {
					b.Fatal(err)
				}
				return bytes
			}
			state := func(in coordinator.Incarnation, n int) *coordinator.State {
				s, topic := coordinator.NewState(in, "x"), segments.NewTopicID()
				fact := &coordinator.Fact{Incarnation: in, Commit: &coordinator.Commit{}}
				for i := range partitions {
					at := segments.Partition{Topic: topic, Index: int32(i)}
					span := coordinator.CommitSpan{Partition: at, Span: coordinator.Span{Length: 1}}
					for j := range n / partitions {
						k := coordinator.Keyed{Records: 1, Time: time.Now().UnixMilli()}
						binary.BigEndian.PutUint64(k.ID[:], uint64(j)*0x9e3779b97f4a7c15)
						span.Keyed = append(span.Keyed, k)
					}
					fact.Commit.Spans = append(fact.Commit.Spans, span)
				}
				if err := s.Apply(fact); err != nil {
					b.Fatal(err)
				}
				return s
			}
			if err := c.Open(b.Context(), state(1, 0)); err != nil {
				b.Fatal(err)
			}
			before, in := used(), coordinator.Incarnation(2)
			for b.Loop() {
				if err := c.Open(b.Context(), state(in, n)); err != nil {
					b.Fatal(err)
				}
				in++
			}
			server.Eventually("lazyfree_pending_objects:0", "INFO", "memory") // those of the generation before
			b.ReportMetric((used()-before)/n, "redis-B/key")
		})
	}
}

// BenchmarkSettled is a call that does next to nothing: the cost of a round trip and of
// the check of trust.
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
			fact.Commit.Spans = append(fact.Commit.Spans, coordinator.CommitSpan{
				Partition: segments.Partition{Topic: topic, Index: i},
				Span:      coordinator.Span{Length: 1},
				Producers: []coordinator.ProducerBatch{{ProducerID: 1}},
			})
		}
		if err := state.Apply(fact); err != nil {
			b.Fatal(err)
		}
		if err := c.Open(b.Context(), state); err != nil {
			b.Fatal(err)
		}
	}
}
