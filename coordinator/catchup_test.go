package coordinator_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// late is a coordinator whose commit stream reaches a node only once heard is closed.
type late struct {
	coordinator.Coordinator
	heard <-chan struct{}
}

func (l late) Follow(ctx context.Context, in coordinator.Incarnation, after uint64) iter.Seq2[coordinator.Entry, error] {
	return func(yield func(coordinator.Entry, error) bool) {
		select {
		case <-l.heard:
			l.Coordinator.Follow(ctx, in, after)(yield)
		case <-ctx.Done():
			yield(coordinator.Entry{}, ctx.Err())
		}
	}
}

// A node that has heard nothing of what another acknowledged says so, and shows it as soon as it has caught up.
func TestCatchUp(t *testing.T) {
	store, c, heard := memory.New(), shared{coordinator.NewEmbedded(coordinator.EmbeddedOptions{})}, make(chan struct{})
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

// A server whose bucket another one takes over does not know that before it writes or looks. Until then it must not take what it knows for all that clients were told.
func TestCatchUpWithSuccessor(t *testing.T) {
	store := memory.New()
	alone := func() *coordinator.Node {
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: coordinator.NewEmbedded(coordinator.EmbeddedOptions{}),
			Info: coordinator.NodeInfo{ID: 1}, Probe: time.Hour})
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
