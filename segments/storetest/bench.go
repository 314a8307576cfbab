package storetest

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"firn.dev/segments"
)

// BenchmarkLarge writes 256 MiB as one upload, or, if part is not 0, as puts of that many bytes,
// one after the other. It reports how far the heap grew meanwhile.
func BenchmarkLarge(b *testing.B, store segments.Store, part int) {
	const size = 256 << 20
	body := noise(max(part, segments.BlockBytes))
	b.SetBytes(size)
	peak := watchHeap(b)
	n := 0
	for b.Loop() {
		n++
		if part > 0 {
			for i := range size / part {
				if err := store.Put(b.Context(), fmt.Sprintf("large/%d/%d", n, i), body); err != nil {
					b.Fatal(err)
				}
			}
			continue
		}
		u, err := store.Create(b.Context(), fmt.Sprintf("large/%d", n))
		if err != nil {
			b.Fatal(err)
		}
		for range size / len(body) {
			if _, err := u.Write(body); err != nil {
				b.Fatal(err)
			}
		}
		if err := u.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(peak())/(1<<20), "heap-MiB")
}

// watchHeap looks at the heap until the function that it returns is called, which says how far it
// grew.
func watchHeap(b *testing.B) func() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, m.HeapAlloc
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	})
	return func() uint64 {
		close(done)
		watching.Wait()
		return peak - before
	}
}
