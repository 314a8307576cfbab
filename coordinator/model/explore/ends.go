package explore

import (
	"cmp"
	"slices"
)

// edge is a step, by the hashes of the states.
type edge struct{ from, to uint64 }

// judgeEnds looks whether a way of free steps leads from each state to one in which all has ended.
func (s *search[S]) judgeEnds() {
	slices.SortFunc(s.free, func(a, b edge) int { return cmp.Compare(a.to, b.to) })
	good := make(map[uint64]bool, s.seen.count())
	todo := s.ended
	for _, h := range todo {
		good[h] = true
	}
	for len(todo) > 0 {
		to := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		at, _ := slices.BinarySearchFunc(s.free, to, func(e edge, to uint64) int { return cmp.Compare(e.to, to) })
		for ; at < len(s.free) && s.free[at].to == to; at++ {
			if from := s.free[at].from; !good[from] {
				good[from] = true
				todo = append(todo, from)
			}
		}
	}
	if len(good) == s.seen.count() {
		return
	}
	s.result.Complete, s.result.Violation = false, s.ending.Endless()
	s.seen.each(func(h uint64) {
		if !good[h] {
			if way := s.way(h); s.result.Way == nil || len(way) < len(s.result.Way) {
				s.result.Way = way
			}
		}
	})
}
