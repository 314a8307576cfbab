package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
)

// Result is what one simulation came to.
type Result struct {
	Plan      *Plan
	Violation error
	Happened  map[string]Fault // to which call
	Trace     []string

	Calls, Openings, Acknowledged, Served int
	Expired, Compacted                    int // records
	Faults                                map[Fault]int
	Strikes                               map[StrikeKind]int
	Virtual                               time.Duration
}

// Run runs one simulation, in a time of its own.
func Run(t *testing.T, plan *Plan, tracing bool) (r *Result) {
	synctest.Test(t, func(*testing.T) {
		w := newWorld(plan, tracing)
		w.simulate()
		r = &Result{Plan: plan, Violation: w.judge.found(), Happened: w.happens, Trace: w.lines, Calls: w.calls,
			Openings:     w.openings,
			Acknowledged: w.judge.acknowledged, Served: w.judge.served, Expired: w.judge.expired, Compacted: w.judge.compacted,
			Faults: w.counts, Strikes: w.struck, Virtual: time.Since(w.begun)}
	})
	return r
}

// simulate runs a simulation from beginning to end.
func (w *world) simulate() {
	defer w.tasks.Wait()
	defer w.cancel()
	for _, n := range w.nodes {
		w.tasks.Go(n.run)
	}
	if !w.createTopic() {
		return
	}
	idle := w.clients()
	w.strikes()
	w.calmDown()
	if w.judge.found() == nil && w.answered(idle) && w.livesOn() {
		w.finish()
	}
}

// clients starts them all. What it returns is closed when they are done, which is when the trouble
// is over.
func (w *world) clients() (idle <-chan struct{}) {
	var running sync.WaitGroup
	run := func(c *client, life func(c *client)) {
		w.busy.Store(c.name, nil)
		running.Go(func() {
			life(c)
			w.trace("%s is done", c.name)
			w.busy.Delete(c.name)
		})
	}
	start := func(n int, name string, life func(c *client)) {
		for i := range n {
			run(w.newClient(fmt.Sprint(name, i+1)), life)
		}
	}
	if w.plan.Admin {
		w.admin = w.newClient("admin")
		run(w.admin, (*client).administer)
	}
	start(w.plan.Idempotent, "idempotent", (*client).idempotent)
	start(w.plan.Plain, "plain", (*client).plain)
	start(w.plan.Keyed, "keyed", (*client).keyed)
	start(w.plan.Direct, "direct", (*client).function)
	for team := range w.plan.Groups {
		start(2, fmt.Sprint("group", team+1, "-"), func(c *client) { c.member(fmt.Sprint("group", team+1, "-")) })
	}
	start(w.plan.Readers, "reader", (*client).reader)
	for i, n := range w.nodes {
		start(1, fmt.Sprint("consumer", i+1, "-"), func(c *client) { c.consumer(n) })
	}
	done := make(chan struct{})
	w.tasks.Go(func() {
		running.Wait()
		close(done)
	})
	return done
}

// calmDown ends the trouble.
func (w *world) calmDown() {
	w.trace("CALM")
	close(w.calm)
	w.skew.Store(0)
	w.mu.Lock()
	for _, s := range w.apart {
		w.disconnect(s)
	}
	clear(w.apart)
	wrong := maps.Clone(w.clocks)
	w.mu.Unlock()
	for _, n := range w.nodes {
		if wrong[n.name] != 0 {
			w.setClock(n, 0)
		}
	}
}

func (w *world) createTopic() bool {
	c := w.newClient("creator")
	for w.judge.found() == nil {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		i, err := c.node(ctx)
		if err == nil {
			_, err = i.member.Change(ctx, w.plan.createTopic())
		}
		cancel()
		if err == nil || errors.Is(err, coordinator.ErrTopicExists) {
			return true
		}
		if time.Since(w.begun) > time.Hour {
			w.judge.violation("liveness: no topic can be created in an hour: %v", err)
		}
	}
	return false
}

// strikes goes through them all.
func (w *world) strikes() {
	close(w.trouble)
	begun := time.Now()
	for _, s := range w.plan.Strikes {
		if s.Open > 0 {
			w.tasks.Go(func() { w.pounce(s) })
			continue
		}
		if !w.until(begun.Add(s.At)) {
			return
		}
		w.strike(s)
	}
	w.until(begun.Add(w.plan.Length))
}

// pounce does a strike some time after an opening.
func (w *world) pounce(s Strike) {
	select {
	case <-w.opening(s.Open):
	case <-w.calm:
		return
	}
	if w.sleep(s.At, w.judge.over) {
		w.strike(s)
	}
}

// until waits for a moment. It says whether to go on.
func (w *world) until(moment time.Time) bool {
	return w.sleep(max(0, time.Until(moment)), w.judge.over)
}
