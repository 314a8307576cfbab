package segments_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// hedging is a hedged store that has one object and has seen enough reads of a millisecond to know
// what is slow.
type hedging struct {
	segments.Store
	faults   *storetest.Faults
	registry *prometheus.Registry
}

const ordinary = time.Millisecond

func newHedging(t *testing.T) hedging {
	t.Helper()
	h := hedging{faults: storetest.NewFaults(memory.New(), nil), registry: prometheus.NewPedanticRegistry()}
	var err error
	if h.Store, err = segments.Hedge(h.faults, h.registry); err != nil {
		t.Fatal(err)
	}
	if err := h.Put(t.Context(), "object", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	h.faults.Script(func(storetest.Request) storetest.Fault { return storetest.Fault{Delay: ordinary} })
	for range 64 {
		h.read(t)
	}
	return h
}

// read reads the object and returns how long that took.
func (h hedging) read(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	if body, err := h.Get(t.Context(), "object", 2, 4); err != nil || string(body) != "2345" {
		t.Errorf("got %q, %v", body, err)
	}
	return time.Since(began)
}

func (h hedging) wantHedges(t *testing.T, first, second int) {
	t.Helper()
	families, err := h.registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "firn_store_hedged_reads_total" {
		t.Fatal(families, err)
	}
	for _, m := range families[0].GetMetric() {
		winner, want := m.GetLabel()[0].GetValue(), first
		if winner == "second" {
			want = second
		}
		if got := int(m.GetCounter().GetValue()); got != want {
			t.Errorf("%s won %d times, not %d", winner, got, want)
		}
	}
}

func TestHedgeConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) segments.Store {
		s, err := segments.Hedge(memory.New(), prometheus.NewPedanticRegistry())
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestHedgeBeatsOneSlowRead has one read hang for a minute: the second beside it answers.
func TestHedgeBeatsOneSlowRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedging(t)
		h.wantHedges(t, 0, 0)
		n := 0
		h.faults.Script(func(storetest.Request) storetest.Fault {
			if n++; n == 1 {
				return storetest.Fault{Delay: time.Minute}
			}
			return storetest.Fault{Delay: ordinary}
		})
		if took := h.read(t); took > 30*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		h.wantHedges(t, 0, 1)
		synctest.Wait() // the slow one was cancelled: a goroutine that is left fails the bubble
	})
}

// TestHedgeLoses has the first read answer after all.
func TestHedgeLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedging(t)
		n := 0
		h.faults.Script(func(storetest.Request) storetest.Fault {
			n++
			return storetest.Fault{Delay: time.Duration(n) * 25 * time.Millisecond}
		})
		if took := h.read(t); took != 25*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		h.wantHedges(t, 1, 0)
	})
}

// TestHedgesAreFew makes every read slow: the store gets a few percent more of them, not twice as
// many.
func TestHedgesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedging(t)
		before := h.faults.Requests()
		h.faults.Script(func(storetest.Request) storetest.Fault { return storetest.Fault{Delay: time.Second} })
		const reads = 1000
		for range reads {
			h.read(t)
		}
		if extra := h.faults.Requests() - before - reads; extra < 1 || extra > reads*5/100 {
			t.Errorf("%d reads more than %d", extra, reads)
		}
	})
}

// TestHedgeNeedsExperience has a store that nobody has read from yet: nothing is slow.
func TestHedgeNeedsExperience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := storetest.NewFaults(memory.New(), nil)
		s, err := segments.Hedge(faults, prometheus.NewPedanticRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), "object", []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		faults.Script(func(storetest.Request) storetest.Fault { return storetest.Fault{Delay: time.Second} })
		if _, err := s.Get(t.Context(), "object", 0, -1); err != nil || faults.Requests() != 2 {
			t.Error(err, faults.Requests(), "requests")
		}
	})
}

// TestHedgeOfFailures has the slow read fail while the second is under way, both fail, and an
// object that is not there.
func TestHedgeOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedging(t)
		n := 0
		h.faults.Script(func(storetest.Request) storetest.Fault {
			if n++; n == 1 {
				return storetest.Fault{Delay: 30 * time.Millisecond, Before: storetest.ErrInjected}
			}
			return storetest.Fault{Delay: 30 * time.Millisecond}
		})
		if took := h.read(t); took != 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		h.faults.Script(func(storetest.Request) storetest.Fault {
			return storetest.Fault{Delay: 100 * time.Millisecond, Before: storetest.ErrInjected}
		})
		if _, err := h.Get(t.Context(), "object", 2, 4); !errors.Is(err, storetest.ErrInjected) {
			t.Error(err)
		}
		h.faults.Script(func(storetest.Request) storetest.Fault { return storetest.Fault{Delay: 100 * time.Millisecond} })
		began := time.Now()
		if _, err := h.Get(t.Context(), "nothing", 2, 4); !errors.Is(err, segments.ErrNotFound) ||
			time.Since(began) != 100*time.Millisecond {
			t.Error(err, time.Since(began))
		}
	})
}

// TestHedgeEndsWithItsContext has nobody answer.
func TestHedgeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHedging(t)
		h.faults.Script(func(storetest.Request) storetest.Fault { return storetest.Fault{Delay: time.Hour} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.Get(ctx, "object", 2, 4); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
