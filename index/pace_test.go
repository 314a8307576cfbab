package index

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// newLatePace is a pace on processors that are late by what late says whenever somebody sleeps.
func newLatePace(late func() time.Duration) *pace {
	p := newPace(prometheus.NewCounter(prometheus.CounterOpts{}))
	p.sleep = func(_ context.Context, d time.Duration) { time.Sleep(d + late()) }
	return p
}

// read has history read for some seconds in pieces, one after the other, while the tail is in use,
// and returns how many bytes were read in each second.
func (p *pace) read(t *testing.T, seconds int) float64 {
	const pieceBytes = 1 << 20
	began, n := time.Now(), 0
	for time.Since(began) < time.Duration(seconds)*time.Second {
		p.atTail()
		p.wait(t.Context(), pieceBytes)
		time.Sleep(time.Millisecond) // a get
		n += pieceBytes
	}
	return float64(n) / time.Since(began).Seconds()
}

// TestPace: history gets the least that it is promised while the processors are late, as much as it
// can take while they are not, and waits for nothing when nobody is at the tail any more.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := time.Duration(0)
		p := newLatePace(func() time.Duration { return late })
		free := p.read(t, 10)
		if free < 4*p.least {
			t.Errorf("%.0f bytes a second on idle processors, where the least is %.0f", free, p.least)
		}
		late = 2 * paceLate
		p.read(t, 10)
		if busy := p.read(t, 10); busy < 0.9*p.least || busy > 1.1*p.least {
			t.Errorf("%.0f bytes a second on busy processors, where the least is %.0f", busy, p.least)
		}
		if p.perSecond() != p.least {
			t.Errorf("the rate is %.0f", p.perSecond())
		}
		late = 0
		if again := p.read(t, 20); again < free/2 {
			t.Errorf("%.0f bytes a second once processors are idle again, after %.0f", again, free)
		}

		time.Sleep(tailQuiet)
		p.sleep = func(context.Context, time.Duration) { t.Error("a get waits for nobody") }
		for range 100 {
			p.wait(t.Context(), math.MaxInt64)
		}
	})
}

// TestPaceLetsGo: a get stops waiting when its context ends, and when the tail falls silent.
func TestPaceLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLatePace(func() time.Duration { return 0 })
		p.atTail()
		p.wait(t.Context(), math.MaxInt32<<20) // for the next to wait for
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{}, 2)
		for range 2 { // one has the turn, and one waits for it
			go func() { p.wait(ctx, 1); ended <- struct{}{} }()
		}
		synctest.Wait()
		cancel()
		<-ended
		<-ended
		silent := time.Now().Add(tailQuiet)
		p.wait(t.Context(), 1)
		if over := time.Since(silent); over > 2*paceTick {
			t.Errorf("a get waits %v for a tail that is not in use", over)
		}
	})
}
