package coordinator

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firn/segments"
	"firn/segments/memory"
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

// A life that is over leaves nothing behind: its chain is sealed when it has been silent for long, without a recovery. One that was only frozen finds that out when it comes
// back, however late, and what it writes then counts for nobody.
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
