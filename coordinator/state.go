package coordinator

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"firn.dev/segments"
)

// State is the sum of facts: topics, and for every partition its offsets, spans and producers. It
// holds confirmed facts only, except in package embedded, whose coordinator keeps a second State of
// everything decided. It is not safe for concurrent use.
//
// The high watermark is not stored: it is the end of a partition's contiguous prefix, because only
// confirmed facts are applied.
type State struct {
	incarnation    Incarnation
	clusterID      string
	nextProducerID int64
	topics         map[segments.TopicID]*TopicFact // deleted ones stay, as tombstones
	names          map[string]*TopicFact           // live topics
	partitions     map[segments.Partition]*partition
	groups         map[string]*group // consumer groups that have committed offsets, or lately had
	offsetsVersion uint64            // highest Version of an Offsets fact
	keys           int               // requests that partitions remember, of all together
	requests       map[segments.TopicID]requests
	bare           bool     // keeps no spans and no groups
	opening        *opening // nil: nobody may open this state
	nonce          Nonce    // of the generation that the facts of this incarnation are of; zero: of none that is known
	doubts         []Doubt  // ordered; never changed, only replaced
	settings       settings
	transactions   transactions
	atomic         map[atomicKey]incompleteAtomic
}

// NewState returns the state before any fact, which may be opened once. Only tests open a state
// that Recover has not returned.
func NewState(in Incarnation, clusterID string) *State {
	s := newState(in, clusterID)
	s.opening = &opening{}
	return s
}

func newState(in Incarnation, clusterID string) *State {
	return &State{
		incarnation: in,
		clusterID:   clusterID,
		topics:      map[segments.TopicID]*TopicFact{},
		names:       map[string]*TopicFact{},
		partitions:  map[segments.Partition]*partition{},
		requests:    map[segments.TopicID]requests{},
		groups:      map[string]*group{},

		transactions: newTransactions(),
		atomic:       map[atomicKey]incompleteAtomic{},
	}
}

// Incarnation is the one whose facts this state takes.
func (s *State) Incarnation() Incarnation { return s.incarnation }

// ClusterID is Kafka's cluster id.
func (s *State) ClusterID() string { return s.clusterID }

// Apply applies a fact; no other code does. It ignores facts of another incarnation: what survived
// of them is in the state that this incarnation began with. An error means that the fact
// contradicts others, which no coordinator can have decided; the state must then not be used.
func (s *State) Apply(f *Fact) error {
	if f.Incarnation != s.incarnation {
		return nil
	}
	switch {
	case f.Commit != nil:
		for i := range f.Commit.Spans {
			if err := s.applySpan(&f.Commit.Spans[i]); err != nil {
				return err
			}
		}
		s.applyEndings(f.Commit)
		s.applyAtomic(f.Commit)
		s.complete(false)
	case f.Topic != nil:
		s.applyTopic(f.Topic)
		s.complete(false)
	case f.LogStart != nil:
		for at, offset := range f.LogStart.Offsets {
			if p := s.partition(at); p != nil {
				p.raiseLogStart(offset)
			}
		}
	case f.ProducerIDs != nil:
		s.nextProducerID = max(s.nextProducerID, f.ProducerIDs.End)
	case f.Offsets != nil:
		s.applyOffsets(f.Offsets)
	case f.Merge != nil:
		s.applyMerge(f.Merge)
	case f.Settings != nil:
		s.settings.apply(f.Settings)
	case f.TransactionalID != nil:
		s.applyID(f.TransactionalID)
	}
	return nil
}

func (s *State) applySpan(c *CommitSpan) error {
	p := s.partition(c.Partition)
	if p == nil {
		return nil
	}
	before := len(p.keys)
	err := p.apply(c, !s.bare)
	s.keys += len(p.keys) - before
	if err != nil {
		return fmt.Errorf("partition %s: %w", c.Partition, err)
	}
	return nil
}

// partition returns what is known of a partition, and creates it if need be; nil if its topic was
// deleted. Its topic may still be unknown: facts come in any order.
func (s *State) partition(at segments.Partition) *partition {
	p := s.partitions[at]
	if p == nil {
		if t := s.topics[at.Topic]; t != nil && t.Deleted {
			return nil
		}
		p = &partition{}
		s.place(at, p)
	}
	return p
}

// place makes a partition one of its topic's.
func (s *State) place(at segments.Partition, p *partition) {
	if s.requests[at.Topic] == nil {
		s.requests[at.Topic] = requests{}
	}
	p.index, p.requests = at.Index, s.requests[at.Topic]
	s.partitions[at] = p
}

func (s *State) applyTopic(t *TopicFact) {
	old := s.topics[t.ID]
	if old != nil {
		if old.Deleted && !t.Deleted || old.Deleted == t.Deleted && old.Version >= t.Version {
			return
		}
	}
	s.topics[t.ID] = t
	if !t.Deleted {
		s.applyName(t)
		return
	}
	for at, p := range s.partitions {
		if at.Topic == t.ID {
			s.keys -= len(p.keys)
			delete(s.partitions, at)
		}
	}
	delete(s.requests, t.ID)
	s.dropOffsets(t.ID)
	if other := s.names[t.Name]; other != nil && other.ID == t.ID {
		delete(s.names, t.Name)
		for _, other := range s.topics {
			if other.Name == t.Name && !other.Deleted {
				s.applyName(other)
			}
		}
	}
}

// applyName lets the name stand for t. Two live topics have one name only while the deletion of one
// of them is on its way; any rule that always picks the same one is good enough.
func (s *State) applyName(t *TopicFact) {
	if other := s.names[t.Name]; other == nil || bytes.Compare(other.ID[:], t.ID[:]) <= 0 {
		s.names[t.Name] = t
	}
}

// truncate drops what lies beyond holes. A recovery calls it once the journal cannot change any
// more: what is beyond a hole was never served and never acknowledged, unless the hole is there
// because of something in doubt. Markers and spans of atomic requests get new offsets instead,
// because those are decided: they become complete.
func (s *State) truncate() (spans int) {
	var doubts []Doubt
	for at, p := range s.partitions {
		spans += len(p.beyond)
		inDoubt := func(d Doubt) bool { return d.Partition == at && d.Generation.Incarnation == s.incarnation }
		if slices.ContainsFunc(s.doubts, inDoubt) {
			for _, b := range p.beyond {
				if b.atomic > 0 {
					continue
				}
				doubts = append(doubts, Doubt{at, b.span, Generation{Incarnation: s.incarnation}})
			}
		}
		dropped := p.beyond
		p.beyond = nil
		p.waiting = nil // a merge is decided over confirmed spans only, so that none can wait here
		keys := len(p.keys)
		p.placeAnew(dropped)
		s.keys += len(p.keys) - keys
	}
	s.complete(true)
	s.addDoubts(doubts)
	return spans
}

// clone copies the state, cheaply: spans, topics and facts are shared, and never changed.
func (s *State) clone(bare bool) *State {
	c := &State{s.incarnation, s.clusterID, s.nextProducerID, maps.Clone(s.topics), maps.Clone(s.names),
		make(map[segments.Partition]*partition, len(s.partitions)), map[string]*group{}, s.offsetsVersion, s.keys,
		make(map[segments.TopicID]requests, len(s.requests)), bare, s.opening, s.nonce, s.doubts, s.settings.clone(),
		s.transactions.clone(), cloneAtomic(s.atomic)}
	for topic, r := range s.requests {
		c.requests[topic] = r.clone()
	}
	for at, p := range s.partitions {
		c.place(at, p.clone(!bare))
	}
	if !bare {
		for name, g := range s.groups {
			c.groups[name] = g.clone()
		}
	} else {
		c.transactions.decide(c, s.transactions.deciding)
	}
	return c
}

// Forget drops what has expired by the given time of the coordinator's clock: idempotent
// producers that have been silent for longer than a day, as Kafka does
// (producer.id.expiration.ms), requests that were written before that, and the traces of offsets
// and settings that were deleted before that.
func (s *State) Forget(now time.Time) {
	before := now.Add(-producerExpiration).UnixMilli()
	keysBefore := now.Add(-KeyExpiration).UnixMilli()
	for _, p := range s.partitions {
		p.forgetProducers(before)
		s.keys -= p.forgetKeys(keysBefore)
	}
	for topic, r := range s.requests {
		r.forget(func(in int32, id [16]byte) bool {
			_, known := s.partitions[segments.Partition{Topic: topic, Index: in}].keys[id]
			return known
		})
	}
	s.forgetOffsets(before)
	s.settings.forget(before)
	s.transactions.forgetIDs(before)
}

const producerExpiration = 24 * time.Hour

// newest is the newest time, by the coordinator's clock, of anything that the state remembers; zero
// if nothing that it remembers has a time.
func (s *State) newest() time.Time {
	millis := max(s.settings.newest(), s.transactions.newest())
	for _, p := range s.partitions {
		for _, pr := range p.producers {
			millis = max(millis, pr.lastTimestamp)
		}
	}
	for _, r := range s.requests {
		for _, q := range r {
			millis = max(millis, q.time)
		}
	}
	for _, g := range s.groups {
		millis = max(millis, g.forgottenTime)
		for _, c := range g.offsets {
			millis = max(millis, c.time)
		}
	}
	if millis <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// spans counts the spans of all partitions.
func (s *State) spans() int {
	n := 0
	for _, p := range s.partitions {
		n += len(p.spans) + len(p.beyond)
	}
	return n
}

// Young returns the spans of mixed segments whose ids are not older than since, by
// segment: what has survived of those that may be committed again. Nobody merges spans
// so young: see ProposeMerge.
func (s *State) Young(since time.Time) map[segments.ID][]CommitSpan {
	found := map[segments.ID][]CommitSpan{}
	for at, p := range s.partitions {
		for _, span := range p.spans {
			if span.Version == 0 && !span.Segment.Time().Before(since) {
				found[span.Segment] = append(found[span.Segment], CommitSpan{Partition: at, Span: span.Span})
			}
		}
	}
	return found
}

// CommitSeconds returns the seconds, since 1970, in which the mixed segments were sealed that spans
// are of: the newest MaxCommitSeconds of them, in order.
func (s *State) CommitSeconds() []int64 {
	seconds := map[int64]bool{}
	for _, p := range s.partitions {
		for _, span := range p.spans {
			if span.Version == 0 {
				seconds[span.Segment.Time().Unix()] = true
			}
		}
	}
	found := slices.Sorted(maps.Keys(seconds))
	return found[max(0, len(found)-MaxCommitSeconds):]
}

// MaxCommitSeconds is how many of the seconds in which segments were committed a coordinator
// remembers, when it has forgotten the commits themselves: many more than pass within the commit
// deadline.
const MaxCommitSeconds = 1200

func comparePartitions(a, b segments.Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}

func sortedPartitions[V any](m map[segments.Partition]V) []segments.Partition {
	return slices.SortedFunc(maps.Keys(m), comparePartitions)
}
