package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errKilled is what goes on within a process that was killed gets. Nobody outside ever sees it.
var errKilled = errors.New("the process was killed")

// process is one life of a program: a node, a function, a reader. Whatever it does that can be seen
// elsewhere passes through call, which stands still while the process is frozen, and leads nowhere
// when it was killed.
type process struct {
	w    *world
	name string // of the program: what happens to its calls depends on it
	died chan struct{}
	ctx  context.Context // ends when it dies

	mu   sync.Mutex
	thaw chan struct{} // closed when the process goes on; nil: it does
}

func (w *world) newProcess(name string) *process {
	p := &process{w: w, name: name, died: make(chan struct{})}
	var cancel context.CancelCauseFunc
	p.ctx, cancel = context.WithCancelCause(w.ctx)
	w.tasks.Go(func() {
		select {
		case <-p.died:
		case <-w.ctx.Done():
		}
		cancel(errKilled)
	})
	return p
}

// kill ends the process. Nothing that it does afterwards can be seen.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead() {
		close(p.died)
	}
}

func (p *process) dead() bool { return closed(p.died) }

// freeze stops the process for d.
func (p *process) freeze(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thaw != nil {
		return
	}
	thaw := make(chan struct{})
	p.thaw = thaw
	p.w.tasks.Go(func() {
		p.w.sleep(d, p.died)
		p.mu.Lock()
		p.thaw = nil
		p.mu.Unlock()
		close(thaw)
	})
}

// gate is what everything passes that comes out of the process, or into it.
func (p *process) gate() error {
	for {
		p.mu.Lock()
		thaw := p.thaw
		p.mu.Unlock()
		if thaw == nil || p.dead() {
			break
		}
		select {
		case <-thaw:
		case <-p.died:
		}
	}
	if p.dead() {
		return errKilled
	}
	return nil
}

// sleep waits for d, until the trouble is over, or until one of the channels is closed. It says
// whether the whole time has passed.
func (w *world) sleep(d time.Duration, until <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-until:
	case <-w.calm:
	}
	return false
}

// number counts the calls of one name that a program has made.
func (w *world) number(program, name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	key := program + " " + name
	w.numbers[key]++
	return w.numbers[key]
}

// fate is what happens to one call.
type fate struct {
	fault       Fault
	there, back time.Duration // that request and answer take
	late        time.Duration // that a late or repeated request takes
	second      bool          // of two answers, the caller gets the second
	expires     bool          // the caller sees its deadline before the answer, if it was frozen until then
}

// rarity is how much more often than others a call suffers that is not made often, and on which
// much depends.
func rarity(name string) float64 {
	switch name {
	case "Open":
		return 10
	case "Propose", "Settled", "Delete", "Create", "Commit upload":
		return 3
	case "Nodes", "Register", "Get":
		return 0.5
	}
	return 1
}

// draw decides what happens to a call.
func (w *world) draw(program, name string) fate {
	n := w.number(program, name)
	call := fmt.Sprint(program, " ", name, " ", n)
	d := dice{w.plan.Seed, call}
	f := fate{
		there:   d.between("there", 50*time.Microsecond, 3*time.Millisecond),
		back:    d.between("back", 50*time.Microsecond, 3*time.Millisecond),
		expires: d.chance("expires", 0.5),
	}
	if w.isCalm() || !w.troubled() {
		return f
	}
	if w.plan.Exact != nil {
		f.fault = w.plan.Exact[call]
	} else if chance := d.float("fault") / rarity(name) * max(1, 2*w.rates*rarity(name)); chance < w.rates {
		// half of the calls of a name get through
		for _, kind := range faults {
			if chance -= w.plan.Rates[kind]; chance < 0 {
				f.fault = kind
				break
			}
		}
	}
	switch f.fault {
	case LateRequest, Repeated:
		f.late = d.between("late", time.Millisecond, 2*time.Second)
		if d.chance("later", 0.3) {
			f.late = d.between("late", 2*time.Second, 2*time.Second+w.plan.Length)
		}
		f.second = d.chance("second", 0.5)
	case Slow:
		f.there = d.between("slow", time.Millisecond, 10*time.Second)
		if d.chance("on the way back", 0.5) {
			f.there, f.back = f.back, f.there
		}
	}
	if f.fault != None {
		w.happened(call, f.fault)
	}
	return f
}
