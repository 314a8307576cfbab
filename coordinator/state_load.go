package coordinator

import (
	"iter"
	"maps"
	"slices"

	"firn.dev/segments"
)

// What a coordinator outside of this package needs of a recovered State, to load it.

// Topics yields every topic, ordered by id. Deleted ones are among them: their ids
// are never used again.
func (s *State) Topics() iter.Seq[TopicFact] {
	return func(yield func(TopicFact) bool) {
		for _, t := range sortedTopics(s.topics) {
			if !yield(*t) {
				return
			}
		}
	}
}

// NextProducerID is the first producer id that nobody has.
func (s *State) NextProducerID() int64 { return s.nextProducerID }

// PartitionState is what a coordinator needs to go on where a partition ends.
type PartitionState struct {
	LogStart  int64
	End       int64           // the next offset
	Producers []ProducerBatch // the newest batches of each producer in its current epoch, oldest first
	Merges    uint64          // version of the newest merge
}

// Partitions yields every partition that something has happened to, in order.
func (s *State) Partitions() iter.Seq2[segments.Partition, PartitionState] {
	return func(yield func(segments.Partition, PartitionState) bool) {
		for _, at := range sortedPartitions(s.partitions) {
			p := s.partitions[at]
			if !p.empty() && !yield(at, PartitionState{p.logStart, p.end, p.producerBatches(), p.merges}) {
				return
			}
		}
	}
}

// Keyed yields the requests that partitions remember, partition by partition.
func (s *State) Keyed() iter.Seq2[segments.Partition, []Keyed] {
	return func(yield func(segments.Partition, []Keyed) bool) {
		for _, at := range sortedPartitions(s.partitions) {
			if p := s.partitions[at]; len(p.keys) > 0 && !yield(at, p.keyedIn(at)) {
				return
			}
		}
	}
}

// TransactionalIDs yields every transactional id as it stands, in order, and the newest offset of
// its open transaction in each partition. Forgotten ones are among them.
func (s *State) TransactionalIDs() iter.Seq2[*TransactionalID, map[segments.Partition]int64] {
	return func(yield func(*TransactionalID, map[segments.Partition]int64) bool) {
		t := transactions{ids: s.transactions.ids, producers: s.transactions.producers}
		t.decide(s, nil)
		for _, id := range slices.Sorted(maps.Keys(t.ids)) {
			if !yield(t.ids[id], t.open(id)) {
				return
			}
		}
	}
}

// TransactionsVersion is the highest version of a fact of a transactional id so far: a coordinator
// that loads the state counts on from here.
func (s *State) TransactionsVersion() uint64 { return s.transactions.version }

// KeyedRequest is what a topic knows of a request, whichever of its partitions remember it.
type KeyedRequest struct {
	RequestKey
	Topic segments.TopicID
	Time  int64 // of its newest commit
}

// Requests yields the requests that partitions remember, each once, topic by topic.
func (s *State) Requests() iter.Seq[KeyedRequest] {
	return func(yield func(KeyedRequest) bool) {
		for topic, requests := range s.requests {
			for _, q := range requests {
				if !yield(KeyedRequest{q.RequestKey, topic, q.time}) {
					return
				}
			}
		}
	}
}

// producerBatches returns what producers is made of.
func (p *partition) producerBatches() []ProducerBatch {
	var batches []ProducerBatch
	for _, id := range slices.Sorted(maps.Keys(p.producers)) {
		pr := p.producers[id]
		for _, b := range pr.batches[:pr.count] {
			batches = append(batches, ProducerBatch{id, pr.epoch, b.base, b.last, b.offset, pr.lastTimestamp, 0})
		}
	}
	return batches
}
