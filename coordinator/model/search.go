package model

import (
	"fmt"
	"strings"
	"unsafe"

	"firn.dev/coordinator/model/explore"
)

// result is what a search found.
type result struct {
	explore.Result
	Config string
	Trace  []transition // the shortest way to the violation
}

func (r *result) String() string { return fmt.Sprintf("%-12s %s", r.Config, r.Result.String()) }

// explain writes a violation and the way to it.
func (r *result) explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Config, r.Violation)
	for i, m := range r.Trace {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, m)
	}
	return b.String()
}

func bytesOf(s *state) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)) }

// search looks at every state that can be reached, breadth first, until one is wrong or limit
// states were seen (0: no limit).
func (m *model) search(limit int) *result {
	r := &result{Result: *explore.Search(m, limit), Config: m.cfg.Name}
	if r.Violation != "" {
		r.Trace = m.trace(r.Way)
	}
	return r
}

// Start is the state in which a search begins.
func (m *model) Start() state {
	s := m.cfg.start()
	if m.cfg.Stale {
		m.stale(s)
	}
	start, _ := m.canonical(s)
	return start
}

// stale is where node 0 leads that wrote a snapshot and was silent, while another sealed its chain.
func (m *model) stale(s *state) {
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
func (m *model) Walker() func(s *state, out func(next *state, step explore.Step)) {
	w := &walk{m: m}
	return func(s *state, out func(next *state, step explore.Step)) {
		w.out = func(next *state, _ transition) {
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
func (m *model) trace(way []int) []transition {
	now := m.Start()
	names := naming(m.cfg)
	var moves []transition
	for _, wanted := range way {
		number, found := 0, state{}
		w := walk{m: m}
		w.out = func(next *state, move transition) {
			if number == wanted {
				found = *next
				moves = append(moves, names.say(move))
			}
			number++
		}
		before := now
		w.from(&before)
		m.tidyUp(&found)
		var by int
		if now, by = m.canonical(&found); by >= 0 {
			names.swap(&m.swaps[by])
		}
	}
	return moves
}
