package index

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/retry"
)

// pace lets readers of history take what the tail leaves of the processors. While somebody reads or
// writes at the tail, gets of old blocks go at a rate, which falls while the processors are late
// and rises while they are not. With nobody at the tail nothing waits.
//
// How late the processors are is seen from the waits themselves: a get waits in short sleeps, one
// get after the other, and a goroutine that wakes late has waited for a thread, or its thread for a
// processor, as the goroutines of the tail do at that moment.
type pace struct {
	least float64
	began time.Time
	tail  atomic.Int64  // when somebody was last at the tail, in nanoseconds since began; 0: never
	rate  atomic.Uint64 // bytes per second, as math.Float64bits
	waits prometheus.Counter
	sleep func(context.Context, time.Duration)

	turn chan struct{} // guards the rest
	owed float64       // bytes that were taken and not paid for by waiting; negative: saved
	at   time.Time     // when owed was right
	from time.Time     // when the last sleep began
}

const (
	// leastPace is what history gets in any case, for each processor: it takes about a thirtieth of a
	// processor's time.
	leastPace = 32 << 20
	mostPace  = 64 << 30
	// paceTick is how long a get sleeps at a time. Each paceAsk one sleeps though nothing is owed, to
	// see how late the processors are: by more than paceLate, since timers alone are late by up to a
	// millisecond. The rate stays where it is while one sleep of 23 is late.
	paceTick = 2 * time.Millisecond
	paceAsk  = 20 * time.Millisecond
	paceLate = 1500 * time.Microsecond
	paceDown = 0.8
	paceUp   = 1.01
	// paceSaved is how much may be read at once after a pause: what the rate gives in so long.
	paceSaved = 10 * time.Millisecond
	// tailQuiet is how long after it was last read or written the tail counts as in use.
	tailQuiet = 10 * time.Second
)

func newPace(waits prometheus.Counter) *pace {
	p := &pace{waits: waits, least: leastPace * float64(runtime.GOMAXPROCS(0)), began: time.Now(),
		turn: make(chan struct{}, 1), sleep: func(ctx context.Context, d time.Duration) { _ = retry.Pause(ctx, d) }}
	p.setRate(p.least)
	return p
}

// atTail says that somebody reads or writes at the tail.
func (p *pace) atTail() { p.tail.Store(int64(max(time.Since(p.began), 1))) }

// tailInUse says whether somebody has been at the tail lately.
func (p *pace) tailInUse(now time.Time) bool {
	at := p.tail.Load()
	return at != 0 && now.Sub(p.began)-time.Duration(at) < tailQuiet
}

// wait waits until n bytes of history may be read, or ctx ends.
func (p *pace) wait(ctx context.Context, n int64) {
	began := time.Now()
	if !p.tailInUse(began) {
		return
	}
	defer func() { p.waits.Add(time.Since(began).Seconds()) }()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return
	}
	now := time.Now()
	for (p.pay(now) > 0 || now.Sub(p.from) > paceAsk) && p.tailInUse(now) && ctx.Err() == nil {
		p.from = now
		p.sleep(ctx, paceTick)
		now = time.Now()
		p.judge(now.Sub(p.from) - paceTick)
	}
	p.owed += float64(n)
}

// pay returns how much is still owed.
func (p *pace) pay(now time.Time) float64 {
	rate := p.perSecond()
	p.owed = max(p.owed-now.Sub(p.at).Seconds()*rate, -paceSaved.Seconds()*rate)
	p.at = now
	return p.owed
}

// judge changes the rate after a sleep that was late by so much.
func (p *pace) judge(late time.Duration) {
	if late > paceLate {
		p.setRate(max(p.perSecond()*paceDown, p.least))
	} else {
		p.setRate(min(p.perSecond()*paceUp, mostPace))
	}
}

func (p *pace) perSecond() float64 { return math.Float64frombits(p.rate.Load()) }

func (p *pace) setRate(bytesPerSecond float64) { p.rate.Store(math.Float64bits(bytesPerSecond)) }
