package ingest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/budget"
	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// TestBufferBound writes faster than the store takes: the buffer never holds more than it may, all
// is written, and waiting ends with its context.
func TestBufferBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 64 << 10
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		var w *Writer
		var most atomic.Int64
		look := func() {
			if bytes, _ := w.Buffered(); bytes > most.Load() {
				most.Store(bytes)
			}
		}
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			look()
			time.Sleep(50 * time.Millisecond)
			return put()
		})
		w = newWriter(t, c, store, func(o *Options) { o.BufferBytes, o.FlushBytes, o.Puts = limit, 16<<10, 1 })
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 10 {
					p := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 8<<10))
					look()
					if r := mustWait(t, p)[0]; r.Err != nil {
						t.Error(r.Err)
					}
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := w.Append(ctx, []Batch{newBatch(ps[0], -1, 0, 1, 8<<10)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no room: %v", err)
		}
		wg.Wait()
		if got := most.Load(); got > limit || got < limit/2 {
			t.Errorf("the buffer held up to %d bytes of %d", got, limit)
		}
		if value(t, w.metrics.fullWaits) == 0 {
			t.Error("waits for room are not counted")
		}
	})
}

// TestBufferIsShared: a client with many large batches fills its share of the buffer over a store
// that stands still, and keeps out neither the small batches of others nor their large ones.
// Connecting again gives it no other share.
func TestBufferIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		open := make(chan struct{})
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			<-open
			return put()
		})
		w := newWriter(t, c, store, func(o *Options) { o.BufferBytes, o.LargestAppend = 1<<20, 128<<10 })
		appending := func(client *budget.Client, bytes int) bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := w.AppendOf(ctx, client, []Batch{newBatch(ps[0], -1, 0, 1, bytes)})
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			return err == nil
		}
		greedy, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		large, waiting := 0, new(sync.WaitGroup)
		for range 4 {
			client := w.Client(greedy)
			for appending(client, 64<<10) {
				large++
			}
			waiting.Go(func() { // until the store goes on
				p, err := w.AppendOf(t.Context(), client, []Batch{newBatch(ps[0], -1, 0, 1, 64<<10)})
				if err != nil || mustWait(t, p)[0].Err != nil {
					t.Error("the greedy client is not served in the end")
				}
				client.Close()
			})
			synctest.Wait()
		}
		if large < 6 || large > 8 {
			t.Errorf("the buffer of 1 MiB took %d batches of 64 KiB from one address", large)
		}
		if small := w.Client(greedy); !appending(small, 100) {
			t.Error("a small batch from the same address has to wait")
		}
		beside := w.Client(other)
		if !appending(beside, 100) || !appending(beside, 64<<10) {
			t.Error("another address has to wait")
		}
		close(open)
		waiting.Wait()
	})
}

// TestCloseUnderLoad closes while many write: what was taken is answered and stored, the rest is
// refused with ErrClosed.
func TestCloseUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(2)
		c.create(ps...)
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			time.Sleep(5 * time.Millisecond)
			return put()
		})
		w := newWriter(t, c, store, func(o *Options) { o.FlushBytes, o.BufferBytes = 4<<10, 32<<10 })
		var written atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for {
					p, err := w.Append(t.Context(), []Batch{newBatch(ps[0], -1, 0, 1, 1<<10), newBatch(ps[1], -1, 0, 1, 100)})
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
					for _, r := range mustWait(t, p) {
						if r.Err != nil {
							t.Error(r.Err)
						}
						written.Add(1)
					}
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if n := int64(len(c.partitions[ps[0]].log) + len(c.partitions[ps[1]].log)); n != written.Load() || n == 0 {
			t.Errorf("%d batches in the log, %d acknowledged", n, written.Load())
		}
		checkStored(t, c, store)
	})
}

// TestCloseWithoutPatience closes over a store that hangs: everything is answered at once, and
// nothing claims to be written.
func TestCloseWithoutPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		store := newScripted(func(ctx context.Context, n int, put func() error) error {
			<-ctx.Done()
			return ctx.Err()
		})
		w, err := start(Options{Store: store, Puts: 1}, c, c)
		if err != nil {
			t.Fatal(err)
		}
		var pending []*Pending
		for range 3 {
			pending = append(pending, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		for _, p := range pending {
			if r := mustWait(t, p)[0]; !errors.Is(r.Err, ErrClosed) {
				t.Errorf("got %v", r.Err)
			}
		}
	})
}

// TestLoneProducerDoesNotLinger writes one at a time to an idle node: nothing but the store takes
// time.
func TestLoneProducerDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		w := newWriter(t, c, memory.New(), nil)
		start := time.Now()
		for range 10 {
			mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("ten writes took %v", took)
		}
	})
}

// TestCompanyLingers has appends come a little apart while another is on its way: they share a
// segment.
func TestCompanyLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			time.Sleep(20 * time.Millisecond)
			return put()
		})
		w := newWriter(t, c, store, func(o *Options) { o.Linger = 5 * time.Millisecond })
		var pending []*Pending
		for range 5 {
			pending = append(pending, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
			time.Sleep(time.Millisecond)
		}
		for _, p := range pending {
			mustWait(t, p)
		}
		if n := store.puts.Load(); n != 2 {
			t.Errorf("%d segments, want 2: the first, and its company", n)
		}
	})
}

// newBilled is a writer with a put budget, a partition, and how many objects were put so far.
func newBilled(t *testing.T, perSecond float64) (*Writer, []segments.Partition, *atomic.Int32) {
	return newBilledIn(t, newCluster(), Options{PutBudget: perSecond})
}

func newBilledIn(t *testing.T, c *cluster, of Options) (*Writer, []segments.Partition, *atomic.Int32) {
	ps := newPartitions(1)
	c.create(ps...)
	var objects atomic.Int32
	c.onSettle = func([]coordinator.Entry) error { objects.Add(1); return nil }
	store := newScripted(func(_ context.Context, n int, put func() error) error {
		objects.Add(1)
		return put()
	})
	w := newWriter(t, c, store, func(o *Options) {
		o.PutBudget, o.BudgetShared, o.FlushInterval = of.PutBudget, of.BudgetShared, of.FlushInterval
		o.Logger = cmp.Or(of.Logger, o.Logger)
	})
	return w, ps, &objects
}

// TestBudget keeps a node busy: the bill stays within the budget, nobody waits longer than the
// interval, and after a rest the first write goes at once.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, seconds = 8, 20
		w, ps, objects := newBilled(t, perSecond)
		var slowest atomic.Int64
		var wg sync.WaitGroup
		for range seconds * 50 {
			wg.Go(func() {
				start := time.Now()
				mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
				for took := int64(time.Since(start)); took > slowest.Load(); {
					slowest.Store(took)
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		wg.Wait()
		if n := objects.Load(); n > perSecond*(seconds+1)+flushCost || n < perSecond*seconds*3/4 {
			t.Errorf("%d objects in %d seconds with a budget of %d a second", n, seconds, perSecond)
		}
		if took := time.Duration(slowest.Load()); took > defaultFlushInterval+defaultLinger {
			t.Errorf("the slowest write took %v", took)
		}
		time.Sleep(time.Second)
		start := time.Now()
		mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
		if took := time.Since(start); took > defaultLinger {
			t.Errorf("a write into the rested node took %v", took)
		}
	})
}

// TestBudgetShared keeps one node of some busy: it spends its part of the budget, which grows when
// the others leave.
func TestBudgetShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, seconds = 24, 10
		c := newCluster()
		w, ps, objects := newBilledIn(t, c, Options{PutBudget: perSecond, BudgetShared: true})
		for _, nodes := range []int{3, 2, 1, 0} { // 0: it has not heard of anybody yet
			c.nodes.Store(int32(nodes))
			before, most := objects.Load(), perSecond/max(nodes, 1)
			var wg sync.WaitGroup
			for range seconds * 50 {
				wg.Go(func() { mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10))) })
				time.Sleep(20 * time.Millisecond)
			}
			wg.Wait()
			if n := int(objects.Load() - before); n > most*(seconds+1)+flushCost || n < most*seconds*3/4 {
				t.Errorf("%d objects of one of %d nodes in %d seconds, with a budget of %d a second", n, nodes, seconds,
					perSecond)
			}
		}
	})
}

// TestBudgetBelowInterval: a part that does not cover a flush in each interval is warned of, and
// overspent under load, since no record waits longer; an interval that the part covers keeps to it.
func TestBudgetBelowInterval(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		covered  bool
	}{
		{defaultFlushInterval, false},
		{flushCost * time.Second, true}, // as the part is one put a second
	} {
		synctest.Test(t, func(t *testing.T) {
			const perSecond, nodes, seconds = 3, 3, 20
			c := newCluster()
			c.nodes.Store(nodes)
			var log bytes.Buffer
			w, ps, objects := newBilledIn(t, c, Options{PutBudget: perSecond, BudgetShared: true,
				FlushInterval: test.interval, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if warned := strings.Contains(log.String(), "put-budget"); warned == test.covered {
				t.Errorf("an interval of %v: the log is %q", test.interval, &log)
			}
			var wg sync.WaitGroup
			for range seconds * 50 {
				wg.Go(func() { mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10))) })
				time.Sleep(20 * time.Millisecond)
			}
			wg.Wait()
			const part = perSecond / nodes
			if n := int(objects.Load()); (n <= part*(seconds+1)+2*flushCost) != test.covered {
				t.Errorf("an interval of %v: %d objects in %d seconds, of a part of %d a second", test.interval, n, seconds,
					part)
			}
		})
	}
}

// TestBudgetLooksAhead has a producer with a beat that is a little too fast for the budget: most of
// what it sends leaves at once, because nothing would come before the tokens do, and the bill stays
// within the budget all the same.
func TestBudgetLooksAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, seconds, beats = 8, 60, 5
		w, ps, objects := newBilled(t, perSecond)
		var atOnce atomic.Int32
		var wg sync.WaitGroup
		for range seconds * beats {
			wg.Go(func() {
				start := time.Now()
				mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
				if time.Since(start) <= defaultLinger {
					atOnce.Add(1)
				}
			})
			time.Sleep(time.Second / beats)
		}
		wg.Wait()
		if n := objects.Load(); n > perSecond*(seconds+1)+flushCost {
			t.Errorf("%d objects in %d seconds with a budget of %d a second", n, seconds, perSecond)
		}
		if n := atOnce.Load(); n <= seconds*beats/2 { // some 200 of 300 do; without looking ahead 72
			t.Errorf("%d of %d appends left at once", n, seconds*beats)
		}
	})
}

// TestIntervalBeatsBudget has a budget that is much too small: producers still wait no longer than
// the interval.
func TestIntervalBeatsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		w := newWriter(t, c, memory.New(), func(o *Options) { o.PutBudget = 0.1 })
		start := time.Now()
		for range 20 {
			mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
		}
		if took := time.Since(start); took > 20*(defaultFlushInterval+defaultLinger) {
			t.Errorf("twenty writes took %v", took)
		}
	})
}
