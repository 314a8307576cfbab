package cleanup_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// scene writes what gives several merges, lets them become ripe, and cleans with a store and a
// change of the options, until it is all done.
func (w *world) scene(store segments.Store) {
	for range 40 {
		w.write(2000, 0, 1)
		time.Sleep(time.Second)
	}
	time.Sleep(3 * time.Minute)
	c := w.clean(func(o *cleanup.Options) {
		o.Store, o.TargetBytes = store, 256*kib
	})
	time.Sleep(3 * time.Minute)
	w.same()
	w.stop(c)
	w.same()
}

// tidyUp has an untroubled Cleaner do the rest, and wants nothing left over.
func (w *world) tidyUp() {
	w.t.Helper()
	c := w.clean(func(o *cleanup.Options) { o.TargetBytes = 256 * kib })
	time.Sleep(40 * time.Minute)
	w.write(1, 0) // the store's clock is told by objects
	time.Sleep(5 * time.Minute)
	w.stop(c)
	w.same()
	w.audit(0)
	for i := range int32(2) {
		if n := len(w.spans(i)); n > 12 {
			w.t.Errorf("partition %d is %d spans", i, n)
		}
	}
}

var everyFault = flag.Bool("cleanup.every", false, "have TestEveryStepFails try each kind of fault at each step; "+
	"otherwise they take turns")

// A Cleaner that fails at any step, once or from then on as if it had died, leaves the old or the
// new, both whole; another one does the rest, and nothing leaks.
func TestEveryStepFails(t *testing.T) {
	steps := 0
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 2, nil)
		defer w.close()
		faults := storetest.NewFaults(w.store, nil)
		w.scene(faults)
		if steps = faults.Requests(); len(w.spans(0)) > 10 {
			t.Errorf("%d spans are left", len(w.spans(0)))
		}
	})
	t.Logf("%d steps", steps)
	lost := storetest.Fault{After: storetest.ErrInjected}
	refused := storetest.Fault{Before: storetest.ErrInjected}
	kinds := []struct {
		name string
		at   func(step int) func(storetest.Request) storetest.Fault
	}{
		{"refused", func(step int) func(storetest.Request) storetest.Fault {
			return storetest.Once(func(r storetest.Request) bool { return r.N == step }, refused)
		}},
		{"reply lost", func(step int) func(storetest.Request) storetest.Fault {
			return storetest.Once(func(r storetest.Request) bool { return r.N == step }, lost)
		}},
		{"dies", func(step int) func(storetest.Request) storetest.Fault {
			return func(r storetest.Request) storetest.Fault {
				if r.N >= step {
					return refused
				}
				return storetest.Fault{}
			}
		}},
		{"dies after", func(step int) func(storetest.Request) storetest.Fault {
			return func(r storetest.Request) storetest.Fault {
				switch {
				case r.N == step:
					return lost
				case r.N > step:
					return refused
				}
				return storetest.Fault{}
			}
		}},
	}
	for turn, kind := range kinds {
		for step := range steps {
			if !*everyFault && step%len(kinds) != turn {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", kind.name, step), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, memory.New(), 2, nil)
					defer w.close()
					w.scene(storetest.NewFaults(w.store, kind.at(step)))
					w.tidyUp()
				})
			})
		}
	}
}

// flaky is a coordinator that fails by a script.
type flaky struct {
	coordinator.Coordinator
	proposed func(coordinator.Change) error // after a proposal was decided
	acquire  func(name string) error        // instead of an acquisition
}

func (f *flaky) Propose(ctx context.Context, in coordinator.Incarnation,
	c coordinator.Change) (coordinator.Entry, error) {
	e, err := f.Coordinator.Propose(ctx, in, c)
	if err == nil && f.proposed != nil {
		err = f.proposed(c)
	}
	return e, err
}

func (f *flaky) Acquire(ctx context.Context, in coordinator.Incarnation, name, holder string,
	ttl time.Duration) (coordinator.Lease, error) {
	if f.acquire != nil {
		if err := f.acquire(name); err != nil {
			return coordinator.Lease{}, err
		}
	}
	return f.Coordinator.Acquire(ctx, in, name, holder, ttl)
}

// A merge whose decision's reply was lost is decided once.
func TestReplyOfMergeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost, merges atomic.Int32
		w := newWorldWith(t, memory.New(), 2, nil, &flaky{Coordinator: inMemory(),
			proposed: func(c coordinator.Change) error {
				if c.Merge == nil {
					return nil
				}
				if merges.Add(1); lost.Add(1)%3 > 0 {
					return coordinator.ErrUnavailable
				}
				return nil
			}})
		defer w.close()
		w.scene(w.store)
		if merges.Load() < 6 {
			t.Errorf("only %d merges were proposed", merges.Load())
		}
		w.tidyUp()
	})
}

// A merge whose lease is lost under it is given up, and leaves no object behind.
func TestLeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Bool
		w := newWorldWith(t, memory.New(), 2, nil, &flaky{Coordinator: inMemory(), acquire: func(name string) error {
			if held.Load() && strings.HasPrefix(name, "cleanup/") {
				return coordinator.ErrLeaseHeld
			}
			return nil
		}})
		defer w.close()
		release := make(chan struct{})
		writing := make(chan struct{}, 100)
		faults := storetest.NewFaults(w.store, func(r storetest.Request) storetest.Fault {
			if r.Op == storetest.Commit {
				writing <- struct{}{}
				return storetest.Fault{Hold: release}
			}
			return storetest.Fault{}
		})
		for range 40 {
			w.write(2000, 0, 1)
			time.Sleep(time.Second)
		}
		time.Sleep(3 * time.Minute)
		c := w.clean(func(o *cleanup.Options) { o.Store, o.TargetBytes = faults, 256*kib })
		<-writing
		held.Store(true)
		time.Sleep(time.Minute)
		close(release)
		time.Sleep(time.Minute)
		if n := len(w.spans(0)) + len(w.spans(1)); n != 80 {
			t.Errorf("%d spans are left of 80: merges were decided without a lease", n)
		}
		w.audit(0)
		held.Store(false)
		time.Sleep(10 * time.Minute)
		w.stop(c)
		w.same()
		w.tidyUp()
	})
}

// Close in the middle of a merge leaves nothing behind.
func TestCloseInAMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 1, nil)
		defer w.close()
		for range 40 {
			w.write(2000, 0)
		}
		time.Sleep(3 * time.Minute)
		reading := make(chan struct{}, 100)
		faults := storetest.NewFaults(w.store, func(r storetest.Request) storetest.Fault {
			if r.Op == storetest.Get {
				reading <- struct{}{}
				return storetest.Fault{Hold: make(chan struct{})}
			}
			return storetest.Fault{}
		})
		c := w.clean(func(o *cleanup.Options) { o.Store, o.TargetBytes = faults, 256*kib })
		<-reading
		w.stop(c)
		w.same()
		w.audit(0)
		life, err := w.node.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.coord.Acquire(t.Context(), life.Incarnation(), cleanup.LeaseOf(w.part(0)), "another",
			time.Minute); err != nil {
			t.Errorf("the lease was not handed back: %v", err)
		}
	})
}
