package coordinator

import (
	"encoding/binary"
	"math"

	"firn/segments"
)

// The bytes of merges, in facts and in snapshots: FORMAT.md.

func appendMerge(dst []byte, m *Merge) []byte {
	dst = appendPartition(dst, m.Partition)
	dst = binary.AppendUvarint(dst, m.Version)
	dst = binary.AppendUvarint(dst, uint64(m.Base))
	dst = binary.AppendUvarint(dst, uint64(m.Last-m.Base))
	dst = binary.AppendUvarint(dst, uint64(len(m.Spans)))
	next := m.Base
	for i := range m.Spans {
		s := &m.Spans[i]
		dst = append(dst, s.Segment[:]...)
		dst = binary.AppendUvarint(dst, uint64(s.Base-next))
		dst = appendSpan(dst, s)
		next = s.Last + 1
	}
	return dst
}

func (d *decoder) merge() *Merge {
	m := &Merge{Partition: d.partition(), Version: d.uvarint(), Base: d.int64()}
	m.Last = m.Base + d.upTo(math.MaxInt64-1-m.Base)
	n := d.count(16 + 5)
	for i, next := 0, m.Base; i < n && d.err == nil; i++ {
		segment := segments.ID(d.id())
		s := d.span(segment, next+d.upTo(math.MaxInt64-1-next))
		s.Version = m.Version
		if s.Last > m.Last {
			d.fail("span %d-%d of a merge of offsets %d-%d", s.Base, s.Last, m.Base, m.Last)
		}
		m.Spans = append(m.Spans, s)
		next = s.Last + 1
	}
	if m.Version == 0 {
		d.fail("merge of version 0")
	}
	return m
}

// appendMerges appends what a snapshot has of a partition's merges: versions of its spans are beside those.
func appendMerges(b []byte, p *partition) []byte {
	b = binary.AppendUvarint(b, p.merges)
	b = binary.AppendUvarint(b, uint64(len(p.waiting)))
	for _, m := range p.waiting {
		b = appendMerge(b, m)
	}
	return b
}

func (d *decoder) merges(at segments.Partition, p *partition) {
	p.merges = d.uvarint()
	last := p.merges
	for i, n := 0, d.count(16+6); i < n && d.err == nil; i++ {
		m := d.merge()
		if m.Partition != at || m.Version <= last || m.Version == p.merges+1 && m.Last < p.end {
			d.fail("merge %d of %s waits in %s, behind %d", m.Version, m.Partition, at, last)
		}
		p.waiting, last = append(p.waiting, m), m.Version
	}
}
