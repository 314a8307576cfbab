package ingest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// BenchmarkEncode takes batches in, collects them into segments of 8 MiB over twelve partitions,
// and encodes those: all that the processor has to do for a batch before its put. Allocations are
// for each batch.
func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			ps := newPartitions(12)
			batches := make([][]Batch, len(ps))
			for i, p := range ps {
				batches[i] = []Batch{newBatch(p, 1, 0, 1, size-batch.HeaderLen)}
			}
			w := &Writer{opts: Options{FlushBytes: 8 << 20}.withDefaults(), wake: make(chan struct{}, 1)}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				bs := batches[n%len(ps)]
				n++
				if err := w.collect(newPending(1), bs); err != nil {
					b.Fatal(err)
				}
				for _, s := range w.full {
					s.id = segments.NewID(time.Now())
					if err := s.encode(); err != nil {
						b.Fatal(err)
					}
				}
				w.full = w.full[:0]
			}
		})
	}
}

// BenchmarkLone is one producer that waits for each answer: what an idle node's write costs. On a
// file store two durable objects are in it.
func BenchmarkLone(b *testing.B) {
	for name, store := range stores(b) {
		b.Run(name, func(b *testing.B) {
			n := openNode(b, store)
			defer closeNode(b, n)
			ps := createTopic(b, n, 1)
			w := openWriter(b, store, n, nil)
			defer closeWriter(b, w)
			bs := []Batch{newBatch(ps[0], -1, 0, 1, 1024-batch.HeaderLen)}
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				begun := time.Now()
				mustWait(b, mustAppend(b, w, bs...))
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkBusy is sixty-four producers that each wait for their answers, over twelve partitions.
func BenchmarkBusy(b *testing.B) {
	for name, store := range stores(b) {
		for _, size := range []int{1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				n := openNode(b, store)
				defer closeNode(b, n)
				ps := createTopic(b, n, 12)
				w := openWriter(b, store, n, nil)
				defer closeWriter(b, w)
				var id atomic.Int64
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					bs := []Batch{newBatch(ps[id.Add(1)%12], -1, 0, 1, size-batch.HeaderLen)}
					for pb.Next() {
						mustWait(b, mustAppend(b, w, bs...))
					}
				})
			})
		}
	}
}
