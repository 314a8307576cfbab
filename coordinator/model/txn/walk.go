package txn

import "firn.dev/coordinator/model/explore"

// walk makes the steps that are possible in a state.
type walk struct {
	m    *Model
	s    *State
	next State
	seen view
	out  func(next *State, move Move)
}

// copy begins a step.
func (w *walk) copy() *State {
	w.next = *w.s
	return &w.next
}

// emit ends a step. Without one of the rules more happens than the bounds are made for, and what is
// beyond them is not looked at.
func (w *walk) emit(step Step, a, b int) {
	if w.next.wrong != wrongBounds || w.m.rules == explore.All[Rules]() {
		w.out(&w.next, Move{step, int8(a), int8(b)})
	}
}

// from makes all steps from s.
func (w *walk) from(s *State) {
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
	Acknowledge: true, OffsetsAnswered: true, EndAnswered: true, EndRefused: true, InitAnswered: true, InitRefused: true,
	Fence: true, Timeout: true, Bump: true, Build: true, BuildAbort: true, CommitEnding: true,
	JournalRecord: true, JournalPlain: true, JournalFact: true, JournalDelete: true,
}

// Walker makes steps from one state to the next.
func (m *Model) Walker() func(s *State, out func(next *State, step explore.Step)) {
	w := &walk{m: m}
	return func(s *State, out func(next *State, step explore.Step)) {
		w.out = func(next *State, move Move) {
			wrong := m.judge(next, &w.seen)
			m.tidyUp(next)
			out(next, explore.Step{Wrong: wrong, Free: free[move.Step]})
		}
		w.from(s)
	}
}

// Trace names the steps of a way.
func (m *Model) Trace(way []int) []Move {
	state := m.Start()
	var moves []Move
	for _, wanted := range way {
		number, before := 0, state
		w := walk{m: m}
		w.out = func(next *State, move Move) {
			if number == wanted {
				state = *next
				moves = append(moves, move)
			}
			number++
		}
		w.from(&before)
		m.tidyUp(&state)
	}
	return moves
}

// tidyUp forgets endings that will always be refused: within an incarnation epochs and ordinals
// only grow.
func (m *Model) tidyUp(s *State) {
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
func (m *Model) Ended(s *State) bool {
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
func (m *Model) Endless() string {
	return "T4: something stays open, or somebody unanswered, for ever"
}
