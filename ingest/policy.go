package ingest

import (
	"sync"
	"time"
)

// flushCost is what a flush costs in object puts: its segment, and the journal object that carries
// its fact. Flushes that settle together share the latter, so this errs on the side of the smaller
// bill.
const flushCost = 2

// carriedCost is the same for a segment that its journal object carries.
const carriedCost = 1

func (s *segment) cost() float64 {
	if s.carry {
		return carriedCost
	}
	return flushCost
}

// due says when the collection that began at first is to be sealed. Full collections and closing
// writers do not ask.
//
// A write that has the node to itself leaves at once: waiting would be a pure cost to it. Where
// there is company (segments on their way, or several appends in the last flush) it lingers for
// more. A budget without tokens stretches that, up to FlushInterval: the interval is a promise to
// producers, the budget a bill, and the promise wins.
//
// A flush need not wait for the last of its tokens if nothing more is going to come meanwhile. So
// it may borrow as much as the budget earns between a flush and the append that usually follows:
// that debt is paid before anybody waits for it.
//
// While the journal carries a segment, what is small waits for its turn.
func (w *Writer) due(first, now time.Time) time.Time {
	at, cost := first, float64(flushCost)
	if w.mayCarry(w.open) {
		if w.carrying != nil {
			return first.Add(w.opts.FlushInterval)
		}
		cost = carriedCost
	}
	if w.unanswered > 0 || w.crowd > 1 {
		at = at.Add(w.opts.Linger)
	}
	if wait := w.budget.wait(cost, now); wait > w.quiet.usual && now.Add(wait).After(at) {
		at = now.Add(wait)
	}
	if latest := first.Add(w.opts.FlushInterval); at.After(latest) {
		at = latest
	}
	return at
}

// quiet is how long it usually takes after a flush until the next append comes: from producers that
// wait for their answers when those are there, from producers with a beat at the next beat.
type quiet struct {
	usual time.Duration
	since time.Time // of the last flush; zero if something has come since
}

const (
	quietWeight = 8           // of what is known so far, beside one that is new
	quietMost   = time.Second // as much as a budget may be overdrawn
)

func (q *quiet) sealed(now time.Time) { q.since = now }

func (q *quiet) appended() {
	if q.since.IsZero() {
		return
	}
	q.usual += (min(time.Since(q.since), quietMost) - q.usual) / quietWeight
	q.since = time.Time{}
}

// putBudget is a token bucket of object puts. It holds a second's worth, or one flush if that is
// more, and may be overdrawn by as much: puts that cannot wait make later ones wait longer.
//
// Nodes that share a budget each have an equal part of it, whether they need it or not. Together
// they spend more where a part is less than one flush for each interval: a record waits for no
// longer than that.
type putBudget struct {
	perSecond float64    // tokens; 0: there is no budget
	sharing   func() int // how many nodes share it, this one included; nil: nobody does

	mu     sync.Mutex
	tokens float64
	at     time.Time // when tokens was right
}

func newBudget(perSecond float64, sharing func() int) *putBudget {
	b := &putBudget{perSecond: perSecond, sharing: sharing, at: time.Now()}
	b.tokens = b.depth()
	return b
}

// rate is this node's part.
func (b *putBudget) rate() float64 {
	if b.sharing == nil {
		return b.perSecond
	}
	return b.perSecond / float64(max(b.sharing(), 1))
}

// covers says whether a flush in each interval costs no more than this node's part.
func (b *putBudget) covers(cost float64, interval time.Duration) bool {
	return b.perSecond == 0 || b.rate()*interval.Seconds() >= cost
}

func (b *putBudget) depth() float64 { return max(b.rate(), flushCost) }

// wait returns how long it takes until n tokens are there.
func (b *putBudget) wait(n float64, now time.Time) time.Duration {
	if b.perSecond == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	if b.tokens >= n {
		return 0
	}
	// Rounded up, so that whoever waits that long does not find a hair too little.
	return time.Duration((n-b.tokens)/b.rate()*float64(time.Second)) + time.Nanosecond
}

// spend takes n tokens, there or not.
func (b *putBudget) spend(n float64, now time.Time) {
	if b.perSecond == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	b.tokens = max(b.tokens-n, -b.depth())
}

func (b *putBudget) refill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(b.tokens+passed.Seconds()*b.rate(), b.depth())
		b.at = now
	}
}
