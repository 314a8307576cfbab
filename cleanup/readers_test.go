package cleanup_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/index"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// Readers who go on while all is merged, merged again, and what was there before is deleted, read
// the same bytes as ever.
func TestReadersMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 3, nil)
		defer w.close()
		for range 300 {
			w.write(2000, 0, 1, 2)
			time.Sleep(100 * time.Millisecond)
		}
		// A small cache and no tail, so that nearly all comes from the bucket.
		x, err := index.New(index.Options{Store: w.store, View: w.node.View(), CatchUp: w.node.CatchUp, TailBytes: -1,
			CacheBytes: 64 * kib})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for seed := range uint64(6) {
			readers.Go(func() { w.readOnAndOn(ctx, x, int32(seed%3), rand.New(rand.NewPCG(seed, 0))) })
		}
		c := w.clean(func(o *cleanup.Options) { o.TargetBytes, o.Grace = 256*kib, 10*time.Second })
		time.Sleep(20 * time.Minute)
		w.write(1, 0) // the store's clock is told by objects
		time.Sleep(time.Minute)
		stop()
		readers.Wait()
		w.stop(c)
		w.same()
		w.audit(0)
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
}

// readOnAndOn reads from somewhere to the end again and again, slowly.
func (w *world) readOnAndOn(ctx context.Context, x *index.Index, part int32, random *rand.Rand) {
	at := w.part(part)
	want := w.written[at] // as it was when the readers began
	end := w.ends[at]
	size := len(want) / int(end) * 2 // of a batch, each of two records
	for ctx.Err() == nil {
		from := random.Int64N(end)
		for offset := from; offset < end && ctx.Err() == nil; {
			chunk, err := x.Read(ctx, at, offset, 1+random.IntN(20_000), true)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				w.t.Errorf("partition %d, offset %d: %v", part, offset, err)
				return
			}
			for _, b := range chunk.Batches {
				h, err := batch.ReadHeader(b)
				if err != nil || h.BaseOffset >= end {
					offset = end
					break
				}
				if !bytes.HasPrefix(want[int(h.BaseOffset)/2*size:], b[:min(len(b), (int(end-h.BaseOffset))/2*size)]) {
					w.t.Errorf("partition %d, offset %d: %d bytes that nobody wrote", part, offset, len(b))
					return
				}
				offset = lastOffset(b) + 1
			}
			time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
		}
	}
}

// lastOffset is that of the last record in a slice of batches.
func lastOffset(batches []byte) (last int64) {
	for len(batches) > 0 {
		h, err := batch.ReadHeader(batches)
		if err != nil {
			panic(err)
		}
		last = h.BaseOffset + int64(h.LastOffsetDelta)
		batches = batches[h.Size():]
	}
	return last
}
