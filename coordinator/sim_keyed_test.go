package coordinator

import (
	"errors"
	"fmt"
	"slices"
)

// simKeys is what the judge knows of requests with a key. Clients send each of them to any node, again and again, also after it was answered; a request
// writes one record into each partition that it touches. It must have one place there, and whoever serves that must remember it.
type simKeys struct {
	requests int
	of       map[record]byte4    // which request a record is of
	places   map[simPlace]int64  // where it is served
	at       map[simOffset]byte4 // the same the other way round
	retries  int                 // that were answered with the original's place
}

type byte4 = [4]byte

type simPlace struct {
	partition int32
	request   byte4
}

type simOffset struct {
	partition int32
	offset    int64
}

// duplicate is what a commit answered, and counts once the view is past the offset.
type duplicate struct {
	simOffset
	request byte4
}

func newSimKeys() simKeys {
	return simKeys{of: map[record]byte4{}, places: map[simPlace]int64{}, at: map[simOffset]byte4{}}
}

// key draws the request that a batch is of: a new one, one of the last few, or none.
func (s *simulation) key(r record) *RequestKey {
	k := &s.keys
	var number int
	switch s.pick(4, "key") {
	case 0:
		k.requests++
		number = k.requests
	case 1:
		number = max(1, k.requests-s.pick(6, "retry"))
	default:
		return nil
	}
	request := byte4{byte(number >> 8), byte(number)}
	k.of[r] = request
	return &RequestKey{ID: requestID(request), Partitions: simPartitions}
}

func requestID(request byte4) (id [16]byte) {
	copy(id[:], request[:])
	return id
}

// judgeKey looks at a record that is served for the first time.
func (s *simulation) judgeKey(who string, offset int64, r record) {
	request, keyed := s.keys.of[r]
	if !keyed {
		return
	}
	place := simPlace{r.partition, request}
	if before, twice := s.keys.places[place]; twice {
		panic(fmt.Sprintf("P4: %s: request %v is in partition %d at %d and at %d", who, request, r.partition, before, offset))
	}
	s.keys.places[place] = offset
	s.keys.at[simOffset{r.partition, offset}] = request
}

// judgeRemembered compares what a state serves with what it remembers.
func (s *simulation) judgeRemembered(who string, at int32, p *partition) {
	for id, k := range p.keys {
		if request := s.keys.at[simOffset{at, k.baseOffset}]; requestID(request) != id || request == (byte4{}) {
			panic(fmt.Sprintf("%s: partition %d remembers request %x at %d, which is %v", who, at, id[:4], k.baseOffset, request))
		}
	}
	served := 0
	for offset := range p.end {
		if _, keyed := s.keys.at[simOffset{at, offset}]; keyed {
			served++
		}
	}
	if served != len(p.keys) {
		panic(fmt.Sprintf("%s: partition %d serves %d requests up to %d and remembers %d", who, at, served, p.end, len(p.keys)))
	}
}

// noteDuplicates takes in which batches of a segment were answered with the place of an earlier try.
func (n *simNode) noteDuplicates(req CommitRequest, answer CommitAnswer) {
	for i, run := range req.Runs {
		for j, b := range run.Batches {
			if a := answer.Runs[i][j]; errors.Is(a.Err, ErrDuplicate) {
				n.duplicates = append(n.duplicates, duplicate{simOffset{run.Partition.Index, a.BaseOffset}, byte4(b.Key.ID[:4])})
			} else if a.Err != nil {
				panic(fmt.Sprintf("a batch was refused: %v", a.Err))
			}
		}
	}
}

// answerDuplicates tells clients of the places that this node's view serves by now: they must be those of their requests.
func (n *simNode) answerDuplicates() {
	n.duplicates = slices.DeleteFunc(n.duplicates, func(d duplicate) bool {
		p := n.view.state.partitions[simPartition(d.partition)]
		if p == nil || p.end <= d.offset {
			return false
		}
		if got := n.sim.keys.at[d.simOffset]; got != d.request {
			panic(fmt.Sprintf("P4: node %d: request %v was answered with partition %d offset %d, which is of %v", n.name, d.request, d.partition, d.offset, got))
		}
		n.sim.keys.retries++
		return true
	})
}

// place is where a batch of a segment is served: by itself, or as a try of a request that another segment wrote.
func (s *simulation) place(r record) (int64, bool) {
	if request, keyed := s.keys.of[r]; keyed {
		offset, served := s.keys.places[simPlace{r.partition, request}]
		return offset, served
	}
	offset, served := s.places[r]
	return offset, served
}
