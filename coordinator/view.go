package coordinator

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"firn.dev/segments"
)

// View is the State that all readers of a node share, kept current by the commit stream. Only
// confirmed facts show in it. Its methods are safe for concurrent use and cheap; what they return
// is not changed afterwards and must not be changed.
type View struct {
	mu      sync.RWMutex
	state   *State
	topics  map[segments.TopicID]*Topic // live ones, as readers see them
	pending map[uint64]awaiting
	seq     uint64 // of the newest entry seen
	// stirred is closed, and replaced, when a fact begins to await its confirmation;
	// nil if nobody waits.
	stirred chan struct{}
	// changed is closed, and replaced, when a change other than a commit is applied or the incarnation
	// changes; nil if nobody waits.
	changed chan struct{}

	settingsChanged atomic.Uint64 // counts changes of the state's settings, and new states

	watches map[segments.Partition]map[*Watch]struct{}
	all     map[*Watch]struct{} // every watch: all are told of topics that change
}

// awaiting is a decided fact, and since when it awaits its confirmation.
type awaiting struct {
	entry Entry
	since time.Time
}

// Topic is a topic as readers see it.
type Topic struct {
	ID         segments.TopicID
	Name       string
	Partitions int32
	Configs    map[string]string // those that were set; defaults are the front door's

	ReplicationFactor int16      // that clients asked for; 0: none
	Assignment        Assignment // that clients asked for
}

// PartitionInfo is where a partition stands.
type PartitionInfo struct {
	LogStart      int64
	HighWatermark int64 // one past the last record that may be served
	// one past the last record that readers of committed ones are served: below it no transaction is
	// open
	LastStable int64
	Bytes      int64 // of all spans between the two
}

// ProducerState is what a partition knows of an idempotent producer.
type ProducerState struct {
	ProducerID    int64
	Epoch         int16
	LastSequence  int32
	LastTimestamp int64
	LastOffset    int64
}

// NewView returns a view of a state that nothing changes: for readers of the bucket alone. From
// then on the state belongs to the view.
func NewView(state *State) *View {
	v := &View{
		watches: map[segments.Partition]map[*Watch]struct{}{},
		all:     map[*Watch]struct{}{},
	}
	_ = v.replace(state, 0) // replaces nothing, so it cannot fail
	return v
}

// ClusterID is Kafka's cluster id: drawn when the bucket's first incarnation was made, and the
// same from then on.
func (v *View) ClusterID() string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.state.clusterID
}

// Topic returns the topic of that name, or nil.
func (v *View) Topic(name string) *Topic {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if t := v.state.names[name]; t != nil {
		return v.topics[t.ID]
	}
	return nil
}

// TopicByID returns the topic with that id, or nil.
func (v *View) TopicByID(id segments.TopicID) *Topic {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.topics[id]
}

// Deleted says that the topic is gone for ever. A topic that is neither here nor deleted may still
// come: other nodes may know it before this view does.
func (v *View) Deleted(id segments.TopicID) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.deleted(id)
}

func (v *View) deleted(id segments.TopicID) bool {
	t := v.state.topics[id]
	return t != nil && t.Deleted
}

// TopicCount is how many topics there are.
func (v *View) TopicCount() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.topics)
}

// Topics returns all topics, ordered by name.
func (v *View) Topics() []*Topic {
	v.mu.RLock()
	defer v.mu.RUnlock()
	topics := make([]*Topic, 0, len(v.topics))
	for _, t := range v.topics {
		topics = append(topics, t)
	}
	slices.SortFunc(topics, func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
	return topics
}

// Partition says where a partition stands; false if there is none.
func (v *View) Partition(at segments.Partition) (PartitionInfo, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.partition(at)
}

func (v *View) partition(at segments.Partition) (PartitionInfo, bool) {
	t := v.topics[at.Topic]
	if t == nil || at.Index < 0 || at.Index >= t.Partitions {
		return PartitionInfo{}, false
	}
	p := v.state.partitions[at]
	if p == nil {
		return PartitionInfo{}, true
	}
	return PartitionInfo{p.logStart, p.end, p.lastStable(), p.bytes}, true
}

// spans returns a partition's spans. Nobody changes them: they may be searched without the lock.
func (v *View) spans(at segments.Partition) []placed {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if p := v.state.partitions[at]; p != nil {
		return p.spans
	}
	return nil
}

// Spans returns up to n spans in the order of offsets, beginning with the one that holds offset or
// the first behind it, all below the high watermark and not wholly below the log start.
func (v *View) Spans(at segments.Partition, offset int64, n int) []Span {
	return some(v.spans(at), offset, n)
}

func some(spans []placed, offset int64, n int) []Span {
	spans = spans[find(spans, offset):]
	spans = spans[:min(n, len(spans))]
	found := make([]Span, len(spans))
	for i := range spans {
		found[i] = spans[i].Span
	}
	return found
}

// HasSpan says whether a partition has a span of a segment, as it was committed, from an offset on.
func (v *View) HasSpan(at segments.Partition, from int64, id segments.ID) bool {
	spans := v.spans(at)
	return slices.ContainsFunc(spans[find(spans, from):], func(s placed) bool { return s.Segment == id && s.Version == 0 })
}

// SpanByTime returns the first span that holds a record with this timestamp or a later one.
func (v *View) SpanByTime(at segments.Partition, timestamp int64) (Span, bool) {
	return firstReaching(v.spans(at), timestamp)
}

// SpanOfMaxTimestamp returns the first of the spans with the largest timestamp.
func (v *View) SpanOfMaxTimestamp(at segments.Partition) (Span, bool) {
	spans := v.spans(at)
	if len(spans) == 0 {
		return Span{}, false
	}
	return firstReaching(spans, spans[len(spans)-1].runningMax)
}

// firstReaching returns the first span whose largest timestamp is timestamp or later: there the
// running maximum first reaches it.
func firstReaching(spans []placed, timestamp int64) (Span, bool) {
	at := sort.Search(len(spans), func(i int) bool { return spans[i].runningMax >= timestamp })
	if at == len(spans) {
		return Span{}, false
	}
	return spans[at].Span, true
}

// Producers returns the idempotent producers that the partition remembers, ordered by id.
func (v *View) Producers(at segments.Partition) []ProducerState {
	v.mu.RLock()
	defer v.mu.RUnlock()
	p := v.state.partitions[at]
	if p == nil {
		return nil
	}
	producers := make([]ProducerState, 0, len(p.producers))
	for id, pr := range p.producers {
		last := pr.last()
		n := int64((last.last-last.base)&0x7fffffff) + 1
		producers = append(producers, ProducerState{id, pr.epoch, last.last, pr.lastTimestamp, last.offset + n - 1})
	}
	slices.SortFunc(producers, func(a, b ProducerState) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	return producers
}

// ProducerCount is how many idempotent producers the partition remembers.
func (v *View) ProducerCount(at segments.Partition) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if p := v.state.partitions[at]; p != nil {
		return len(p.producers)
	}
	return 0
}

// replace puts another state in place: that of a new incarnation, with the commit stream known up
// to seq. Pending entries are dropped. High watermarks do not move back; an error names
// one that would have.
func (v *View) replace(state *State, seq uint64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state != nil {
		if err := v.state.keptBy(state); err != nil {
			return err
		}
	}
	v.state, v.seq, v.pending = state, seq, map[uint64]awaiting{}
	v.settingsChanged.Add(1)
	v.topics = make(map[segments.TopicID]*Topic, len(state.topics))
	for id := range state.topics {
		v.showTopic(id)
	}
	v.wakeAll()
	v.stir()
	return nil
}

// keptBy checks that next has all that s has served: records that were served do not disappear.
func (s *State) keptBy(next *State) error {
	for at, p := range s.partitions {
		if t := next.topics[at.Topic]; p.end == 0 || t != nil && t.Deleted {
			continue
		}
		if q := next.partitions[at]; q == nil || q.end < p.end {
			return fmt.Errorf("records of partition %s up to offset %d were served and are not in the bucket", at, p.end-1)
		}
	}
	return nil
}

func (v *View) showTopic(id segments.TopicID) {
	if t := v.state.topics[id]; t.Deleted {
		delete(v.topics, id)
	} else {
		v.topics[id] = shown(t)
	}
}

// follow takes one entry of the commit stream in.
func (v *View) follow(e Entry, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seq = e.Seq
	if e.Fact != nil {
		v.pending[e.Seq] = awaiting{e, now}
		if e.Fact.Offsets != nil { // committed offsets show at once: they are answered before they are journaled
			if err := v.state.Apply(e.Fact); err != nil {
				return err
			}
		}
	}
	v.stir()
	for _, seq := range e.Confirmed {
		a, known := v.pending[seq]
		if !known {
			continue
		}
		delete(v.pending, seq)
		incomplete := len(v.state.atomic)
		if err := v.state.Apply(a.entry.Fact); err != nil {
			return err
		}
		if len(v.state.atomic) < incomplete {
			v.wakeChanged()
		}
		v.show(a.entry.Fact)
	}
	return nil
}

// show tells those who wait of a fact that was applied.
func (v *View) show(f *Fact) {
	if f.Offsets != nil {
		return // nobody waits for offsets
	}
	if f.Settings != nil {
		v.settingsChanged.Add(1)
		v.wakeChanged()
		return
	}
	if f.Merge != nil || f.TransactionalID != nil {
		v.wakeChanged() // its proposer waits; to readers it is all the same
		return
	}
	if f.Commit != nil {
		if len(f.Commit.Endings)+len(f.Commit.Atomic) > 0 {
			v.wakeChanged()
		}
		for i := range f.Commit.Spans {
			v.wake(f.Commit.Spans[i].Partition)
		}
		return
	}
	if t := f.Topic; t != nil {
		v.showTopic(t.ID)
	}
	v.wakeAll()
}

// forget drops what has expired: see State.Forget. It gives passed the newest time that the state
// remembers, and goes by the time that passed returns.
func (v *View) forget(passed func(newest time.Time) time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state.Forget(passed(v.state.newest()))
}

// seen is the number of the newest entry of the commit stream that the view has taken in.
func (v *View) seen() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.seq
}

// ends returns the high watermarks of all partitions.
func (v *View) ends() map[segments.Partition]int64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	ends := make(map[segments.Partition]int64, len(v.state.partitions))
	for at, p := range v.state.partitions {
		ends[at] = p.end
	}
	return ends
}

// topicFact returns the topic that a change is about, as it stands; nil if there is none.
func (v *View) topicFact(c Change) *TopicFact {
	v.mu.RLock()
	defer v.mu.RUnlock()
	switch {
	case c.CreateTopic != nil:
		return v.state.topics[c.CreateTopic.ID]
	case c.DeleteTopic != nil:
		return v.state.topics[*c.DeleteTopic]
	case c.Grow != nil:
		return v.state.topics[c.Grow.Topic]
	}
	return nil
}
