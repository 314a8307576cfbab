package ingest

import (
	"math/bits"
	"slices"
	"sync"
	"time"
)

const (
	hedgeFloor  = 50 * time.Millisecond // a put faster than this is never hedged
	hedgeShare  = 0.02                  // of all puts may be hedged,
	hedgeCredit = 2.0                   // and so many at once

	latencySamples = 128 // remembered for each class of sizes
	latencyEnough  = 32  // before these nothing is called slow
	latencyEvery   = 16  // samples between two looks at the whole
)

// latencies remembers how long recent puts took, apart for objects of different sizes (each class is four times the one before).
type latencies struct {
	mu      sync.Mutex
	classes [16]latencyClass
}

type latencyClass struct {
	samples [latencySamples]time.Duration
	n       int // added so far
	p99     time.Duration
}

func class(size int) int { return bits.Len32(uint32(size)) / 2 % 16 }

func (l *latencies) add(size int, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.classes[class(size)]
	c.samples[c.n%latencySamples] = took
	c.n++
	if c.n%latencyEvery == 0 {
		c.look()
	}
}

// look finds p99 anew.
func (c *latencyClass) look() {
	sorted := c.samples
	known := sorted[:min(c.n, latencySamples)]
	slices.Sort(known)
	c.p99 = known[len(known)*99/100]
}

// threshold is how long a put of this size may take before it is slow; 0 while too little is known.
func (l *latencies) threshold(size int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.classes[class(size)]
	if c.n < latencyEnough {
		return 0
	}
	return max(c.p99, hedgeFloor)
}

// after returns a channel that fires when a put of this size is slow, never if that is not known, and a function that lets go of it.
func (l *latencies) after(size int) (<-chan time.Time, func()) {
	d := l.threshold(size)
	if d == 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// hedges keeps second attempts rare: a store that is slow for everybody must not get twice the load for it.
type hedges struct {
	mu     sync.Mutex
	credit float64
}

func (h *hedges) earn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.credit = min(h.credit+hedgeShare, hedgeCredit)
}

func (h *hedges) spend() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.credit < 1 {
		return false
	}
	h.credit--
	return true
}
