package index_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// TestSingleFlight: many readers of one cold block cost one get.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(1, 1000)
		w.store.hold = make(chan struct{})
		x := w.open(nil)
		defer x.Close()
		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				if chunk := read(t, x, 0, 1<<20); len(chunk.Batches) != 1 {
					t.Errorf("%d slices", len(chunk.Batches))
				}
			})
		}
		synctest.Wait() // all wait for the get
		close(w.store.hold)
		readers.Wait()
		if n := w.store.count.Load(); n != 1 {
			t.Errorf("%d gets", n)
		}
	})
}

// TestCallerLeaves: a get outlives the caller that began it, and serves those who came later.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(1, 1000)
		w.store.hold = make(chan struct{})
		x := w.open(nil)
		defer x.Close()
		ctx, leave := context.WithCancel(t.Context())
		left, stayed := make(chan error), make(chan error)
		go func() { _, err := x.Read(ctx, part, 0, 1000, true); left <- err }()
		synctest.Wait()
		go func() { _, err := x.Read(t.Context(), part, 0, 1000, true); stayed <- err }()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(w.store.hold)
		if err := <-stayed; err != nil {
			t.Error(err)
		}
		if n := w.store.count.Load(); n != 1 {
			t.Errorf("%d gets", n)
		}
	})
}

// TestStoreHangs: a get that never ends fails after its time, for its readers alone, and the next
// one is tried anew.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(1, 1000)
		w.store.hold = make(chan struct{})
		x := w.open(func(o *index.Options) { o.FetchTimeout = time.Second })
		defer x.Close()
		if _, err := x.Read(t.Context(), part, 0, 1000, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		close(w.store.hold)
		read(t, x, 0, 1000)
	})
}

// TestFetchBytes: however many read, gets under way stay within their bound, and a reader that
// waits for room can leave.
func TestFetchBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(20, 300<<10)
		w.store.hold = make(chan struct{})
		x := w.open(func(o *index.Options) { o.FetchBytes = 1 << 20 })
		defer x.Close()
		var readers sync.WaitGroup
		for i := range 20 {
			readers.Go(func() { read(t, x, int64(i), 1<<20) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := x.Read(ctx, part, 19, 1000, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a reader without room: %v", err)
		}
		close(w.store.hold)
		readers.Wait()
		if most := w.store.most.Load(); most > 1<<20 || most < 600<<10 {
			t.Errorf("%d bytes of gets at once", most)
		}
	})
}

// TestHighWatermarkMoves: what is confirmed after a Read has begun is neither served nor fetched by
// it.
func TestHighWatermarkMoves(t *testing.T) {
	w := newWorld(t)
	w.segments(3, 100)
	f := w.view.parts[part]
	f.end = 2
	w.view.onAsk = func(int) { f.end = 3 }
	x := w.open(func(o *index.Options) { o.ReadAheadBytes = -1 })
	chunk := read(t, x, 0, 1<<20)
	if _, last := offsets(t, chunk); last != 1 || chunk.HighWatermark != 2 || w.store.count.Load() != 2 {
		t.Errorf("up to offset %d of %d, with %d gets", last, chunk.HighWatermark, w.store.count.Load())
	}
}

// TestLargeBlock: a block larger than all bounds is read all the same.
func TestLargeBlock(t *testing.T) {
	w := newWorld(t)
	w.segments(1, 3<<20)
	x := w.open(func(o *index.Options) { o.FetchBytes, o.CacheBytes, o.TailBytes = 1<<20, 1<<20, -1 })
	if first, last := offsets(t, read(t, x, 0, 1)); first != 0 || last != 0 {
		t.Error(first, last)
	}
	if w.metric("firn_index_cache_bytes") != 0 {
		t.Error("the cache holds more than it may")
	}
}

// TestCorrupt: each way in which a block can be wrong is an error that says where it is, for that
// block alone, and is not asked for again at once, nor remembered for long.
func TestCorrupt(t *testing.T) {
	harm := map[string]func(body []byte) ([]byte, error){
		"a flipped bit":       func(b []byte) ([]byte, error) { b[len(b)-1] ^= 4; return b, nil },
		"a magic of old":      func(b []byte) ([]byte, error) { b[16] = 1; return b, nil },
		"a length too large":  func(b []byte) ([]byte, error) { b[10]++; return b, nil },
		"a length below zero": func(b []byte) ([]byte, error) { b[8] = 0xff; return b, nil },
		"a shorter object":    func(b []byte) ([]byte, error) { return nil, fmt.Errorf("x: %w", segments.ErrRange) },
		"all zeros":           func(b []byte) ([]byte, error) { clear(b); return b, nil },
	}
	for name, change := range harm {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.segments(3, 500)
				bad := w.view.parts[part].spans[1]
				w.store.fail = func(key string, _ int64, body []byte) ([]byte, error) {
					if key == bad.Segment.Key() {
						return change(body)
					}
					return body, nil
				}
				x := w.open(func(o *index.Options) { o.ReadAheadBytes = -1 })
				defer x.Close()
				if _, last := offsets(t, read(t, x, 0, 1<<20)); last != 0 {
					t.Errorf("offsets up to %d before the bad block", last)
				}
				_, err := x.Read(t.Context(), part, 1, 1<<20, true)
				if !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), bad.Segment.String()) ||
					!strings.Contains(err.Error(), part.String()) {
					t.Fatal(err)
				}
				synctest.Wait() // for the block behind it, which nobody waited for
				if n := w.store.count.Load(); n != 3 {
					t.Errorf("%d gets for three blocks", n)
				}
				if first, _ := offsets(t, read(t, x, 2, 1<<20)); first != 2 {
					t.Errorf("offset %d behind the bad block", first)
				}
				w.store.fail = nil
				time.Sleep(index.BrokenFor + time.Millisecond)
				if first, _ := offsets(t, read(t, x, 1, 1<<20)); first != 1 {
					t.Errorf("offset %d from the block that is whole again", first)
				}
			})
		})
	}
}

// TestRecordCount: a block with more or fewer records than its span has offsets is corrupt.
func TestRecordCount(t *testing.T) {
	for _, change := range []int64{-1, 1} {
		w := newWorld(t)
		w.segment(run{part, [][]byte{records(t, batch.None, 10, 1, 2), records(t, batch.None, 10, 3)}})
		f := w.view.parts[part]
		f.spans[0].Last += change
		f.end += change
		if _, err := w.open(nil).Read(t.Context(), part, 0, 1000, true); !errors.Is(err, index.ErrCorrupt) {
			t.Error(err)
		}
	}
}

// TestCorruptWithinOneGet: adjacent blocks come with one get, and one that is corrupt spoils no
// other; nor does an object that ends too early.
func TestCorruptWithinOneGet(t *testing.T) {
	for _, short := range []bool{false, true} {
		w := newWorld(t)
		runs := make([]run, 4)
		for i := range runs {
			runs[i] = run{part, [][]byte{records(t, batch.None, 500, 1)}}
		}
		w.segment(runs...)
		third := w.view.parts[part].spans[2].Position
		w.store.fail = func(_ string, offset int64, body []byte) ([]byte, error) {
			if end := offset + int64(len(body)); end > third && short {
				return nil, segments.ErrRange
			}
			if at := third - offset + 100; at >= 0 && at < int64(len(body)) {
				body[at]++
			}
			return body, nil
		}
		x := w.open(nil)
		if _, last := offsets(t, read(t, x, 0, 1<<20)); last != 1 {
			t.Errorf("offsets up to %d, the third block is corrupt", last)
		}
		if n := w.store.count.Load(); !short && n != 1 {
			t.Errorf("%d gets", n)
		}
		if _, err := x.Read(t.Context(), part, 2, 1<<20, true); !errors.Is(err, index.ErrCorrupt) {
			t.Error(err)
		}
	}
}

// TestVanished: a reader whose segment was merged away looks again: at once, and later, when the
// news was late.
func TestVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, newsAt := range []int{2, 3, 4} {
			w := newWorld(t)
			w.segments(3, 100)
			f := w.view.parts[part]
			for _, s := range f.spans {
				if err := w.store.Delete(t.Context(), s.Segment.Key()); err != nil {
					t.Fatal(err)
				}
			}
			w.view.onAsk = func(asked int) {
				if asked == newsAt {
					f.spans, f.end = nil, 0
					w.segments(3, 100)
				}
			}
			x := w.open(nil)
			chunk, err := x.Read(t.Context(), part, 0, 1000, true)
			if newsAt <= index.MaxLookups {
				if _, last := offsets(t, chunk); err != nil || last != 2 {
					t.Errorf("news at look %d: offset %d, %v", newsAt, last, err)
				}
			} else if !errors.Is(err, segments.ErrNotFound) {
				t.Errorf("no news: %v", err)
			}
			x.Close()
		}
	})
}

// TestDeletedMeanwhile: when the topic went away with its segments, the reader hears of that and
// not of segments.
func TestDeletedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.segments(1, 100)
	gone := &forgetful{fakeView: w.view}
	x := w.open(func(o *index.Options) { o.View = gone })
	if err := w.store.Delete(t.Context(), w.view.parts[part].spans[0].Segment.Key()); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Read(t.Context(), part, 0, 1000, true); !errors.Is(err, coordinator.ErrUnknownPartition) {
		t.Error(err)
	}
	gone.asked = 0
	if _, _, err := x.ByTime(t.Context(), part, 0); !errors.Is(err, coordinator.ErrUnknownPartition) {
		t.Error(err)
	}
}

// forgetful knows its partition until it has been asked for spans.
type forgetful struct {
	*fakeView
	asked int
}

func (v *forgetful) Partition(p segments.Partition) (coordinator.PartitionInfo, bool) {
	info, ok := v.fakeView.Partition(p)
	return info, ok && v.asked == 0
}

func (v *forgetful) Spans(p segments.Partition, offset int64, n int) []coordinator.Span {
	v.asked++
	return v.fakeView.Spans(p, offset, n)
}

func (v *forgetful) SpanByTime(p segments.Partition, timestamp int64) (coordinator.Span, bool) {
	v.asked++
	return v.fakeView.SpanByTime(p, timestamp)
}

// TestClosed: after Close nothing is held, nothing is under way, and reads fail.
func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.segments(2, 100)
		w.store.hold = make(chan struct{})
		x := w.open(nil)
		waiting := make(chan error)
		go func() { _, err := x.Read(t.Context(), part, 0, 1000, true); waiting <- err }()
		synctest.Wait()
		began := time.Now()
		x.Close()
		if took := time.Since(began); took > 0 || w.store.inHand.Load() > 0 {
			t.Errorf("Close returned after %v with %d bytes of gets under way", took, w.store.inHand.Load())
		}
		if err := <-waiting; err == nil {
			t.Error("a read went on after Close")
		}
		if _, err := x.Read(t.Context(), part, 0, 1000, true); !errors.Is(err, index.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestConcurrent: readers of many partitions from many places, while segments are written and kept,
// all read what was written.
func TestConcurrent(t *testing.T) {
	w := newWorld(t)
	parts := make([]segments.Partition, 4)
	for i := range parts {
		parts[i] = segments.Partition{Index: int32(i)}
		w.partition(parts[i])
	}
	write := func(x *index.Index, n int) {
		for i := range n {
			var runs []run
			for _, p := range parts {
				runs = append(runs, run{p, [][]byte{records(t, batch.LZ4, 300, int64(i), int64(i+1))}})
			}
			x.Keep(w.segment(runs...))
		}
	}
	x := w.open(func(o *index.Options) { o.TailBytes, o.CacheBytes, o.FetchBytes = 30000, 50000, 1<<20 })
	write(x, 100)
	var readers sync.WaitGroup
	for i := range 16 {
		readers.Go(func() {
			for at := int64(i % 7 * 10); at < 200; {
				chunk, err := x.Read(t.Context(), parts[i%4], at, 500*(1+i), true)
				if err != nil {
					t.Error(err)
					return
				}
				first, last := offsets(t, chunk)
				if first > at || last < at {
					t.Errorf("offsets %d to %d for %d", first, last, at)
					return
				}
				if held := w.metric("firn_index_cache_bytes"); held > 50000 {
					t.Errorf("the cache holds %v bytes", held)
				}
				at = last + 1
			}
			if _, ok, err := x.ByTime(t.Context(), parts[i%4], int64(i)); !ok || err != nil {
				t.Error(ok, err)
			}
		})
	}
	readers.Wait()
}
