package coordinator_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// faulty fails or delays puts into the journal.
type faulty struct {
	segments.Store
	puts  atomic.Int64
	fault func() (lost, replyLost bool)
}

var errOutage = errors.New("the store is out")

func (f *faulty) Put(ctx context.Context, key string, body []byte) error {
	if !strings.HasPrefix(key, "journal/") {
		return f.Store.Put(ctx, key, body)
	}
	f.puts.Add(1)
	time.Sleep(10 * time.Millisecond) // of the bubble's time
	lost, replyLost := f.fault()
	if lost {
		return errOutage
	}
	err := f.Store.Put(ctx, key, body)
	if replyLost {
		return errOutage
	}
	return err
}

// An outage of the store delays answers and loses none; it is logged once. Facts that waited
// meanwhile share an object.
func TestJournalOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var calls int
		store := &faulty{Store: memory.New(), fault: func() (bool, bool) {
			calls++
			return down.Load(), calls%2 == 0 // every other reply is lost as well
		}}
		var log bytes.Buffer
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{
			Store:       store,
			Coordinator: embedded.New(embedded.Options{}),
			Logger:      slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		at := segments.Partition{Topic: createTopic(t, n, "a", 1)}
		down.Store(true)
		const writers = 50
		var group sync.WaitGroup
		for range writers {
			group.Go(func() { write(t, n, request(at, 1)) })
		}
		time.Sleep(time.Minute)
		if info, _ := n.View().Partition(at); info.HighWatermark != 0 {
			t.Errorf("records show that are not in the journal: %+v", info)
		}
		down.Store(false)
		before := store.puts.Load()
		group.Wait()
		if puts := store.puts.Load() - before; puts > 6 {
			t.Errorf("%d writes took %d puts", writers, puts)
		}
		if info, _ := n.View().Partition(at); info.HighWatermark != writers {
			t.Errorf("after the outage: %+v", info)
		}
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if lines := strings.Count(log.String(), "trying again"); lines > 5 {
			t.Errorf("the outage was logged %d times:\n%s", lines, &log)
		}
	})
}

// TestJournalHedges has journal puts hang, before and after they reach the store: a second attempt
// beside each answers at once, every fact is journaled, and the life goes on.
func TestJournalHedges(t *testing.T) {
	for name, lands := range map[string]bool{"the request is lost": false, "the reply is lost": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const calm, hang, perHedge = segments.SlownessEnough + segments.SlownessEvery, 3, 20
				store, metrics := &hanging{Store: memory.New(), lands: lands}, prometheus.NewPedanticRegistry()
				opts := coordinator.NodeOptions{
					Store: store, Coordinator: embedded.New(embedded.Options{}), Registerer: metrics,
				}
				n, err := coordinator.Join(t.Context(), opts)
				if err != nil {
					t.Fatal(err)
				}
				at := segments.Partition{Topic: createTopic(t, n, "a", 1)}
				for range calm {
					write(t, n, request(at, 1))
				}
				lives := counted(t, metrics, "firn_coordinator_lives_total")
				for i := range hang {
					store.hang.Store(true)
					begun := time.Now()
					write(t, n, request(at, 1))
					if took := time.Since(begun); took > 2*segments.SlowPuts.Floor {
						t.Errorf("put %d held its producer up for %v", i, took)
					}
					for range perHedge {
						write(t, n, request(at, 1)) // until another may be hedged
					}
				}
				if got := counted(t, metrics, "firn_coordinator_journal_hedged_puts_total"); got != hang {
					t.Errorf("%v hedges, want %d", got, hang)
				}
				if got := counted(t, metrics, "firn_coordinator_lives_total"); got != lives {
					t.Errorf("%v lives, want %v", got, lives)
				}
				want := int64(calm + hang + hang*perHedge)
				if info, _ := n.View().Partition(at); info.HighWatermark != want {
					t.Errorf("%d records, want %d", info.HighWatermark, want)
				}
				if err := n.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// counted is the value of a counter.
func counted(t *testing.T, metrics prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// hanging has one put into the journal hang when it is told to, before the store or behind it.
type hanging struct {
	segments.Store
	lands bool
	hang  atomic.Bool
}

func (h *hanging) Put(ctx context.Context, key string, body []byte) error {
	hangs := strings.HasPrefix(key, "journal/") && h.hang.CompareAndSwap(true, false)
	if hangs && !h.lands {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(time.Millisecond) // of the bubble's time
	err := h.Store.Put(ctx, key, body)
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// Whoever waits in a node when it is closed is told so.
func TestCloseTellsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		store := &faulty{Store: memory.New(), fault: func() (bool, bool) { return down.Load(), false }}
		opts := coordinator.NodeOptions{Store: store, Coordinator: embedded.New(embedded.Options{})}
		n, err := coordinator.Join(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		at := segments.Partition{Topic: createTopic(t, n, "a", 1)}
		life, err := n.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		answer, err := life.Commit(t.Context(), request(at, 1))
		if err != nil {
			t.Fatal(err)
		}
		settled := make(chan error)
		go func() { settled <- life.Settle(t.Context(), answer.Entry) }()
		synctest.Wait()
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-settled; !errors.Is(err, coordinator.ErrFenced) {
			t.Errorf("settling: %v", err)
		}
		<-n.Done()
		if _, err := n.Life(t.Context()); !errors.Is(err, coordinator.ErrClosed) {
			t.Errorf("Life: %v", err)
		}
		if _, err := n.Change(t.Context(), coordinator.Change{ProducerIDs: 1}); !errors.Is(err, coordinator.ErrClosed) {
			t.Errorf("Change: %v", err)
		}
	})
}

// Join says what is wrong with the store, soon.
func TestJoinWithABrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: memory.New(), fault: func() (bool, bool) { return true, false }}
		opts := coordinator.NodeOptions{Store: store, Coordinator: embedded.New(embedded.Options{})}
		_, err := coordinator.Join(t.Context(), opts)
		if !errors.Is(err, errOutage) {
			t.Errorf("got %v", err)
		}
	})
}
