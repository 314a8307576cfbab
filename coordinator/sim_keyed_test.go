package coordinator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// simKeys is what the judge knows of requests with a key. Clients send each of them to any node,
// again and again, also after it was answered; a request writes one record into each partition that
// it touches. It must be there once, and whoever serves it must remember it.
type simKeys struct {
	requests int
	of       map[record]simRequest          // which request a record is of
	offsets  map[simPartitionRequest]int64  // where it is served
	at       [simPartitions][]servedRequest // the same the other way round, by offset
	retries  int                            // that were answered with the original's place
}

// simRequest names a request; the zero one is none.
type simRequest uint32

// servedRequest is which request the record at an offset belongs to, if any, and how many up to
// it belong to one.
type servedRequest struct {
	request simRequest
	upTo    int
}

// request is the one that the record at an offset is of.
func (k *simKeys) request(partition int32, offset int64) simRequest {
	if at := k.at[partition]; offset < int64(len(at)) {
		return at[offset].request
	}
	return 0
}

type simPartitionRequest struct {
	partition int32
	request   simRequest
}

// duplicate is what a commit answered, and counts once the view is past the offset.
type duplicate struct {
	partition int32
	offset    int64
	request   simRequest
}

func newSimKeys() simKeys {
	return simKeys{of: map[record]simRequest{}, offsets: map[simPartitionRequest]int64{}}
}

// key draws the request that a batch is of: a new one, one of the last few, or none.
func (s *simulation) key(r record) *RequestKey {
	k := &s.keys
	number := 0
	switch s.pick(4, "key") {
	case 0:
		k.requests++
		number = k.requests
	case 1:
		number = max(1, k.requests-s.pick(6, "retry"))
	default:
		return nil
	}
	k.of[r] = simRequest(number)
	return &RequestKey{ID: simRequest(number).id(), Partitions: simPartitions}
}

func (r simRequest) id() (id [16]byte) {
	binary.BigEndian.PutUint32(id[:], uint32(r))
	return id
}

// requestOf is the request with that id.
func requestOf(id [16]byte) simRequest { return simRequest(binary.BigEndian.Uint32(id[:])) }

// judgeKey looks at a record that is served for the first time. They come in the
// order of their offsets.
func (s *simulation) judgeKey(who string, offset int64, r record) {
	k := &s.keys
	at := &k.at[r.partition]
	here := servedRequest{request: k.of[r]}
	if n := len(*at); n > 0 {
		here.upTo = (*at)[n-1].upTo
	}
	if here.request != 0 {
		here.upTo++
		of := simPartitionRequest{r.partition, here.request}
		if before, twice := k.offsets[of]; twice {
			panic(fmt.Sprintf("P4: %s: request %d is in partition %d at %d and at %d",
				who, here.request, r.partition, before, offset))
		}
		k.offsets[of] = offset
	}
	*at = append(*at, here)
}

// judgeRemembered compares what a state serves with what it remembers.
func (s *simulation) judgeRemembered(who string, at int32, p *partition) {
	for id, k := range p.keys {
		if request := s.keys.request(at, k.baseOffset); request != requestOf(id) {
			panic(fmt.Sprintf("%s: partition %d remembers request %d at %d, which is of %d",
				who, at, requestOf(id), k.baseOffset, request))
		}
	}
	served := 0
	if p.end > 0 {
		served = s.keys.at[at][p.end-1].upTo
	}
	if served != len(p.keys) {
		panic(fmt.Sprintf("%s: partition %d serves %d requests up to %d and remembers %d",
			who, at, served, p.end, len(p.keys)))
	}
}

// noteDuplicates notes which batches of a segment were answered with the place of an earlier try.
func (n *simNode) noteDuplicates(req CommitRequest, answer CommitAnswer) {
	for i, run := range req.Runs {
		for j, b := range run.Batches {
			if a := answer.Runs[i][j]; errors.Is(a.Err, ErrDuplicate) {
				n.duplicates = append(n.duplicates, duplicate{run.Partition.Index, a.BaseOffset, requestOf(b.Key.ID)})
			} else if a.Err != nil {
				panic(fmt.Sprintf("a batch was refused: %v", a.Err))
			}
		}
	}
}

// answerDuplicates answers clients with the places that this node's view serves by now: they must
// be those of their requests.
func (n *simNode) answerDuplicates() {
	n.duplicates = slices.DeleteFunc(n.duplicates, func(d duplicate) bool {
		p := n.view.state.partitions[simPartition(d.partition)]
		if p == nil || p.end <= d.offset {
			return false
		}
		if got := n.sim.keys.request(d.partition, d.offset); got != d.request {
			panic(fmt.Sprintf("P4: node %d: request %d was answered with partition %d offset %d, which is of %d",
				n.name, d.request, d.partition, d.offset, got))
		}
		n.sim.keys.retries++
		return true
	})
}

// place is where a batch of a segment is served: by itself, or as a try of a request
// that another segment wrote.
func (s *simulation) place(r record) (int64, bool) {
	if request, keyed := s.keys.of[r]; keyed {
		offset, served := s.keys.offsets[simPartitionRequest{r.partition, request}]
		return offset, served
	}
	offset, served := s.places[r]
	return offset, served
}
