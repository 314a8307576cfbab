package coordinator_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"firn/coordinator"
	"firn/segments"
	"firn/segments/memory"
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
