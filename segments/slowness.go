package segments

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Slowness knows when a request has taken longer than nearly all recent ones of its size, and
// whether a second one may be sent beside it. Second ones are kept rare: a store that has become
// slow for everybody must not get twice the load for it. Its methods are safe for concurrent use.
type Slowness struct {
	SlownessOptions
	mu     sync.Mutex
	hedged func()
	credit float64
	sizes  [32]latencies // each twice the size before; the last is for reads to the end of an object
}

// SlownessEnough is how many requests of a size there must have been before one is called slow, and
// SlownessEvery after how many the rest are looked at again.
const (
	SlownessEnough = 32
	SlownessEvery  = 16

	slownessKept = 128 // latencies of a size
)

// SlownessOptions say what is slow, and how many second requests there may be.
type SlownessOptions struct {
	Percentile int           // a request that takes longer than so many percent of the recent ones is slow,
	Floor      time.Duration // if it takes longer than this
	Share      float64       // of all requests may be hedged
	Most       float64       // may be hedged at once
}

// SlowPuts are the options for puts. On a bad day of S3 two of a hundred are slow, so that the
// slowest of a hundred say nothing.
var SlowPuts = SlownessOptions{Percentile: 95, Floor: 50 * time.Millisecond, Share: 0.1, Most: 4}

// NewSlowness returns a Slowness that has seen no request.
func NewSlowness(opts SlownessOptions) *Slowness {
	return &Slowness{SlownessOptions: opts, credit: 1}
}

// latencies is how long the latest requests of a size took.
type latencies struct {
	times   [slownessKept]time.Duration
	n       int // added so far
	usually time.Duration
}

// class is the index in sizes.
func (s *Slowness) class(size int64) int {
	last := len(s.sizes) - 1
	if size < 0 {
		return last
	}
	return min(bits.Len64(uint64(size)), last-1)
}

// Add notes how long a request took. A negative size stands for one that nobody knows before.
func (s *Slowness) Add(size int64, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.sizes[s.class(size)]
	l.times[l.n%slownessKept] = took
	l.n++
	if l.n%SlownessEvery == 0 {
		sorted := l.times
		known := sorted[:min(l.n, slownessKept)]
		slices.Sort(known)
		l.usually = known[len(known)*s.Percentile/100]
	}
}

// Begin is called once for each request. It returns how long that may take before it is slow; 0
// while too little is known. Of a size that is rare, larger ones tell.
func (s *Slowness) Begin(size int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit = min(s.credit+s.Share, s.Most)
	own, unknown := s.class(size), len(s.sizes)-1
	for c := own; c < unknown || c == own; c++ {
		if l := &s.sizes[c]; l.n >= SlownessEnough {
			return max(l.usually, s.Floor)
		}
	}
	return 0
}

// mayHedge says whether a second request may be sent beside a slow one, and counts it.
func (s *Slowness) mayHedge() bool {
	s.mu.Lock()
	may, hedged := s.credit >= 1, s.hedged
	if may {
		s.credit--
	}
	s.mu.Unlock()
	if may && hedged != nil {
		hedged()
	}
	return may
}

// OnHedge has a function called for each second request that is sent.
func (s *Slowness) OnHedge(hedged func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hedged = hedged
}

// Twice makes a request of a size, and makes it again beside the first if that has become slow and
// a second one may be sent: then it calls again before. It returns the first answer that is nil or
// final, or the last one. The context of an attempt that it does not wait for has ended.
func (s *Slowness) Twice(ctx context.Context, size int64, attempt func(context.Context) <-chan error,
	final func(error) bool, again func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var hedge <-chan time.Time
	if slow := s.Begin(size); slow > 0 {
		timer := time.NewTimer(slow)
		defer timer.Stop()
		hedge = timer.C
	}
	begun := time.Now()
	first, second := attempt(ctx), (<-chan error)(nil)
	for {
		var err error
		select {
		case err = <-first:
			first = nil
		case err = <-second:
			second = nil
		case <-hedge:
			hedge = nil
			if s.mayHedge() {
				again()
				second = attempt(ctx)
			}
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		switch {
		case err == nil:
			// If the second was faster then the first would have taken longer still: were it left out,
			// ever faster requests would be called slow.
			s.Add(size, time.Since(begun))
			return nil
		case final(err), first == nil && second == nil:
			return err
		}
	}
}
