package ingest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// scripted is a store whose puts follow a script: it is called with the number of the put, from 0
// on, and does the real one when it likes.
type scripted struct {
	*memory.Store
	puts   atomic.Int32
	script func(ctx context.Context, n int, put func() error) error
}

func (s *scripted) Put(ctx context.Context, key string, body []byte) error {
	n := int(s.puts.Add(1)) - 1
	return s.script(ctx, n, func() error { return s.Store.Put(ctx, key, body) })
}

func newScripted(script func(ctx context.Context, n int, put func() error) error) *scripted {
	return &scripted{Store: memory.New(), script: script}
}

var errBroken = errors.New("503 slow down")

func value(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestPutsFailForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(2)
		c.create(ps...)
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			if n < 12 || n%3 == 0 {
				return errBroken
			}
			return put()
		})
		w := newWriter(t, c, store, func(o *Options) { o.FlushBytes = 1 << 10 })
		var wg sync.WaitGroup
		for id := range int64(4) {
			wg.Go(func() { produce(t, w, ps, id, 20, 3) })
		}
		wg.Wait()
		checkStored(t, c, store)
		if value(t, w.metrics.putRetries) < 12 {
			t.Error("the retries are not counted")
		}
	})
}

func TestLostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			if err := put(); n == 0 && err == nil {
				return errBroken
			} else {
				return err
			}
		})
		w := newWriter(t, c, store, nil)
		if r := mustWait(t, mustAppend(t, w, newBatch(ps[0], 1, 0, 1, 10)))[0]; r.Err != nil {
			t.Error(r.Err)
		}
		if n := store.puts.Load(); n != 2 {
			t.Errorf("%d puts, want 2", n)
		}
		checkStored(t, c, store)
	})
}

// TestKeyTaken has somebody else's object under a segment's key: that segment fails at once and the
// next is not touched by it.
func TestKeyTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		store := &squatter{Store: memory.New()}
		w := newWriter(t, c, store, nil)
		if r := mustWait(t, mustAppend(t, w, newBatch(ps[0], 1, 0, 1, 10)))[0]; !errors.Is(r.Err, ErrNotWritten) {
			t.Errorf("got %v, want ErrNotWritten", r.Err)
		}
		if r := mustWait(t, mustAppend(t, w, newBatch(ps[0], 1, 0, 1, 10)))[0]; r.Err != nil {
			t.Error(r.Err)
		}
	})
}

// squatter is a store in which the first key that somebody wants is taken.
type squatter struct {
	*memory.Store
	once sync.Once
}

func (s *squatter) Put(ctx context.Context, key string, body []byte) error {
	s.once.Do(func() { s.Store.Put(ctx, key, []byte("not a segment")) })
	return s.Store.Put(ctx, key, body)
}

// TestHopelessPut has a segment whose put never succeeds: it is given up after the deadline, and
// the segment behind it, which was put long before, is committed then.
func TestHopelessPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(2)
		c.create(ps...)
		var hopeless atomic.Value
		store := &keyed{Store: memory.New(), refuse: func(key string) bool {
			hopeless.CompareAndSwap(nil, key)
			return key == hopeless.Load()
		}}
		w := newWriter(t, c, store, nil)
		start := time.Now()
		first := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10))
		synctest.Wait()
		second := mustAppend(t, w, newBatch(ps[1], -1, 0, 1, 10))
		if r := mustWait(t, first)[0]; !errors.Is(r.Err, ErrNotWritten) || !errors.Is(r.Err, errBroken) {
			t.Errorf("the hopeless one: %v", r.Err)
		}
		if r := mustWait(t, second)[0]; r.Err != nil {
			t.Errorf("the one behind: %v", r.Err)
		}
		if took := time.Since(start); took > commitDeadline+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

type keyed struct {
	*memory.Store
	refuse func(key string) bool
}

func (s *keyed) Put(ctx context.Context, key string, body []byte) error {
	if s.refuse(key) {
		return errBroken
	}
	return s.Store.Put(ctx, key, body)
}

// TestHedge has one put hang among fast ones: a second attempt beside it answers in time.
func TestHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		const calm = segments.SlownessEnough + segments.SlownessEvery
		store := newScripted(func(ctx context.Context, n int, put func() error) error {
			if n == calm {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
			return put()
		})
		w := newWriter(t, c, store, nil)
		for range calm {
			mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
		}
		start := time.Now()
		if r := mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))[0]; r.Err != nil {
			t.Error(r.Err)
		}
		if took := time.Since(start); took > 2*segments.SlowPuts.Floor {
			t.Errorf("a put that hangs held its producer up for %v", took)
		}
		if n := value(t, w.metrics.hedges); n != 1 {
			t.Errorf("%v hedges, want 1", n)
		}
	})
}

// TestHedgesAreRare makes the whole store slow after a fast start: hardly more puts than segments
// are made.
func TestHedgesAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		const calm, rest = 100, 900
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			if n >= calm {
				time.Sleep(time.Duration(n) * time.Millisecond) // slower all the time, so that each is slower than p99
			}
			return put()
		})
		w := newWriter(t, c, store, nil)
		for range calm + rest {
			mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
		}
		most := segments.SlowPuts.Most + segments.SlowPuts.Share*(calm+rest)
		if n := value(t, w.metrics.hedges); n > most || n == 0 {
			t.Errorf("%v hedges for %d puts, want at most %v, and some", n, calm+rest, most)
		}
	})
}

// TestSlowHedgeLoserKeepsItsBytes has a put that neither returns nor lets go while its hedge wins.
// It must go on to see the bytes that were put, not those with the final offsets.
func TestSlowHedgeLoserKeepsItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		const calm = segments.SlownessEnough
		letGo, seen := make(chan struct{}), make(chan []byte, 1)
		store := &clinging{Store: memory.New(), at: calm, letGo: letGo, seen: seen}
		var handed []byte
		w := newWriter(t, c, store, func(o *Options) {
			o.Sealed = func(_ []coordinator.CommitSpan, object []byte) { handed = object }
		})
		for range calm + 1 {
			mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
		}
		close(letGo)
		if body := <-seen; bytes.Equal(body, handed) {
			t.Error("the bytes were changed under a put")
		}
	})
}

// clinging is a store whose put number `at` ignores its context, and looks at the body only when it
// is let go.
type clinging struct {
	*memory.Store
	puts  atomic.Int32
	at    int32
	letGo chan struct{}
	seen  chan []byte
}

func (s *clinging) Put(ctx context.Context, key string, body []byte) error {
	if s.puts.Add(1)-1 == s.at {
		<-s.letGo
		s.seen <- bytes.Clone(body)
		return errBroken
	}
	return s.Store.Put(ctx, key, body)
}

// TestCommitsInOrderOfSealing has puts end in any order but that of their start. Producers without
// ids have nothing else that keeps their order.
func TestCommitsInOrderOfSealing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			time.Sleep(rand.N(100 * time.Millisecond))
			return put()
		})
		w := newWriter(t, c, store, func(o *Options) { o.FlushBytes, o.Puts = 1, 16 })
		var pending []*Pending
		for n := range 200 {
			pending = append(pending, mustAppend(t, w, newBatch(ps[0], -1, int32(n), 1, 10)))
		}
		for n, p := range pending {
			if r := mustWait(t, p)[0]; r.Err != nil || r.BaseOffset != int64(n) {
				t.Fatalf("append %d: %+v", n, r)
			}
		}
	})
}

func TestCommitIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		commits, settles := 0, 0
		c.onCommit = func(coordinator.CommitRequest) error {
			if commits++; commits < 4 {
				return errBroken
			}
			return nil
		}
		c.onSettle = func([]coordinator.Entry) error {
			if settles++; settles < 4 {
				return errBroken
			}
			return nil
		}
		w := newWriter(t, c, memory.New(), nil)
		if r := mustWait(t, mustAppend(t, w, newBatch(ps[0], 1, 0, 1, 10)))[0]; r.Err != nil {
			t.Error(r.Err)
		}
		if commits != 4 || settles != 4 {
			t.Errorf("%d commits, %d settles, want 4 each", commits, settles)
		}
	})
}

func TestTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		c.onCommit = func(coordinator.CommitRequest) error { return coordinator.ErrTooOld }
		w := newWriter(t, c, memory.New(), nil)
		r := mustWait(t, mustAppend(t, w, newBatch(ps[0], 1, 0, 1, 10)))[0]
		if !errors.Is(r.Err, ErrNotWritten) || !errors.Is(r.Err, coordinator.ErrTooOld) {
			t.Errorf("got %v", r.Err)
		}
	})
}

// TestCoordinatorAway has commits fail for so long that their segment is given up. Any of them may
// have been made, and the answer says so.
func TestCoordinatorAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		c.onCommit = func(coordinator.CommitRequest) error { return errBroken }
		w := newWriter(t, c, memory.New(), nil)
		r := mustWait(t, mustAppend(t, w, newBatch(ps[0], 1, 0, 1, 10)))[0]
		if !errors.Is(r.Err, ErrInDoubt) || errors.Is(r.Err, ErrNotWritten) {
			t.Errorf("got %v", r.Err)
		}
	})
}

func TestSealedGetsFinalOffsets(t *testing.T) {
	c, ps := newCluster(), newPartitions(2)
	c.create(ps...)
	var mu sync.Mutex
	settled := false
	c.onSettle = func([]coordinator.Entry) error { mu.Lock(); defer mu.Unlock(); settled = true; return nil }
	var spans []coordinator.CommitSpan
	var object []byte
	w := newWriter(t, c, memory.New(), func(o *Options) {
		o.Sealed = func(s []coordinator.CommitSpan, o []byte) {
			mu.Lock()
			defer mu.Unlock()
			if spans, object = append(spans, s...), o; settled {
				t.Error("handed on after it was confirmed")
			}
		}
	})
	mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10), newBatch(ps[0], -1, 0, 4, 20),
		newBatch(ps[1], -1, 0, 2, 30)))
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	for _, s := range spans {
		h, err := batch.Check(object[s.Span.Position : s.Span.Position+s.Span.Length])
		if err != nil || h.BaseOffset != s.Span.Base {
			t.Errorf("span %+v holds a batch with offset %d, %v", s.Span, h.BaseOffset, err)
		}
	}
}

// TestSlowPartitionHoldsUpNoOther leaves a commit of another node pending in one partition: batches
// of the other are answered.
func TestSlowPartitionHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(2)
		c.create(ps...)
		leave(c, ps[0], -1, 10)
		w := newWriter(t, c, memory.New(), func(o *Options) { o.Puts = 1 })
		start := time.Now()
		mustAppend(t, w, newBatch(ps[1], -1, 0, 1, 10)) // the next two share the segment behind this one
		slow := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10))
		quick := mustAppend(t, w, newBatch(ps[1], -1, 0, 1, 10))
		mustWait(t, quick)
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("the quick one took %v", took)
		}
		select {
		case <-slow.Done():
			t.Error("answered before the high watermark passed it")
		default:
		}
		// After a second the writer helps, and the slow one is answered as well.
		if r := mustWait(t, slow)[0]; r.Err != nil || r.BaseOffset != 10 {
			t.Errorf("the slow one: %+v", r)
		}
		if took := time.Since(start); took < helpAge || took > 3*helpAge {
			t.Errorf("help came after %v", took)
		}
	})
}

// leave commits records for a node that dies before it settles them.
func leave(c *cluster, p segments.Partition, producer int64, records int32) coordinator.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commit(c.current.incarnation, coordinator.CommitRequest{Segment: segments.NewID(time.Now()),
		Runs: []coordinator.CommitRun{{
			Partition: p, Batches: []coordinator.CommitBatch{{Length: 100, Records: records, ProducerID: producer}},
		}}}).Entry
}

// TestDuplicateOfPendingWaits tries a batch again that another node has committed and not settled.
// It is known to be a duplicate at once, but nobody may rely on it before it is confirmed.
func TestDuplicateOfPendingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		e := leave(c, ps[0], 7, 1)
		w := newWriter(t, c, memory.New(), nil)
		p := mustAppend(t, w, newBatch(ps[0], 7, 0, 1, 10))
		synctest.Wait()
		select {
		case <-p.Done():
			t.Error("answered while the original is pending")
		default:
		}
		c.mu.Lock()
		c.confirm(e.Seq)
		c.mu.Unlock()
		if r := mustWait(t, p)[0]; !errors.Is(r.Err, coordinator.ErrDuplicate) || r.BaseOffset != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestHelpWithNothingOfOurOwn settles what others left behind even on a node that writes nothing.
func TestHelpWithNothingOfOurOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		newWriter(t, c, memory.New(), nil)
		leave(c, ps[0], -1, 10)
		time.Sleep(3 * helpAge)
		synctest.Wait()
		if info, _ := c.Partition(ps[0]); info.HighWatermark != 10 {
			t.Errorf("high watermark %d, want 10", info.HighWatermark)
		}
	})
}

// TestNoHelpForOurOwn has a commit of this very writer settle for long: it must not be settled
// twice.
func TestNoHelpForOurOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		var settles atomic.Int32
		c.onSettle = func([]coordinator.Entry) error {
			settles.Add(1)
			time.Sleep(10 * helpAge)
			return nil
		}
		w := newWriter(t, c, memory.New(), nil)
		mustWait(t, mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10)))
		if n := settles.Load(); n != 1 {
			t.Errorf("settled %d times", n)
		}
	})
}

// TestTopicDeletedMeanwhile deletes the topic of a batch that waits for the high watermark.
func TestTopicDeletedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		leave(c, ps[0], -1, 10)
		w := newWriter(t, c, memory.New(), nil)
		p := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10))
		synctest.Wait()
		c.mu.Lock()
		delete(c.partitions, ps[0])
		c.deleted[ps[0].Topic] = true
		c.tell()
		c.mu.Unlock()
		if r := mustWait(t, p)[0]; !errors.Is(r.Err, coordinator.ErrUnknownPartition) {
			t.Errorf("%+v", r)
		}
	})
}

// TestTopicNotSeenYet writes to a partition that this node's view does not show yet, because the
// news is on its way: the records are written, and nobody is told otherwise.
func TestTopicNotSeenYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		c.unseen[ps[0]] = true
		w := newWriter(t, c, memory.New(), nil)
		p := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10))
		synctest.Wait()
		c.mu.Lock()
		delete(c.unseen, ps[0])
		c.tell()
		c.mu.Unlock()
		if r := mustWait(t, p)[0]; r.Err != nil || r.BaseOffset != 0 {
			t.Errorf("%+v, want offset 0", r)
		}
	})
}
