package explore

import (
	"math/bits"
	"sync"
)

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

// get returns where a state was reached from.
func (t *table) get(hash uint64) (parent uint64, number uint16) {
	s := &t.shards[hash>>58]
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(hash)
	return s.parents[at], s.numbers[at]
}

func (t *table) count() (n int) {
	for i := range t.shards {
		n += t.shards[i].used
	}
	return n
}

// each visits all states.
func (t *table) each(visit func(hash uint64)) {
	for i := range t.shards {
		for _, h := range t.shards[i].hashes {
			if h != 0 {
				visit(h)
			}
		}
	}
}
