package ingest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// TestFenced ends the only life: nothing that waits is acknowledged, and nothing is taken any more.
func TestFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		hold := make(chan struct{})
		c.onSettle = func([]coordinator.Entry) error { <-hold; return nil }
		store := newScripted(func(ctx context.Context, n int, put func() error) error {
			if n == 1 {
				<-ctx.Done() // hangs until the writer gives up
				return ctx.Err()
			}
			return put()
		})
		w := newWriter(t, c, store, func(o *Options) { o.Puts = 2 })
		var pending []*Pending
		for n := range 3 { // one committed, one being put, one collected
			pending = append(pending, mustAppend(t, w, newBatch(ps[0], 1, int32(n), 1, 10)))
			time.Sleep(time.Second / 2)
		}
		start := time.Now()
		c.fence()
		close(hold)
		for n, p := range pending {
			if r := mustWait(t, p)[0]; !errors.Is(r.Err, coordinator.ErrFenced) {
				t.Errorf("append %d: %+v", n, r)
			}
		}
		if _, err := w.Append(t.Context(), []Batch{newBatch(ps[0], 1, 9, 1, 10)}); !errors.Is(err, coordinator.ErrFenced) {
			t.Errorf("after it: %v", err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("it took %v to notice", took)
		}
	})
}

// TestNextLife ends a life with commits in every stage: all are made again in the next, in order.
func TestNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		var mu sync.Mutex
		settles := 0
		ended := c.current.ended
		c.onSettle = func([]coordinator.Entry) error {
			mu.Lock()
			settles++
			first := settles <= 5
			mu.Unlock()
			if first {
				<-ended
				return coordinator.ErrFenced
			}
			return nil
		}
		w := newWriter(t, c, memory.New(), nil)
		var pending []*Pending
		for n := range 8 {
			pending = append(pending, mustAppend(t, w, newBatch(ps[0], -1, int32(n), 1, 10)))
			time.Sleep(10 * time.Millisecond)
		}
		c.nextLife()
		for n, p := range pending {
			if r := mustWait(t, p)[0]; r.Err != nil || r.BaseOffset != int64(n) {
				t.Errorf("append %d: %+v", n, r)
			}
		}
		if value(t, w.metrics.lives) != 1 {
			t.Error("the end of the life is not counted")
		}
	})
}

// TestLifeEndsBeforeTheWatermarkIsSeen settles a commit behind one that is lost. In the next life
// somebody else gets its offsets, so that the high watermark passes them; the batch must not be
// acknowledged for that.
func TestLifeEndsBeforeTheWatermarkIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(1)
		c.create(ps...)
		leave(c, ps[0], -1, 10)
		w := newWriter(t, c, memory.New(), nil)
		p := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10))
		synctest.Wait() // settled at offset 10, and waiting for the ten before it
		c.mu.Lock()
		c.onCommit = func(coordinator.CommitRequest) error { time.Sleep(time.Millisecond); return nil }
		c.mu.Unlock()
		c.nextLife()
		another(c, ps[0])
		another(c, ps[0])
		if r := mustWait(t, p)[0]; r.Err != nil || r.BaseOffset != 20 {
			t.Errorf("%+v, want offset 20", r)
		}
	})
}

// another has another node write ten records.
func another(c *cluster, p segments.Partition) {
	e := leave(c, p, -1, 10)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.confirm(e.Seq)
}

// TestLivesEndAtRandom has lives end again and again under many producers, while calls fail and
// replies get lost. Whatever was acknowledged must be in the log, at its offset, once; and what was
// handed on must in the end agree with the log.
func TestLivesEndAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(3)
		c.create(ps...)
		fail := func() error {
			time.Sleep(rand.N(3 * time.Millisecond))
			if rand.N(10) == 0 {
				return errBroken
			}
			return nil
		}
		c.onCommit = func(coordinator.CommitRequest) error { return fail() }
		c.onSettle = func([]coordinator.Entry) error { return fail() }
		store := newScripted(func(_ context.Context, n int, put func() error) error {
			if err := fail(); err != nil && rand.N(2) == 0 {
				return err // nothing was stored
			}
			if err := put(); err != nil {
				return err
			}
			return fail() // stored, and perhaps nobody hears of it
		})
		tail := tailCache{}
		w := newWriter(t, c, store, func(o *Options) { o.FlushBytes, o.Sealed = 2<<10, tail.keep })
		stop := make(chan struct{})
		var ending, producing sync.WaitGroup
		ending.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(rand.N(60 * time.Millisecond)):
					c.nextLife()
					another(c, ps[rand.N(len(ps))]) // so that what is committed again gets other offsets than before
				}
			}
		})
		var acks ackedLog
		for id := range int64(8) {
			producing.Go(func() { acks.produce(t, w, ps, id, 40) })
		}
		producing.Wait()
		close(stop)
		ending.Wait()
		checkStored(t, c, store)
		acks.check(t, c)
		tail.check(t, c)
	})
}

// ackedLog is what producers were told.
type ackedLog struct {
	mu   sync.Mutex
	acks []acked
}

type acked struct {
	partition segments.Partition
	producer  int64
	sequence  int32
	offset    int64
}

// produce writes n batches of three records to each partition, one after the other.
func (l *ackedLog) produce(t *testing.T, w *Writer, ps []segments.Partition, id int64, n int) {
	for i := range n {
		var bs []Batch
		for _, p := range ps {
			bs = append(bs, newBatch(p, id, int32(i*3), 3, 50))
		}
		for j, r := range mustWait(t, mustAppend(t, w, bs...)) {
			if r.Err != nil && !errors.Is(r.Err, coordinator.ErrDuplicate) {
				t.Errorf("producer %d, batch %d: %v", id, i, r.Err)
			}
			l.mu.Lock()
			l.acks = append(l.acks, acked{ps[j], id, int32(i * 3), r.BaseOffset})
			l.mu.Unlock()
		}
	}
}

func (l *ackedLog) check(t *testing.T, c *cluster) {
	log := map[acked]bool{}
	n := 0
	for p, fp := range c.partitions {
		for _, b := range fp.log {
			if b.batch.ProducerID < 0 {
				continue
			}
			log[acked{p, b.batch.ProducerID, b.batch.BaseSequence, b.base}] = true
			n++
		}
	}
	for _, a := range l.acks {
		if !log[a] {
			t.Fatalf("acknowledged, and not in the log: %+v", a)
		}
	}
	if n != len(l.acks) {
		t.Errorf("%d batches in the log, %d acknowledged", n, len(l.acks))
	}
}

// tailCache keeps what is handed on, as the index does: by segment, the newest bytes.
type tailCache struct {
	mu      sync.Mutex
	objects map[segments.ID][]byte
	given   [][]byte // everything that was handed on,
	copies  [][]byte // as it was then
}

func (c *tailCache) keep(spans []coordinator.CommitSpan, object []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects == nil {
		c.objects = map[segments.ID][]byte{}
	}
	c.objects[spans[0].Span.Segment] = object
	c.given, c.copies = append(c.given, object), append(c.copies, bytes.Clone(object))
}

// check compares the offsets that readers of the tail see with the log, and that nothing changed in
// their hands.
func (c *tailCache) check(t *testing.T, cl *cluster) {
	for i := range c.given {
		if !bytes.Equal(c.given[i], c.copies[i]) {
			t.Fatal("bytes were changed after they were handed on")
		}
	}
	seen := 0
	for p, fp := range cl.partitions {
		for _, l := range fp.log {
			object := c.objects[l.segment]
			if object == nil {
				continue
			}
			seen++
			if h, err := batch.ReadHeader(object[l.position:]); err != nil || h.BaseOffset != l.base {
				t.Fatalf("%s: the tail has offset %d, the log %d (%v)", p, h.BaseOffset, l.base, err)
			}
		}
	}
	if seen == 0 {
		t.Error("nothing was handed on")
	}
}

// TestAnsweredIsNotCommittedAgain ends a life when a part of a segment is answered. The next life
// commits the rest alone: the records of that part may have been deleted by now, and nothing would
// tell the coordinator that they were there.
func TestAnsweredIsNotCommittedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(3)
		c.create(ps...)
		leave(c, ps[1], -1, 10)
		var asked [][]coordinator.CommitRun
		c.onCommit = func(r coordinator.CommitRequest) error {
			asked = append(asked, slices.Clone(r.Runs))
			return nil
		}
		w := newWriter(t, c, memory.New(), nil)
		p := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10), newBatch(ps[1], -1, 0, 1, 10), newBatch(ps[2], -1, 0, 1, 10))
		synctest.Wait() // all but the one behind the commit that was left is answered
		c.nextLife()
		for i, r := range mustWait(t, p) {
			if r.Err != nil {
				t.Errorf("batch %d: %+v", i, r)
			}
		}
		if len(asked) != 2 || len(asked[0]) != 3 || len(asked[1]) != 1 || asked[1][0].Partition != ps[1] {
			t.Errorf("the commits were %+v", asked)
		}
	})
}

// TestDeletedIsNotCommittedAgain has a commit confirmed by another node, and its records deleted,
// before a recovery. The writer was told of none of that. Of the batches without a producer it
// cannot know; those of another partition, and those that the coordinator knows again, are
// answered.
func TestDeletedIsNotCommittedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ps := newCluster(), newPartitions(2)
		c.create(ps...)
		another(c, ps[0])
		ended := c.current.ended
		c.onSettle = func([]coordinator.Entry) error { <-ended; return coordinator.ErrFenced }
		w := newWriter(t, c, memory.New(), nil)
		plain := mustAppend(t, w, newBatch(ps[0], -1, 0, 1, 10), newBatch(ps[1], -1, 0, 1, 10))
		synctest.Wait() // committed at offset 10, and not settled
		c.mu.Lock()
		c.confirm(c.seq)
		c.onSettle = nil
		c.partitions[ps[0]].start = 20
		c.mu.Unlock()
		c.nextLife()
		r := mustWait(t, plain)
		if !errors.Is(r[0].Err, ErrInDoubt) || r[0].BaseOffset != -1 {
			t.Errorf("the batch whose records may have been deleted: %+v", r[0])
		}
		if r[1].Err != nil || r[1].BaseOffset != 0 {
			t.Errorf("the batch of another partition: %+v", r[1])
		}
		if n := len(c.partitions[ps[0]].log); n != 0 {
			t.Errorf("%d batches came back", n)
		}
	})
}
