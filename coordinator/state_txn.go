package coordinator

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"firn.dev/segments"
)

// transactions are what a State knows of transactional ids. What is open lies in the partitions.
type transactions struct {
	version   uint64 // the highest of any fact
	ids       map[string]*TransactionalID
	producers map[int64]string // which id has a producer id at present
	// endings whose markers are not all in their partitions' prefixes yet: their offsets do not count
	incomplete map[endingKey]incomplete

	deciding deciding // of a bare State; nil in others
}

// endingKey names an ending: versions of different ids differ, but facts of two incarnations that
// contradict each other must not hide one another.
type endingKey struct {
	id      string
	version uint64
}

// incomplete is an ending, and where its markers are that are awaited.
type incomplete struct {
	Ended
	markers map[segments.Partition]int64
}

func newTransactions() transactions {
	return transactions{ids: map[string]*TransactionalID{}, producers: map[int64]string{},
		incomplete: map[endingKey]incomplete{}}
}

// clone shares what is never changed.
func (t *transactions) clone() transactions {
	c := transactions{version: t.version, ids: maps.Clone(t.ids), producers: maps.Clone(t.producers),
		incomplete: make(map[endingKey]incomplete, len(t.incomplete))}
	for key, e := range t.incomplete {
		c.incomplete[key] = incomplete{e.Ended, maps.Clone(e.markers)}
	}
	return c
}

// partitionTransactions are those of one partition.
type partitionTransactions struct {
	open    map[int64]openTransaction // by producer id
	aborted []AbortedTransaction      // ordered by LastOffset; only ever appended to or cut at the front
}

// openTransaction is one that has records in a partition's prefix, and no marker.
type openTransaction struct {
	ordinal     uint64
	first, last int64 // offsets of its first and newest record
	since       int64 // when the first was committed, in milliseconds by the coordinator's clock
}

// AbortedTransaction is one that was aborted in a partition: of the producer's batches between the
// two offsets those that are transactional do not count.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64 // of its first record there
	LastOffset  int64 // of its marker
}

func (p *partitionTransactions) clone() *partitionTransactions {
	if p == nil {
		return nil
	}
	return &partitionTransactions{maps.Clone(p.open), slices.Clip(p.aborted)}
}

// transact takes in the transactional batches and the marker of a span that joined the prefix.
func (p *partition) transact(producers []ProducerBatch, marker *Marker, offset int64, keepAborted bool) {
	for i := range producers {
		if b := &producers[i]; b.Ordinal > 0 {
			p.enter(b)
		}
	}
	if marker == nil || p.txns == nil {
		return
	}
	open, there := p.txns.open[marker.ProducerID]
	if !there || open.ordinal > marker.Ordinal {
		return
	}
	delete(p.txns.open, marker.ProducerID)
	if marker.Result == Aborted && keepAborted && offset >= p.logStart {
		p.txns.aborted = append(p.txns.aborted, AbortedTransaction{marker.ProducerID, open.first, offset})
	}
}

// enter notes a transactional batch.
func (p *partition) enter(b *ProducerBatch) {
	if p.txns == nil {
		p.txns = &partitionTransactions{open: map[int64]openTransaction{}}
	}
	last := b.BaseOffset + int64((b.LastSequence-b.BaseSequence)&math.MaxInt32)
	open, there := p.txns.open[b.ProducerID]
	if !there || open.ordinal != b.Ordinal {
		open = openTransaction{ordinal: b.Ordinal, first: b.BaseOffset, since: b.LastTimestamp}
	}
	open.last = last
	p.txns.open[b.ProducerID] = open
}

// opened returns a producer's open transaction.
func (p *partition) opened(id int64) (openTransaction, bool) {
	if p.txns == nil {
		return openTransaction{}, false
	}
	open, there := p.txns.open[id]
	return open, there
}

// lastStable is the last stable offset: everything below it is decided.
func (p *partition) lastStable() int64 {
	stable := p.end
	if p.txns != nil {
		for _, open := range p.txns.open {
			stable = min(stable, open.first)
		}
	}
	return max(stable, p.logStart)
}

// trimAborted forgets what was aborted wholly below the log start.
func (p *partition) trimAborted() {
	if p.txns == nil {
		return
	}
	gone, _ := slices.BinarySearchFunc(p.txns.aborted, p.logStart, func(a AbortedTransaction, offset int64) int {
		return cmp.Compare(a.LastOffset, offset)
	})
	if p.txns.aborted = p.txns.aborted[gone:]; len(p.txns.aborted) == 0 {
		p.txns.aborted = nil
	}
}

// applyID takes a transactional id in.
func (s *State) applyID(t *TransactionalID) {
	s.transactions.version = max(s.transactions.version, t.Version)
	s.offsetsVersion = max(s.offsetsVersion, t.StagedVersion())
	old := s.transactions.ids[t.ID]
	if old != nil {
		if old.Version >= t.Version {
			return
		}
		if s.transactions.producers[old.ProducerID] == t.ID {
			delete(s.transactions.producers, old.ProducerID)
		}
	}
	s.transactions.ids[t.ID] = t
	if !t.Gone {
		s.transactions.producers[t.ProducerID] = t.ID
	}
}

// applyEndings takes the endings of a commit in, whose spans are.
func (s *State) applyEndings(c *Commit) {
	for i := range c.Endings {
		e := &c.Endings[i]
		s.applyID(&e.TransactionalID)
		markers := map[segments.Partition]int64{}
		for j := range c.Spans {
			if m := c.Spans[j].Marker; m != nil && e.has(m) {
				markers[c.Spans[j].Partition] = c.Spans[j].Span.Base
			}
		}
		s.transactions.incomplete[endingKey{e.ID, e.Version}] = incomplete{*e, markers}
	}
}

// has says whether a marker is of this ending.
func (e *Ended) has(m *Marker) bool {
	return m.Ordinal == e.Ordinal-1 && (m.ProducerID == e.ProducerID || m.ProducerID == e.EndedProducerID)
}

// complete lets the offsets of those endings and atomic requests count whose markers and spans are
// all in the prefixes by now; all tells whether it is so of all there are.
func (s *State) complete(all bool) {
	for key, e := range s.transactions.incomplete {
		s.reach(e.markers)
		if len(e.markers) == 0 || all {
			delete(s.transactions.incomplete, key)
			for i := range e.Offsets {
				s.count(&e.Offsets[i], e.Time)
			}
		}
	}
	s.completeAtomic(all)
}

// reach deletes what need not be awaited any more: offsets that prefixes have reached, and those of
// partitions that are deleted.
func (s *State) reach(awaited map[segments.Partition]int64) {
	maps.DeleteFunc(awaited, func(at segments.Partition, offset int64) bool {
		if t := s.topics[at.Topic]; t != nil && t.Deleted {
			return true
		}
		p := s.partitions[at]
		return p != nil && p.end > offset
	})
}

// count lets offsets count that were decided at a time.
func (s *State) count(o *StagedOffsets, millis int64) {
	for _, p := range o.Partitions {
		s.applyOffsets(&Offsets{Group: o.Group, Version: p.Version, Epoch: o.Epoch, Time: millis,
			Partitions: []GroupOffset{p.GroupOffset}})
	}
}

// placeAnew gives what a recovery has dropped from a partition new offsets, in the order of the old
// ones, if its facts are decided as a whole: markers where their transactions are open, and spans
// of atomic requests.
func (p *partition) placeAnew(dropped []beyondGap) {
	for i := range dropped {
		if dropped[i].atomic > 0 {
			p.placeAtomic(&dropped[i])
		}
		m := dropped[i].marker
		if m == nil {
			continue
		}
		if open, there := p.opened(m.ProducerID); there && open.ordinal == m.Ordinal {
			span := dropped[i].span
			span.Base, span.Last = p.end, p.end
			p.join(&CommitSpan{Span: span, Marker: m}, true)
		}
	}
}

// forgetIDs takes away the traces of ids that were forgotten before a time.
func (t *transactions) forgetIDs(before int64) {
	maps.DeleteFunc(t.ids, func(_ string, id *TransactionalID) bool { return id.Gone && id.Time < before })
}

// newest is the newest time of what is known of ids.
func (t *transactions) newest() int64 {
	millis := int64(math.MinInt64)
	for _, id := range t.ids {
		millis = max(millis, id.Time)
	}
	return millis
}
