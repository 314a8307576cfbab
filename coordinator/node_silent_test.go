package coordinator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// tidy is what the snapshotter does behind a snapshot.
func (w *writer) tidy(in Incarnation) {
	w.t.Helper()
	t := tidier{loader: loader{w.store, 1}, in: in, retention: 24 * time.Hour}
	untidy, err := t.look(w.t.Context())
	w.must(err)
	w.must(w.store.Delete(w.t.Context(), append(untidy.keys, untidy.seals...)...))
	_, err = t.sealSilent(w.t.Context(), untidy.silent, map[string]bool{"alive": true}, "test")
	w.must(err)
}

// another is a life that goes on in the same incarnation.
func (w *writer) another(life string) *writer {
	c := &chain{store: w.store, life: life, generation: w.chain.generation, clock: time.Now, shared: true}
	if _, err := c.begin(w.t.Context(), ""); err != nil {
		w.t.Fatal(err)
	}
	return &writer{w.t, w.store, c, 100}
}

// A life that is over leaves nothing behind: its chain is sealed when it has been silent for long,
// without a recovery. A life that was only frozen finds that out when it comes back, however late,
// and what it writes then does not count.
func TestSilentChainsAreSealed(t *testing.T) {
	for name, test := range map[string]struct {
		asleep time.Duration
		seal   bool // is still there
	}{"while the seal is there": {3 * time.Hour, true}, "when the seal is gone": {60 * time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := memory.New()
				w := newWriter(t, bucket)
				w.chain.shared = true
				w.must(w.write())
				alive := w.another("alive")
				for slept := time.Duration(0); slept < test.asleep; slept += time.Hour {
					time.Sleep(time.Hour)
					late := w.another("life-" + slept.String())
					late.chain.proved = time.Now()
					alive.snapshot()
					alive.tidy(w.chain.generation.Incarnation)
				}
				_, err := bucket.Get(t.Context(), journalKey("life", 2), 0, -1)
				if there := err == nil; there != test.seal {
					t.Fatalf("the seal: %v", err)
				}
				if err := w.write(); !errors.Is(err, ErrFenced) {
					t.Errorf("a life whose chain was sealed writes on: %v", err)
				}
				state, err := Load(t.Context(), bucket)
				w.must(err)
				if got := state.partitions[simPartition(0)].end; got != 1 {
					t.Errorf("the bucket has records up to %d, acknowledged was 1", got)
				}
				alive.chain.proved = time.Now()
				if _, err := bucket.Get(t.Context(), journalKey("alive", 1), 0, -1); !errors.Is(err, segments.ErrNotFound) {
					t.Errorf("a chain was sealed whose life is known to go on: %v", err)
				}
			})
		})
	}
}

// A direct writer is not known to live on, so its chain may be sealed, and the seal be deleted,
// while it is frozen. It does not go on with a chain that has been silent, long before that can be.
func TestGuestGivesUpASilentChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter(t, memory.New())
		w.chain.silence = guestSilence
		w.must(w.write())
		time.Sleep(guestSilence - time.Second)
		w.must(w.write())
		time.Sleep(guestSilence)
		if err := w.write(); !errors.Is(err, ErrFenced) {
			t.Errorf("a chain that was silent for %s is gone on with: %v", guestSilence, err)
		}
	})
}

// A fact is journaled in a life of the incarnation that decided it, or not at all: a chain says for
// all of its facts in which one they were decided.
func TestSettleOfAnotherIncarnation(t *testing.T) {
	for in := Incarnation(1); in <= 3; in++ {
		entry := Entry{Seq: 1, Fact: &Fact{Incarnation: in, ProducerIDs: &ProducerIDs{End: 1}}}
		if _, err := newSettlement(2, []Entry{entry}); errors.Is(err, ErrIncarnation) != (in != 2) {
			t.Errorf("a fact of incarnation %d, to be settled in 2: %v", in, err)
		}
	}
}

// What was decided and is not in the journal yet may need a segment that nothing in the bucket
// refers to. A collector judges when it is there.
func TestCollectorWaitsForTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := Join(t.Context(), NodeOptions{Store: memory.New(), Coordinator: NewEmbedded(EmbeddedOptions{})})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := n.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		create := Change{CreateTopic: &CreateTopic{ID: mergeAt.Topic, Name: "a", Partitions: 1}}
		if _, err := n.Change(t.Context(), create); err != nil {
			t.Fatal(err)
		}
		life, err := n.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answer, err := life.Commit(t.Context(), CommitRequest{Segment: segments.NewID(time.Now()), Runs: []CommitRun{
			{Partition: mergeAt, Position: 32, Batches: []CommitBatch{{Length: 100, Records: 10, ProducerID: -1}}}}})
		if err != nil {
			t.Fatal(err)
		}
		judged := make(chan error, 1)
		go func() {
			_, err := n.Unreferenced(t.Context(), time.Minute)
			judged <- err
		}()
		time.Sleep(time.Minute)
		select {
		case err := <-judged:
			t.Errorf("judged while a commit is not journaled: %v", err)
			judged <- nil
		default:
		}
		if err := errors.Join(life.Settle(t.Context(), answer.Entry), <-judged); err != nil {
			t.Error(err)
		}
	})
}
