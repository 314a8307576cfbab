package coordinator_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// gatedStore is a store whose listings wait to be let through.
type gatedStore struct {
	segments.Store
	gated    atomic.Bool
	listings chan chan struct{} // of those that have begun: close what it yields
}

func (s *gatedStore) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	if s.gated.Load() && prefix == "incarnations/" && after != "" { // not the tidier
		pass := make(chan struct{})
		s.listings <- pass
		<-pass
	}
	return s.Store.List(ctx, prefix, after)
}

// However many ask whether their incarnation is the newest, the bucket is asked by one at a time,
// and nobody gets an answer that was on its way before they asked.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &gatedStore{Store: memory.New(), listings: make(chan chan struct{})}
		life, err := join(t, store).Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		store.gated.Store(true)
		defer store.gated.Store(false)
		var answered atomic.Int64
		ask := func() {
			if err := life.Current(t.Context()); err != nil {
				t.Error(err)
			}
			answered.Add(1)
		}
		go ask()
		first := <-store.listings
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := life.Current(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("who is gone gets %v", err)
		}
		const many = 100
		for range many {
			go ask()
		}
		synctest.Wait()
		close(first)
		var second chan struct{} // begun after the first, for those who asked meanwhile
		select {
		case second = <-store.listings:
		case <-time.After(time.Minute):
			t.Fatal("who asked while a look was on its way got the answer of that")
		}
		synctest.Wait()
		if n := answered.Load(); n != 1 {
			t.Errorf("%d have their answers while the second look is on its way", n)
		}
		close(second)
		synctest.Wait()
		if n := answered.Load(); n != many+1 {
			t.Errorf("after two looks %d of %d have their answers", n, many+1)
		}
	})
}

// A server whose bucket another one took over says so, however it learns of it: a supervisor must
// not start it again.
func TestTakenOverByALook(t *testing.T) {
	store := memory.New()
	alone := func() *coordinator.Node {
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store,
			Coordinator: embedded.New(embedded.Options{}), Probe: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(context.Background()) })
		return n
	}
	first := alone()
	life, err := first.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	alone()
	if err := life.Current(t.Context()); !errors.Is(err, coordinator.ErrIncarnation) {
		t.Errorf("a look says %v", err)
	}
	<-first.Done()
	if err := first.Err(); !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("the server that was taken over ends with %v", err)
	}
}
