package coordinator

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"firn.dev/segments"
)

func sortedTopics(topics map[segments.TopicID]*TopicFact) []*TopicFact {
	return slices.SortedFunc(maps.Values(topics), func(x, y *TopicFact) int { return bytes.Compare(x.ID[:], y.ID[:]) })
}

// version returns the version of the snapshot format in which the state is written: the lowest
// that can hold it, so that a bucket which uses nothing new can go back to a program that does not
// know the newer versions.
func (s *State) version() uint16 {
	if len(s.carriers().ids) > 0 {
		return snapshotCarried
	}
	if s.hasAtomic() {
		return snapshotAtomic
	}
	if s.hasTransactions() {
		return snapshotTxns
	}
	if s.settings.version > 0 || len(s.settings.byKey) > 0 {
		return snapshotSettings
	}
	if s.hasAnyOffsets() {
		return snapshotAnyOffset
	}
	if s.nonce != (Nonce{}) || len(s.doubts) > 0 {
		return snapshotDoubts
	}
	version := uint16(objectVersion)
	if s.hasGroups() {
		version = snapshotGroups
	}
	for _, p := range s.partitions {
		if p.merges == 0 && p.waiting == nil && !p.hasKeys() {
			continue
		}
		version = snapshotMerges
		for span := range p.allSpans() {
			if span.hasKind() {
				return snapshotKinds
			}
		}
	}
	return version
}

func appendState(b []byte, s *State, version uint16) []byte {
	b = appendString(b, s.clusterID)
	b = binary.AppendUvarint(b, uint64(s.nextProducerID))
	b = binary.AppendUvarint(b, uint64(len(s.topics)))
	for _, t := range sortedTopics(s.topics) {
		b = appendTopic(b, t)
	}
	keys := slices.DeleteFunc(sortedPartitions(s.partitions), func(at segments.Partition) bool {
		return s.partitions[at].empty()
	})
	b = binary.AppendUvarint(b, uint64(len(keys)))
	for _, at := range keys {
		b = appendPartitionState(appendPartition(b, at), at, s.partitions[at], version)
	}
	return b
}

func (d *decoder) state(in Incarnation, version uint16) *State {
	s := newState(in, d.string())
	s.nextProducerID = d.int64()
	for i, n := 0, d.count(16+5); i < n && d.err == nil; i++ {
		t := d.topic()
		if s.topics[t.ID] != nil {
			d.fail("topic %s twice", t.ID)
		}
		s.applyTopic(t)
	}
	for i, n := 0, d.count(16+6); i < n && d.err == nil; i++ {
		at := d.partition()
		if s.partitions[at] != nil {
			d.fail("partition %s twice", at)
		}
		p := &partition{}
		s.place(at, p)
		d.partitionState(at, p, version)
		s.keys += len(p.keys)
	}
	return s
}

// empty says that nothing has happened to the partition.
func (p *partition) empty() bool {
	return p.logStart == 0 && p.end == 0 && len(p.beyond) == 0 && len(p.waiting) == 0
}

func appendPartitionState(b []byte, at segments.Partition, p *partition, version uint16) []byte {
	b = binary.AppendUvarint(b, uint64(p.logStart))
	b = binary.AppendUvarint(b, uint64(p.end))
	b = binary.AppendUvarint(b, uint64(len(p.spans)))
	next := int64(0)
	for i := range p.spans {
		s := &p.spans[i].Span
		b = append(b, s.Segment[:]...)
		b = binary.AppendUvarint(b, uint64(s.Base-next))
		b = appendSpan(b, s)
		if version >= snapshotMerges {
			b = binary.AppendUvarint(b, s.Version)
		}
		if version >= snapshotKinds {
			b = appendKind(b, s)
		}
		next = s.Last + 1
	}
	b = binary.AppendUvarint(b, uint64(len(p.beyond)))
	for i := range p.beyond {
		g := &p.beyond[i]
		b = append(b, g.span.Segment[:]...)
		b = binary.AppendUvarint(b, uint64(g.span.Base))
		b = appendSpan(b, &g.span)
		b = appendProducerBatches(b, g.span.Base, g.producers)
		if version >= snapshotMerges {
			b = appendKeyed(b, g.span.Base, g.keyed)
		}
		if version >= snapshotTxns {
			b = appendOrdinals(b, g.producers, g.marker)
		}
		if version >= snapshotAtomic {
			b = binary.AppendUvarint(b, uint64(g.atomic))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(p.producers)))
	for _, id := range slices.Sorted(maps.Keys(p.producers)) {
		pr := p.producers[id]
		b = binary.AppendUvarint(b, uint64(id))
		b = binary.AppendUvarint(b, uint64(pr.epoch))
		b = binary.AppendVarint(b, pr.lastTimestamp)
		b = append(b, pr.count)
		for _, s := range pr.batches[:pr.count] {
			b = appendSequenced(b, 0, s)
		}
	}
	if version >= snapshotMerges {
		b = appendKeyed(b, 0, p.keyedIn(at))
		b = appendMerges(b, p, version)
	}
	if version >= snapshotTxns {
		b = appendPartitionTransactions(b, p.txns)
	}
	return b
}

func (d *decoder) partitionState(at segments.Partition, p *partition, version uint16) {
	p.logStart, p.end = d.int64(), d.int64()
	n := d.count(16 + 5)
	p.spans = make([]placed, 0, n)
	next, runningMax := int64(0), int64(math.MinInt64)
	for i := 0; i < n && d.err == nil; i++ {
		segment := segments.ID(d.id())
		s := d.span(segment, next+d.upTo(math.MaxInt64-1-next))
		if version >= snapshotMerges {
			s.Version = d.uvarint()
		}
		if version >= snapshotKinds {
			d.kind(&s)
		}
		if s.hasKind() && s.Version == 0 {
			d.fail("span %d-%d is of no merge", s.Base, s.Last)
		}
		runningMax = max(runningMax, s.MaxTimestamp)
		p.spans = append(p.spans, placed{s, runningMax})
		p.bytes += s.Length
		next = s.Last + 1
	}
	if next > p.end {
		d.fail("span up to %d, partition up to %d", next-1, p.end-1)
	}
	d.beyond(at, p, version)
	d.producers(p)
	if version >= snapshotMerges {
		d.keys(at, p)
		d.merges(at, p, version)
	}
	if version >= snapshotTxns {
		d.partitionTransactions(p)
	}
}

func (d *decoder) beyond(at segments.Partition, p *partition, version uint16) {
	n, last := d.count(16+6), p.end
	for i := 0; i < n && d.err == nil; i++ {
		segment := segments.ID(d.id())
		s := d.span(segment, d.int64())
		if s.Base < last || i == 0 && s.Base == last {
			d.fail("span at %d is not beyond %d", s.Base, last)
		}
		g := beyondGap{span: s, producers: d.producerBatches(s.Base)}
		if version >= snapshotMerges {
			g.keyed = d.keyed(at, s.Base)
		}
		if version >= snapshotTxns {
			g.marker = d.ordinals(&g.span, g.producers)
		}
		if version >= snapshotAtomic {
			g.atomic = d.uint32()
		}
		p.beyond = append(p.beyond, g)
		last = s.Last + 1
	}
}

func (d *decoder) producers(p *partition) {
	n := d.count(4)
	if n > 0 {
		p.producers = make(map[int64]*producer, min(n, maxProducers))
	}
	for i := 0; i < n && d.err == nil; i++ {
		id := d.int64()
		pr := &producer{epoch: d.int16(), lastTimestamp: d.varint(), count: d.byte()}
		if pr.count == 0 || pr.count > rememberedBatches {
			d.fail("producer %d with %d batches", id, pr.count)
			return
		}
		for j := range pr.batches[:pr.count] {
			pr.batches[j] = d.sequenced(0)
		}
		p.producers[id] = pr
	}
}

// appendDoubts encodes the generation of a state's facts, and what is in doubt.
func appendDoubts(b []byte, s *State) []byte {
	b = append(b, s.nonce[:]...)
	b = binary.AppendUvarint(b, uint64(len(s.doubts)))
	for i := range s.doubts {
		d := &s.doubts[i]
		b = appendPartition(b, d.Partition)
		b = append(b, d.Span.Segment[:]...)
		b = binary.AppendUvarint(b, uint64(d.Span.Base))
		b = appendSpan(b, &d.Span)
		b = binary.AppendUvarint(b, uint64(d.Generation.Incarnation))
		b = append(b, d.Generation.Nonce[:]...)
	}
	return b
}

func (d *decoder) doubts(s *State) {
	s.nonce = d.nonce()
	for i, n := 0, d.count(16+1+16+5+8); i < n && d.err == nil; i++ {
		at := d.partition()
		segment := segments.ID(d.id())
		s.doubts = append(s.doubts, Doubt{at, d.span(segment, d.int64()), Generation{Incarnation(d.uvarint()), d.nonce()}})
		if i > 0 && compareDoubts(s.doubts[i-1], s.doubts[i]) >= 0 {
			d.fail("what is in doubt is not in order")
		}
	}
}
