package segments

import (
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Slowness knows when a request has taken longer than nearly all recent ones of its size, and
// whether a second one may be sent beside it. Second ones are kept rare: a store that has become
// slow for everybody must not get twice the load for it. Its methods are safe for concurrent use.
type Slowness struct {
	floor  time.Duration // a request faster than this is never slow
	share  float64       // of all requests may be hedged,
	most   float64       // and so many at once
	mu     sync.Mutex
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

// NewSlowness returns a Slowness that lets a share of all requests be hedged, and most at once.
func NewSlowness(floor time.Duration, share, most float64) *Slowness {
	return &Slowness{floor: floor, share: share, most: most, credit: 1}
}

// latencies is how long the latest requests of a size took.
type latencies struct {
	times [slownessKept]time.Duration
	n     int // added so far
	p99   time.Duration
}

func (s *Slowness) of(size int64) *latencies {
	last := len(s.sizes) - 1
	if size < 0 {
		return &s.sizes[last]
	}
	return &s.sizes[min(bits.Len64(uint64(size)), last-1)]
}

// Add notes how long a request took. A negative size stands for one that nobody knows before.
func (s *Slowness) Add(size int64, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.of(size)
	l.times[l.n%slownessKept] = took
	l.n++
	if l.n%SlownessEvery == 0 {
		sorted := l.times
		known := sorted[:min(l.n, slownessKept)]
		slices.Sort(known)
		l.p99 = known[len(known)*99/100]
	}
}

// Begin is called once for each request. It returns how long that may take before it is slow; 0
// while too little is known.
func (s *Slowness) Begin(size int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit = min(s.credit+s.share, s.most)
	l := s.of(size)
	if l.n < SlownessEnough {
		return 0
	}
	return max(l.p99, s.floor)
}

// Hedge says whether a second request may be sent beside a slow one, and counts it.
func (s *Slowness) Hedge() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credit < 1 {
		return false
	}
	s.credit--
	return true
}
