package embedded_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

func TestEmbedded(t *testing.T) {
	open := func(t *testing.T) coordinatortest.Subject { return subject(5 * time.Minute) }
	coordinatortest.Run(t, open)
	t.Run("Offsets", func(t *testing.T) { coordinatortest.RunOffsets(t, open) })
	t.Run("Merges", func(t *testing.T) { coordinatortest.RunMerges(t, open) })
	t.Run("Keys", func(t *testing.T) { coordinatortest.RunKeys(t, open) })
	t.Run("Transactions", func(t *testing.T) { coordinatortest.RunTransactions(t, open) })
	t.Run("Atomic", func(t *testing.T) { coordinatortest.RunAtomic(t, open) })
	t.Run("KeyExpiration", func(t *testing.T) {
		coordinatortest.RunKeyExpiration(t, subject(2*coordinator.KeyExpiration), coordinator.KeyExpiration)
	})
	t.Run("Forgotten", func(t *testing.T) {
		coordinatortest.RunForgotten(t, func(t *testing.T) (coordinatortest.Subject, func() coordinator.Coordinator) {
			s := subject(time.Minute)
			return s, func() coordinator.Coordinator {
				s.Advance(-coordinatortest.RunAhead(s.Deadline))
				return s.Coordinator
			}
		})
	})
}

// subject is one whose clock can be moved.
func subject(deadline time.Duration) coordinatortest.Subject {
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return coordinatortest.Subject{
		Coordinator: embedded.New(embedded.Options{Clock: clock, CommitDeadline: deadline}),
		Advance:     func(d time.Duration) { ahead.Add(int64(d)) },
		Deadline:    deadline,
	}
}

// opened returns an embedded coordinator on an empty bucket, and its topic of one partition.
func opened(t testing.TB, opts embedded.Options) (*embedded.Coordinator, segments.Partition) {
	t.Helper()
	e := embedded.New(opts)
	state, err := coordinator.Recover(t.Context(), memory.New(), coordinator.RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	id := segments.NewTopicID()
	entry, err := e.Propose(t.Context(), 1, coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: "a",
		Partitions: 12}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Confirm(t.Context(), 1, []uint64{entry.Seq}); err != nil {
		t.Fatal(err)
	}
	return e, segments.Partition{Topic: id}
}

// The stream is bounded, but keeps everything from the oldest unconfirmed fact on.
func TestStreamIsTrimmed(t *testing.T) {
	const retain = 64
	e, at := opened(t, embedded.Options{Retain: retain})
	var first, last uint64
	commit := func() uint64 {
		answer, err := e.Commit(t.Context(), 1, coordinator.CommitRequest{Segment: segments.NewID(time.Now()),
			Runs: []coordinator.CommitRun{{Partition: at, Position: 100,
				Batches: []coordinator.CommitBatch{{Length: 61, Records: 1, MaxTimestamp: 5, ProducerID: -1}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Entry.Seq
	}
	confirm := func(seq uint64) {
		if err := e.Confirm(t.Context(), 1, []uint64{seq}); err != nil {
			t.Fatal(err)
		}
	}
	first = commit()
	for range 10 * retain {
		last = commit()
		confirm(last)
	}
	// follow returns the number of the first entry after a number, or an error.
	follow := func(after uint64) (uint64, error) {
		for entry, err := range e.Follow(t.Context(), 1, after) {
			return entry.Seq, err
		}
		return 0, nil
	}
	if got, err := follow(first - 1); err != nil || got != first {
		t.Errorf("an unconfirmed fact is not kept: %d, %v", got, err)
	}
	confirm(first)
	for range 4 * retain {
		last = commit()
		confirm(last)
	}
	if _, err := follow(first - 1); !errors.Is(err, coordinator.ErrTrimmed) {
		t.Errorf("a confirmed one is kept for ever: %v", err)
	}
	if got, err := follow(last - retain/2); err != nil || got != last-retain/2+1 {
		t.Errorf("the newest are not kept: %d, %v", got, err)
	}
}
