package storetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// TestWrappersConform runs the suite against each wrapper: without faults it is nothing but the
// store.
func TestWrappersConform(t *testing.T) {
	t.Run("Faults", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) segments.Store { return storetest.NewFaults(memory.New(), nil) })
	})
	t.Run("Measure", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) segments.Store {
			s, err := segments.Measure(memory.New(), prometheus.NewPedanticRegistry(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
	})
}

func TestLostReply(t *testing.T) {
	isPut := func(r storetest.Request) bool { return r.Op == storetest.Put && strings.HasPrefix(r.Key, "journal/") }
	f := storetest.NewFaults(memory.New(), storetest.Once(isPut, storetest.Fault{After: storetest.ErrInjected}))
	if err := f.Put(t.Context(), "segments/a", nil); err != nil {
		t.Error(err)
	}
	if err := f.Put(t.Context(), "journal/a", nil); !errors.Is(err, storetest.ErrInjected) {
		t.Error(err)
	}
	if err := f.Put(t.Context(), "journal/a", nil); !errors.Is(err, segments.ErrExists) {
		t.Error("the put whose reply was lost was not made:", err)
	}
	if f.Requests() != 3 {
		t.Error(f.Requests(), "requests")
	}
}

func TestFailureBefore(t *testing.T) {
	f := storetest.NewFaults(memory.New(), func(storetest.Request) storetest.Fault {
		return storetest.Fault{Before: storetest.ErrInjected}
	})
	if err := f.Put(t.Context(), "a", nil); !errors.Is(err, storetest.ErrInjected) {
		t.Error(err)
	}
	for _, err := range f.List(t.Context(), "", "") {
		if !errors.Is(err, storetest.ErrInjected) {
			t.Error(err)
		}
	}
	f.Script(nil)
	if _, err := f.Get(t.Context(), "a", 0, -1); !errors.Is(err, segments.ErrNotFound) {
		t.Error("the put that failed before it was made was made:", err)
	}
}

func TestDelayAndHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := storetest.NewFaults(memory.New(), func(r storetest.Request) storetest.Fault {
			return storetest.Fault{Delay: time.Minute, Hold: release}
		})
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- f.Put(t.Context(), "a", nil) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatal("it did not wait:", err)
		default:
		}
		close(release)
		if err := <-done; err != nil || time.Since(start) != time.Hour {
			t.Error(err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Get(ctx, "a", 0, -1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
