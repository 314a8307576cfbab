package ingest

import (
	"fmt"
	"testing"
	"time"

	"firn/segments"
	"firn/segments/memory"
)

// BenchmarkEncode takes batches in, collects them into segments of 8 MiB over twelve partitions, and encodes those: all that the processor has to do
// for a batch before its put. Allocations are for each batch.
func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			ps := newPartitions(12)
			batches := make([][]Batch, len(ps))
			for i, p := range ps {
				batches[i] = []Batch{newBatch(p, 1, 0, 1, size-61)}
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

var _ = memory.New
