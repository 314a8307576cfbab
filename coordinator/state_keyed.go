package coordinator

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"firn.dev/segments"
)

// RequestKey says which request a batch belongs to. A batch whose partition knows the
// request's ID is a duplicate, whoever writes it and however often. A batch whose topic knows
// the ID has to belong to the same request, with its records distributed over as many
// partitions as then: see CommitBatch.Key.
type RequestKey struct {
	ID         [16]byte // of the request: a hash of the client's key. The scope is the topic
	Body       [16]byte // a hash of what is asked for: another body under the same ID is refused with ErrKeyReused
	Partitions int32    // how many the topic had when the request's records were given their partitions
	Timestamp  int64    // which records without one were given, in milliseconds
}

// Keyed is a request that was written, in one partition.
type Keyed struct {
	RequestKey
	Partition  segments.Partition
	BaseOffset int64
	Records    int32
	Time       int64 // of the commit, in milliseconds by the coordinator's clock: it is forgotten KeyExpiration later
}

// KeyExpiration is how long a partition remembers the requests that were written to it.
const KeyExpiration = 24 * time.Hour

// keyed is what a partition remembers of a request, beside its ID.
type keyed struct {
	body       [16]byte
	baseOffset int64
	timestamp  int64
	time       int64
	partitions int32
	records    int32
}

func (k *keyed) of(at segments.Partition, id [16]byte) Keyed {
	return Keyed{RequestKey{id, k.body, k.partitions, k.timestamp}, at, k.baseOffset, k.records, k.time}
}

// remember notes a request whose batch joined the prefix. Batches come in the order of their
// offsets; of two with one ID, a day apart, the later stands.
func (p *partition) remember(k *Keyed) {
	if p.keys == nil {
		p.keys = map[[16]byte]keyed{}
	}
	known, twice := p.keys[k.ID]
	if twice && known.baseOffset > k.BaseOffset {
		return
	}
	if !twice {
		p.requests.add(k.ID, p.index)
	}
	p.keys[k.ID] = keyed{k.Body, k.BaseOffset, k.Timestamp, k.Time, k.Partitions, k.Records}
	p.requests[k.ID].see(k)
}

// requests are those that partitions of one topic remember, by ID.
type requests map[[16]byte]*request

// request is what is known of one, whichever partition it is asked of.
type request struct {
	RequestKey         // as in the newest of its commits
	time       int64   // of that
	in         []int32 // the partitions that remember it
}

func (r requests) add(id [16]byte, in int32) {
	q := r[id]
	if q == nil {
		q = &request{}
		r[id] = q
	}
	q.in = append(q.in, in)
}

func (q *request) see(k *Keyed) {
	if k.Time >= q.time {
		q.RequestKey, q.time = k.RequestKey, k.Time
	}
}

func (r requests) clone() requests {
	c := make(requests, len(r))
	for id, q := range r {
		c[id] = &request{q.RequestKey, q.time, slices.Clone(q.in)}
	}
	return c
}

// forget drops what partitions do not remember any more.
func (r requests) forget(known func(in int32, id [16]byte) bool) {
	for id, q := range r {
		if q.in = slices.DeleteFunc(q.in, func(in int32) bool { return !known(in, id) }); len(q.in) == 0 {
			delete(r, id)
		}
	}
}

// remember notes a request in one of the state's partitions.
func (s *State) remember(p *partition, k *Keyed) {
	before := len(p.keys)
	p.remember(k)
	s.keys += len(p.keys) - before
}

// admitKey looks whether a request was written before: nil, or ErrDuplicate with the offset of the
// original; ErrKeyReused if another request had this ID, or ErrOtherPartitions if the same request
// was written for another number of partitions. Requests that have expired count no more, whether
// they are still there or not.
func (p *partition) admitKey(k *RequestKey, now int64) (original int64, err error) {
	since := now - KeyExpiration.Milliseconds()
	known, here := p.keys[k.ID]
	here = here && known.time >= since
	q := p.requests[k.ID]
	switch {
	case here && known.body != k.Body:
		return 0, ErrKeyReused
	case here && known.partitions != k.Partitions:
		return 0, ErrOtherPartitions // of its records others may be here than there were then
	case here:
		return known.baseOffset, ErrDuplicate
	case q == nil || q.time < since:
		return 0, nil
	case q.Body != k.Body:
		return 0, ErrKeyReused
	case q.Partitions != k.Partitions:
		return 0, ErrOtherPartitions
	}
	return 0, nil
}

// forgetKeys drops the requests that were written before a time.
func (p *partition) forgetKeys(before int64) (forgotten int) {
	for id, k := range p.keys {
		if k.time < before {
			delete(p.keys, id)
			forgotten++
		}
	}
	if len(p.keys) == 0 {
		p.keys = nil
	}
	return forgotten
}

// keyedIn returns the requests that a partition remembers, ordered by ID.
func (p *partition) keyedIn(at segments.Partition) []Keyed {
	ids := slices.SortedFunc(maps.Keys(p.keys), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	all := make([]Keyed, len(ids))
	for i, id := range ids {
		k := p.keys[id]
		all[i] = k.of(at, id)
	}
	return all
}

// Keyed returns where a request was written to a topic, ordered by partition: the confirmed
// batches, of all partitions that remember it. While the request is being written, and on nodes
// that are behind, that may be some of them or none.
func (v *View) Keyed(topic segments.TopicID, id [16]byte) []Keyed {
	v.mu.RLock()
	defer v.mu.RUnlock()
	q := v.state.requests[topic][id]
	if q == nil {
		return nil
	}
	found := make([]Keyed, 0, len(q.in))
	for _, i := range slices.Sorted(slices.Values(q.in)) {
		at := segments.Partition{Topic: topic, Index: i}
		k := v.state.partitions[at].keys[id]
		found = append(found, k.of(at, id))
	}
	return found
}

// KeyCount is the number of requests that all partitions remember together, each counted in every
// partition that it touched. Front doors bound it: a coordinator accepts any number.
func (v *View) KeyCount() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.state.keys
}
