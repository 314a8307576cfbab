// Package explore searches state machines: every state that can be reached, breadth first, by the
// shortest way. The models of the protocol are searched with it. No program imports it.
package explore

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Space is a state machine. A state has a size that 4 divides and no padding, so that its bytes are
// its identity.
type Space[S any] interface {
	Start() S

	// Walker returns a function that makes all steps that are possible in a state, in the same order
	// each time. Each worker of a search has its own. It may use next again when out returns.
	Walker() func(s *S, out func(next *S, step Step))
}

// Step says what a search has to know of a step.
type Step struct {
	Wrong string // what is wrong in the state behind it; "" if nothing is
	Free  bool   // it happens sooner or later if nothing more is lost: see Ending
}

// Ending is a space in which something has to end. From each state there must be a way of Free
// steps to one that Ended.
type Ending[S any] interface {
	Space[S]
	Ended(s *S) bool
	Endless() string // what is wrong in a state without such a way
}

// Result is what a search found.
type Result struct {
	States    int // different ones
	Moves     int // steps between them
	Depth     int // of the longest shortest way
	Took      time.Duration
	Complete  bool   // all states within the bounds were seen
	Violation string // "" if none was found
	Way       []int  // to the violation, the shortest: the number of each step, in the order of Walker
}

func (r *Result) String() string {
	s := fmt.Sprintf("%10d states %11d steps, depth %2d, %6.1f s", r.States, r.Moves, r.Depth, r.Took.Seconds())
	if r.Violation != "" {
		s += fmt.Sprintf("; violation after %d steps: %s", len(r.Way), r.Violation)
	} else if !r.Complete {
		s += "; not finished"
	}
	return s
}

// Search looks at every state that can be reached, until one is wrong or limit states were seen
// (0: no limit). Of a state that was seen it keeps 64 bits, by which it would be taken for another
// with a chance of one in some 300,000 for a whole search of 10 million states.
func Search[S any](space Space[S], limit int) *Result {
	begun := time.Now()
	s := &search[S]{space: space, limit: limit, seed: maphash.MakeSeed(), result: &Result{}}
	s.ending, _ = space.(Ending[S])
	start := space.Start()
	s.root = s.hash(&start)
	s.seen.add(s.root, 0, 0)
	level := newFrontier[S]()
	level.add(&start)
	for level.count > 0 && !s.stop {
		next := s.expand(level)
		if next.count > 0 {
			s.result.Depth++
		}
		level = next
	}
	s.result.States = s.seen.count()
	s.result.Moves = int(s.moves.Load())
	s.result.Complete = level.count == 0 && s.result.Violation == ""
	if s.result.Complete && s.ending != nil {
		s.judgeEnds()
	}
	s.result.Took = time.Since(begun)
	return s.result
}

type search[S any] struct {
	space  Space[S]
	ending Ending[S] // nil if nothing has to end
	limit  int
	seed   maphash.Seed
	seen   table
	moves  atomic.Int64
	stop   bool // after this depth
	result *Result
	root   uint64

	mu    sync.Mutex // of the violation, and of what follows
	ended []uint64   // states
	free  []edge     // steps
}

// bytesOf are the bytes of a state, which has no padding.
func bytesOf[S any](s *S) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)) }

func (s *search[S]) hash(state *S) uint64 { return maphash.Bytes(s.seed, bytesOf(state)) | 1 }

// expand makes all steps from a level of states.
func (s *search[S]) expand(level *frontier[S]) *frontier[S] {
	workers := runtime.GOMAXPROCS(0)
	parts := make([]*frontier[S], workers)
	var at atomic.Int64
	var tasks sync.WaitGroup
	for k := range workers {
		parts[k] = newFrontier[S]()
		tasks.Go(func() {
			e := expander[S]{search: s, out: parts[k], walk: s.space.Walker()}
			for block := at.Add(1) - 1; block < int64(len(level.blocks)); block = at.Add(1) - 1 {
				level.each(int(block), e.expand)
			}
			s.moves.Add(int64(e.moves))
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended, s.free = append(s.ended, e.ended...), append(s.free, e.free...)
		})
	}
	tasks.Wait()
	all := newFrontier[S]()
	for _, p := range parts {
		all.join(p)
	}
	if s.result.Violation != "" || s.limit > 0 && s.seen.count() >= s.limit {
		s.stop = true
	}
	return all
}

type expander[S any] struct {
	*search[S]
	walk   func(*S, func(*S, Step))
	out    *frontier[S]
	parent uint64
	number int
	moves  int
	ended  []uint64
	free   []edge
}

func (e *expander[S]) expand(state *S) {
	e.parent, e.number = e.hash(state), 0
	if e.ending != nil && e.ending.Ended(state) {
		e.ended = append(e.ended, e.parent)
	}
	e.walk(state, e.take)
}

func (e *expander[S]) take(next *S, step Step) {
	number := e.number
	e.number++
	e.moves++
	if step.Wrong != "" {
		e.violate(step.Wrong, number)
		return
	}
	h := e.hash(next)
	if e.ending != nil && step.Free {
		e.free = append(e.free, edge{e.parent, h})
	}
	if e.seen.add(h, e.parent, uint16(number)) {
		e.out.add(next)
	}
}

// violate keeps of all violations of one depth the one whose words come first, so that every search
// finds the same.
func (e *expander[S]) violate(what string, number int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.result.Violation == "" || what < e.result.Violation {
		e.result.Violation, e.result.Way = what, append(e.way(e.parent), number)
	}
}

// way is the shortest way to a state that was seen.
func (s *search[S]) way(to uint64) []int {
	var numbers []int
	for h := to; h != s.root; {
		parent, number := s.seen.get(h)
		numbers = append(numbers, int(number))
		h = parent
	}
	slices.Reverse(numbers)
	return numbers
}
