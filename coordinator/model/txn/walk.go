package txn

import "firn.dev/coordinator/model/explore"

// walk makes the steps that are possible in a state.
type walk struct {
	m    *model
	s    *state
	next state
	seen view
	out  func(next *state, move transition)
}

// copy begins a step.
func (w *walk) copy() *state {
	w.next = *w.s
	return &w.next
}

// emit ends a step. Without one of the rules more happens than the bounds are made for, and what is
// beyond them is not looked at.
func (w *walk) emit(step step, a, b int) {
	if w.next.wrong != wrongBounds || w.m.rules == explore.All[rules]() {
		w.out(&w.next, transition{step, int8(a), int8(b)})
	}
}

// from makes all steps from s.
func (w *walk) from(s *state) {
	w.s = s
	w.seen = w.m.view(s)
	for i := range w.m.cfg.Sessions {
		w.producer(i)
	}
	w.requests()
	for id := range w.m.ids {
		w.owner(id)
	}
	w.commitEndings()
	w.journal()
	w.merges()
	w.functions()
	w.disasters()
}

// free are the steps that happen sooner or later if nothing more is lost, whatever becomes of the
// producers.
var free = [steps]bool{
	acknowledge: true, offsetsAnswered: true, endAnswered: true, endRefused: true, initAnswered: true, initRefused: true,
	fence: true, timeout: true, bump: true, build: true, buildAbort: true, commitEnding: true,
	journalRecord: true, journalPlain: true, journalFact: true, journalDelete: true,
}

// Walker makes steps from one state to the next.
func (m *model) Walker() func(s *state, out func(next *state, step explore.Step)) {
	w := &walk{m: m}
	return func(s *state, out func(next *state, step explore.Step)) {
		w.out = func(next *state, move transition) {
			wrong := m.judge(next, &w.seen)
			m.tidyUp(next)
			out(next, explore.Step{Wrong: wrong, Free: free[move.Step]})
		}
		w.from(s)
	}
}

// trace names the steps of a way.
func (m *model) trace(way []int) []transition {
	now := m.Start()
	var moves []transition
	for _, wanted := range way {
		number, before := 0, now
		w := walk{m: m}
		w.out = func(next *state, move transition) {
			if number == wanted {
				now = *next
				moves = append(moves, move)
			}
			number++
		}
		w.from(&before)
		m.tidyUp(&now)
	}
	return moves
}

// tidyUp forgets endings that will always be refused: within an incarnation epochs and ordinals
// only grow.
func (m *model) tidyUp(s *state) {
	kept := 0
	for _, e := range s.endings {
		if e.kind != 0 && (!m.rules.EndingOfLife || !m.refused(s, &e)) {
			s.endings[kept] = e
			kept++
		}
	}
	clear(s.endings[kept:])
}

// Ended says whether nothing is open or pending, and everybody is answered.
func (m *model) Ended(s *state) bool {
	for p := range m.cfg.Partitions {
		if s.landedDeleted>>p&1 == 0 && s.prefix(p) < s.end(p) {
			return false
		}
	}
	for k := range s.count {
		if s.landed>>k&1 == 0 {
			return false
		}
	}
	for id := range m.ids {
		if i := s.identity(id); i.aborting != 0 || i.staged != 0 || !m.complete(s, id) {
			return false
		}
		for p := range m.cfg.Partitions {
			if open, _, _ := m.open(s, p, id); open && s.landedDeleted>>p&1 == 0 {
				return false
			}
		}
	}
	for i := range m.cfg.Sessions {
		if phase := s.sessions[i].phase; phase == initing || phase == endingTxn {
			return false
		}
	}
	return true
}

// Endless is what is wrong in a state from which that is not reached.
func (m *model) Endless() string {
	return "T4: something stays open, or somebody unanswered, for ever"
}
