package model

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Result is what a search found.
type Result struct {
	Config    string
	States    int // different ones
	Moves     int // steps between them
	Depth     int // of the longest shortest way
	Took      time.Duration
	Complete  bool   // all states within the bounds were seen
	Violation string // "" if none was found
	Trace     []Move // the shortest way there
}

func (r *Result) String() string {
	s := fmt.Sprintf("%-12s %10d states %11d steps, depth %2d, %6.1f s",
		r.Config, r.States, r.Moves, r.Depth, r.Took.Seconds())
	if r.Violation != "" {
		s += fmt.Sprintf("; violation after %d steps: %s", len(r.Trace), r.Violation)
	} else if !r.Complete {
		s += "; not finished"
	}
	return s
}

// Explain writes a violation and the way to it.
func (r *Result) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Config, r.Violation)
	for i, m := range r.Trace {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, m)
	}
	return b.String()
}

func bytesOf(s *State) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)) }

// Search looks at every state that can be reached, breadth first, until one is wrong or limit
// states were seen (0: no limit). Of a state that was seen it keeps 64 bits, by which it would be
// taken for another with a chance of one in some million for a whole search of 10 million states.
func (m *Model) Search(limit int) *Result {
	begun := time.Now()
	s := &search{m: m, limit: limit, seed: maphash.MakeSeed(), result: &Result{Config: m.cfg.Name}}
	start, _ := m.canonical(m.cfg.start())
	s.root = maphash.Bytes(s.seed, bytesOf(&start)) | 1
	s.seen.add(s.root, 0, 0)
	level := newFrontier()
	level.add(&start)
	for level.count > 0 && !s.stop.Load() {
		next := s.expand(level)
		if next.count > 0 {
			s.result.Depth++
		}
		level = next
	}
	s.result.States = s.seen.count()
	s.result.Moves = int(s.moves.Load())
	s.result.Complete = level.count == 0 && s.result.Violation == ""
	if s.result.Violation != "" {
		s.result.Trace = s.trace()
	}
	s.result.Took = time.Since(begun)
	return s.result
}

type search struct {
	m      *Model
	limit  int
	seed   maphash.Seed
	seen   table
	moves  atomic.Int64
	stop   atomic.Bool
	result *Result

	root  uint64
	mu    sync.Mutex // of the violation
	wrong uint64     // the state before it
	by    int        // and the number of the step
}

// expand makes all steps from a level of states.
func (s *search) expand(level *frontier) *frontier {
	workers := runtime.GOMAXPROCS(0)
	parts := make([]*frontier, workers)
	var at atomic.Int64
	var tasks sync.WaitGroup
	for k := range workers {
		parts[k] = newFrontier()
		tasks.Go(func() {
			e := expander{search: s, out: parts[k]}
			e.walk = walk{m: s.m, out: e.take}
			for block := at.Add(1) - 1; block < int64(len(level.blocks)) && !s.stop.Load(); block = at.Add(1) - 1 {
				level.each(int(block), e.expand)
			}
			s.moves.Add(int64(e.moves))
		})
	}
	tasks.Wait()
	all := newFrontier()
	for _, p := range parts {
		all.join(p)
	}
	if s.limit > 0 && s.seen.count() >= s.limit {
		s.stop.Store(true)
	}
	return all
}

type expander struct {
	*search
	walk
	out    *frontier
	parent uint64
	number int
	moves  int
}

func (e *expander) expand(state *State) {
	e.parent, e.number = maphash.Bytes(e.seed, bytesOf(state))|1, 0
	e.walk.from(state)
}

func (e *expander) take(next *State, _ Move) {
	number := e.number
	e.number++
	e.moves++
	m := e.search.m
	violation := m.judge(next, &e.walk.seen)
	if violation != "" {
		e.mu.Lock()
		if !e.stop.Swap(true) {
			e.result.Violation, e.wrong, e.by = violation, e.parent, number
		}
		e.mu.Unlock()
		return
	}
	m.tidyUp(next)
	least, _ := m.canonical(next)
	if h := maphash.Bytes(e.seed, bytesOf(&least)) | 1; e.search.seen.add(h, e.parent, uint16(number)) {
		e.out.add(&least)
	}
}

// trace goes the way to the violation again, in the names that nodes had at its beginning.
func (s *search) trace() []Move {
	numbers := []int{s.by}
	for h := s.wrong; h != s.root; {
		parent, number := s.seen.get(h)
		numbers = append(numbers, int(number))
		h = parent
	}
	state, _ := s.m.canonical(s.m.cfg.start())
	names := naming(s.m.cfg)
	var moves []Move
	for k := len(numbers) - 1; k >= 0; k-- {
		number, found := 0, State{}
		w := walk{m: s.m}
		w.out = func(next *State, move Move) {
			if number == numbers[k] {
				found = *next
				moves = append(moves, names.say(move))
			}
			number++
		}
		before := state
		w.from(&before)
		s.m.tidyUp(&found)
		var by int
		if state, by = s.m.canonical(&found); by >= 0 {
			names.swap(&s.m.swaps[by])
		}
	}
	return moves
}

// table is the set of states that were seen, by hash, with where each was reached from.
type table struct{ shards [64]shard }

type shard struct {
	mu      sync.Mutex
	hashes  []uint64
	parents []uint64
	numbers []uint16
	used    int
}

// add adds a state, and says whether it is new.
func (t *table) add(hash, parent uint64, number uint16) bool {
	s := &t.shards[hash>>58]
	s.mu.Lock()
	defer s.mu.Unlock()
	if 4*s.used >= 3*len(s.hashes) {
		s.grow()
	}
	at := s.find(hash)
	if s.hashes[at] != 0 {
		return false
	}
	s.hashes[at], s.parents[at], s.numbers[at] = hash, parent, number
	s.used++
	return true
}

func (s *shard) find(hash uint64) int {
	at := int(hash>>1) & (len(s.hashes) - 1)
	for s.hashes[at] != 0 && s.hashes[at] != hash {
		at = (at + 1) & (len(s.hashes) - 1)
	}
	return at
}

func (s *shard) grow() {
	hashes, parents, numbers := s.hashes, s.parents, s.numbers
	n := max(64, 1<<bits.Len(uint(len(hashes))))
	s.hashes, s.parents, s.numbers = make([]uint64, n), make([]uint64, n), make([]uint16, n)
	for i, h := range hashes {
		if h != 0 {
			at := s.find(h)
			s.hashes[at], s.parents[at], s.numbers[at] = h, parents[i], numbers[i]
		}
	}
}

func (t *table) get(hash uint64) (parent uint64, number uint16) {
	s := &t.shards[hash>>58]
	at := s.find(hash)
	return s.parents[at], s.numbers[at]
}

func (t *table) count() (n int) {
	for i := range t.shards {
		n += t.shards[i].used
	}
	return n
}

// frontier holds the states of one level, packed: of each state the words that are not zero.
type frontier struct {
	blocks [][]uint32
	count  int
}

const (
	words     = int(unsafe.Sizeof(State{}) / 4)
	masks     = (words + 31) / 32
	blockSize = 1 << 16
)

func newFrontier() *frontier { return &frontier{} }

func (f *frontier) add(s *State) {
	if n := len(f.blocks); n == 0 || len(f.blocks[n-1])+masks+words > blockSize {
		f.blocks = append(f.blocks, make([]uint32, 0, blockSize))
	}
	b := &f.blocks[len(f.blocks)-1]
	at := len(*b)
	*b = (*b)[:at+masks]
	clear((*b)[at:])
	for i, w := range unsafe.Slice((*uint32)(unsafe.Pointer(s)), words) {
		if w != 0 {
			(*b)[at+i/32] |= 1 << (i % 32)
			*b = append(*b, w)
		}
	}
	f.count++
}

func (f *frontier) join(other *frontier) {
	f.blocks = append(f.blocks, other.blocks...)
	f.count += other.count
}

// each visits the states of one block, and lets it go.
func (f *frontier) each(block int, visit func(*State)) {
	b := f.blocks[block]
	f.blocks[block] = nil
	for len(b) > 0 {
		var s State
		into := unsafe.Slice((*uint32)(unsafe.Pointer(&s)), words)
		mask, rest := b[:masks], b[masks:]
		for i := range into {
			if mask[i/32]>>(i%32)&1 != 0 {
				into[i], rest = rest[0], rest[1:]
			}
		}
		visit(&s)
		b = rest
	}
}
