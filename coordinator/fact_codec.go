package coordinator

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"firn.dev/segments"
)

// Kinds of facts, as FORMAT.md numbers them.
const (
	factCommit      = 1
	factTopic       = 2
	factLogStart    = 3
	factProducerIDs = 4
	factOffsets     = 5
	factMerge       = 6
	factSettings    = 7
	factID          = 8 // transactional
)

const factVersion = 1

// AppendFact appends the bytes of f: FORMAT.md, "Facts". Equal facts have equal bytes.
func AppendFact(dst []byte, f *Fact) []byte {
	head := func(kind byte) []byte {
		return binary.AppendUvarint(append(dst, kind, factVersion), uint64(f.Incarnation))
	}
	switch {
	case f.Commit != nil:
		version := f.Commit.version()
		dst = binary.AppendUvarint(append(dst, factCommit, version), uint64(f.Incarnation))
		return appendCommit(dst, f.Commit, version)
	case f.Topic != nil:
		return appendTopic(head(factTopic), f.Topic)
	case f.LogStart != nil:
		dst = binary.AppendUvarint(head(factLogStart), uint64(len(f.LogStart.Offsets)))
		for _, at := range sortedPartitions(f.LogStart.Offsets) {
			dst = binary.AppendUvarint(appendPartition(dst, at), uint64(f.LogStart.Offsets[at]))
		}
		return dst
	case f.ProducerIDs != nil:
		return binary.AppendUvarint(head(factProducerIDs), uint64(f.ProducerIDs.End))
	case f.Offsets != nil:
		version := f.Offsets.version()
		dst = binary.AppendUvarint(append(dst, factOffsets, version), uint64(f.Incarnation))
		return appendOffsets(dst, f.Offsets, version)
	case f.Merge != nil:
		version := f.Merge.version()
		dst = binary.AppendUvarint(append(dst, factMerge, version), uint64(f.Incarnation))
		return appendMerge(dst, f.Merge, version)
	case f.Settings != nil:
		return appendSettings(head(factSettings), f.Settings)
	case f.TransactionalID != nil:
		return appendTransactionalID(head(factID), f.TransactionalID)
	}
	panic("coordinator: a fact without content")
}

// newestVersion is the newest version of a kind of facts.
func newestVersion(kind byte) byte {
	switch kind {
	case factCommit:
		return atomicVersion
	case factOffsets:
		return anyOffsetVersion
	case factMerge:
		return kindsVersion
	}
	return factVersion
}

// DecodeFact reads what AppendFact wrote. The fact shares no memory with b.
func DecodeFact(b []byte) (*Fact, error) {
	d := &decoder{rest: b}
	kind, version := d.byte(), d.byte()
	if d.err == nil && (kind < factCommit || kind > factID || version > newestVersion(kind)) {
		return nil, fmt.Errorf("%w: fact of kind %d, version %d", ErrNewer, kind, version)
	}
	if d.err == nil && version == 0 {
		d.fail("fact version 0")
	}
	f := &Fact{Incarnation: Incarnation(d.uvarint())}
	switch kind {
	case factCommit:
		f.Commit = d.commit(version)
	case factTopic:
		f.Topic = d.topic()
	case factLogStart:
		f.LogStart = d.logStart()
	case factProducerIDs:
		f.ProducerIDs = &ProducerIDs{End: d.int64()}
	case factOffsets:
		f.Offsets = d.offsets(version)
	case factMerge:
		f.Merge = d.merge(version)
	case factSettings:
		f.Settings = d.settings()
	case factID:
		f.TransactionalID = d.transactionalID()
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return f, nil
}

func appendPartition(dst []byte, at segments.Partition) []byte {
	return binary.AppendUvarint(append(dst, at.Topic[:]...), uint64(at.Index))
}

func (d *decoder) partition() segments.Partition {
	return segments.Partition{Topic: d.id(), Index: d.int32()}
}

func appendCommit(dst []byte, c *Commit, version byte) []byte {
	dst = append(dst, c.Segment[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(c.Spans)))
	for i := range c.Spans {
		s := &c.Spans[i]
		dst = appendPartition(dst, s.Partition)
		dst = binary.AppendUvarint(dst, uint64(s.Span.Base))
		dst = appendSpan(dst, &s.Span)
		dst = appendProducerBatches(dst, s.Span.Base, s.Producers)
		if version >= keyedVersion {
			dst = appendKeyed(dst, s.Span.Base, s.Keyed)
		}
		if version >= transactionsVersion {
			dst = appendOrdinals(dst, s.Producers, s.Marker)
		}
		if version >= atomicVersion {
			dst = binary.AppendUvarint(dst, uint64(s.Atomic))
		}
	}
	if version >= transactionsVersion {
		dst = appendEndings(dst, c.Endings)
	}
	if version >= atomicVersion {
		dst = appendAtomic(dst, c.Atomic)
	}
	return dst
}

func (d *decoder) commit(version byte) *Commit {
	c := &Commit{Segment: d.id()}
	n := d.count(16 + 7)
	if n > 0 {
		c.Spans = make([]CommitSpan, 0, n)
	}
	for i := 0; i < n && d.err == nil; i++ {
		s := CommitSpan{Partition: d.partition()}
		s.Span = d.span(c.Segment, d.int64())
		s.Producers = d.producerBatches(s.Span.Base)
		if version >= keyedVersion {
			s.Keyed = d.keyed(s.Partition, s.Span.Base)
		}
		if version >= transactionsVersion {
			s.Marker = d.ordinals(&s.Span, s.Producers)
		}
		if version >= atomicVersion {
			s.Atomic = d.uint32()
		}
		c.Spans = append(c.Spans, s)
	}
	if version >= transactionsVersion {
		c.Endings = d.endings()
	}
	if version >= atomicVersion {
		c.Atomic = d.atomic()
	}
	return c
}

// appendSpan appends what is behind a span's base offset and segment.
func appendSpan(dst []byte, s *Span) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.Last-s.Base))
	dst = binary.AppendUvarint(dst, uint64(s.Position))
	dst = binary.AppendUvarint(dst, uint64(s.Length))
	return binary.AppendVarint(dst, s.MaxTimestamp)
}

func (d *decoder) span(segment segments.ID, base int64) Span {
	s := Span{Segment: segment, Base: base}
	s.Last = base + d.upTo(math.MaxInt64-1-base)
	s.Position = d.int64()
	s.Length = d.upTo(math.MaxInt64 - s.Position)
	s.MaxTimestamp = d.varint()
	return s
}

func appendProducerBatches(dst []byte, base int64, batches []ProducerBatch) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(batches)))
	for i := range batches {
		b := &batches[i]
		dst = binary.AppendUvarint(dst, uint64(b.ProducerID))
		dst = binary.AppendUvarint(dst, uint64(b.Epoch))
		dst = appendSequenced(dst, base, sequenced{b.BaseSequence, b.LastSequence, b.BaseOffset})
		dst = binary.AppendVarint(dst, b.LastTimestamp)
	}
	return dst
}

func (d *decoder) producerBatches(base int64) []ProducerBatch {
	n := d.count(6)
	if n == 0 {
		return nil
	}
	batches := make([]ProducerBatch, 0, min(n, 1024))
	for i := 0; i < n && d.err == nil; i++ {
		b := ProducerBatch{ProducerID: d.int64(), Epoch: d.int16()}
		s := d.sequenced(base)
		b.BaseSequence, b.LastSequence, b.BaseOffset = s.base, s.last, s.offset
		b.LastTimestamp = d.varint()
		batches = append(batches, b)
	}
	return batches
}

// appendSequenced appends a batch's first sequence number, how many follow it, and
// its offset behind base.
func appendSequenced(dst []byte, base int64, s sequenced) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.base))
	dst = binary.AppendUvarint(dst, uint64((s.last-s.base)&math.MaxInt32))
	return binary.AppendUvarint(dst, uint64(s.offset-base))
}

func (d *decoder) sequenced(base int64) sequenced {
	first := d.int32()
	last := int32((int64(first) + int64(d.int32())) & math.MaxInt32)
	return sequenced{first, last, base + d.upTo(math.MaxInt64-1-base)}
}

func appendTopic(dst []byte, t *TopicFact) []byte {
	dst = append(dst, t.ID[:]...)
	dst = appendString(dst, t.Name)
	dst = binary.AppendUvarint(dst, t.Version)
	dst = binary.AppendUvarint(dst, uint64(t.Partitions))
	dst = appendBool(dst, t.Deleted)
	dst = binary.AppendUvarint(dst, uint64(len(t.Configs)))
	for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
		dst = appendString(appendString(dst, key), t.Configs[key])
	}
	return dst
}

func (d *decoder) topic() *TopicFact {
	t := &TopicFact{ID: d.id(), Name: d.string(), Version: d.uvarint(), Partitions: d.int32(), Deleted: d.bool()}
	n := d.count(2)
	for i := 0; i < n && d.err == nil; i++ {
		if t.Configs == nil {
			t.Configs = map[string]string{}
		}
		key := d.string()
		t.Configs[key] = d.string()
	}
	return t
}

func (d *decoder) logStart() *LogStart {
	l := &LogStart{Offsets: map[segments.Partition]int64{}}
	n := d.count(16 + 2)
	for i := 0; i < n && d.err == nil; i++ {
		at := d.partition()
		l.Offsets[at] = d.int64()
	}
	return l
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}
