package coordinator_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// late is a coordinator whose commit stream reaches a node only once heard is closed.
type late struct {
	coordinator.Coordinator
	heard <-chan struct{}
}

func (l late) Follow(
	ctx context.Context, in coordinator.Incarnation, after uint64,
) iter.Seq2[coordinator.Entry, error] {
	return func(yield func(coordinator.Entry, error) bool) {
		select {
		case <-l.heard:
			l.Coordinator.Follow(ctx, in, after)(yield)
		case <-ctx.Done():
			yield(coordinator.Entry{}, ctx.Err())
		}
	}
}

// A node that has heard nothing of what another node acknowledged says so, and shows it as soon as
// it has caught up.
func TestCatchUp(t *testing.T) {
	store, c, heard := memory.New(), shared{embedded.New(embedded.Options{})}, make(chan struct{})
	writes := joinShared(t, store, c, 1, 1000)
	at := segments.Partition{Topic: createTopic(t, writes, "a", 1)}
	reads := joinShared(t, store, late{c, heard}, 2, 1000)
	if _, err := insist(t.Context(), writes, request(at, 3)); err != nil {
		t.Fatal(err)
	}

	impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := reads.CatchUp(impatient); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a node that hears nothing has caught up: %v", err)
	}
	close(heard)
	if err := reads.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, _ := reads.View().Partition(at); info.HighWatermark != 3 {
		t.Errorf("the high watermark is %d after catching up, want 3", info.HighWatermark)
	}
}

// A server whose bucket another one takes over does not know that before it writes or looks. Until
// then it must not assume that it knows everything acknowledged to clients.
func TestCatchUpWithSuccessor(t *testing.T) {
	store := memory.New()
	alone := func() *coordinator.Node {
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{
			Store:       store,
			Coordinator: embedded.New(embedded.Options{}),
			Info:        coordinator.NodeInfo{ID: 1},
			Probe:       time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(context.Background()) })
		return n
	}
	first := alone()
	if err := first.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := alone()
	if err := first.CatchUp(t.Context()); !errors.Is(err, coordinator.ErrUnavailable) {
		t.Errorf("the first says %v", err)
	}
	if err := second.CatchUp(t.Context()); err != nil {
		t.Errorf("the second says %v", err)
	}
}

// unconfirming is a coordinator that does not get a node's confirmations.
type unconfirming struct {
	coordinator.Coordinator
	asked chan<- struct{}
}

func (u unconfirming) Confirm(ctx context.Context, _ coordinator.Incarnation, _ []uint64) error {
	select {
	case u.asked <- struct{}{}:
	case <-ctx.Done():
	}
	return coordinator.ErrUnavailable
}

// What a node has from the journal, others show as well, even if its writer dies
// before it confirms.
func TestLoadedIsConfirmed(t *testing.T) {
	store, c, asked := memory.New(), shared{embedded.New(embedded.Options{})}, make(chan struct{})
	others := joinShared(t, store, c, 1, 1000)
	at := segments.Partition{Topic: createTopic(t, others, "a", 1)}

	writer := joinShared(t, store, unconfirming{c, asked}, 2, 1000)
	life, err := writer.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := life.Commit(t.Context(), request(at, 3))
	if err != nil {
		t.Fatal(err)
	}
	ctx, die := context.WithCancel(t.Context())
	var settling sync.WaitGroup
	settling.Go(func() { _ = life.Settle(ctx, answer.Entry) })
	<-asked // it is in the journal
	die()
	settling.Wait()

	started := joinShared(t, store, c, 3, 1000)
	if info, _ := started.View().Partition(at); info.HighWatermark != 3 {
		t.Errorf("a node that starts shows records up to %d, and up to 3 they are in the journal", info.HighWatermark)
	}
	ends, err := c.HighWatermarks(t.Context(), life.Incarnation(), []segments.Partition{at})
	if err != nil || ends[0] != 3 {
		t.Errorf("the coordinator shows the others records up to %d (%v), and up to 3 to the node that starts", ends, err)
	}
}
