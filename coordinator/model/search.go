package model

import (
	"fmt"
	"strings"
	"unsafe"

	"firn.dev/coordinator/model/explore"
)

// Result is what a search found.
type Result struct {
	explore.Result
	Config string
	Trace  []Move // the shortest way to the violation
}

func (r *Result) String() string { return fmt.Sprintf("%-12s %s", r.Config, r.Result.String()) }

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
// states were seen (0: no limit).
func (m *Model) Search(limit int) *Result {
	r := &Result{Result: *explore.Search(m, limit), Config: m.cfg.Name}
	if r.Violation != "" {
		r.Trace = m.trace(r.Way)
	}
	return r
}

// Start is the state in which a search begins.
func (m *Model) Start() State {
	s := m.cfg.start()
	if m.cfg.Stale {
		m.stale(s)
	}
	start, _ := m.canonical(s)
	return start
}

// stale is where node 0 leads that wrote a snapshot and was silent, while another sealed its chain.
func (m *Model) stale(s *State) {
	before, _ := m.load(s, 1)
	s.flying = flyingSnapshot{snapshot: before, in: 1, n: 1}
	for c := range m.chains {
		if ch := &s.chains[c]; ch.in != 0 {
			ch.silent, ch.begun = 2, 2
		}
	}
	own := &s.chains[m.cfg.chain(0, 1)]
	own.objects[1], own.aged = seal, 1
}

// Walker makes steps from one state to the next, each in its canonical form.
func (m *Model) Walker() func(s *State, out func(next *State, step explore.Step)) {
	w := &walk{m: m}
	return func(s *State, out func(next *State, step explore.Step)) {
		w.out = func(next *State, _ Move) {
			if wrong := m.judge(next, &w.seen); wrong != "" {
				out(next, explore.Step{Wrong: wrong})
				return
			}
			m.tidyUp(next)
			least, _ := m.canonical(next)
			out(&least, explore.Step{})
		}
		w.from(s)
	}
}

// trace goes the way to the violation again, in the names that nodes had at its beginning.
func (m *Model) trace(way []int) []Move {
	state := m.Start()
	names := naming(m.cfg)
	var moves []Move
	for _, wanted := range way {
		number, found := 0, State{}
		w := walk{m: m}
		w.out = func(next *State, move Move) {
			if number == wanted {
				found = *next
				moves = append(moves, names.say(move))
			}
			number++
		}
		before := state
		w.from(&before)
		m.tidyUp(&found)
		var by int
		if state, by = m.canonical(&found); by >= 0 {
			names.swap(&m.swaps[by])
		}
	}
	return moves
}
