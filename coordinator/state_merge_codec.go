package coordinator

import (
	"encoding/binary"
	"fmt"
	"math"

	"firn.dev/segments"
)

// The bytes of merges, in facts and in snapshots: FORMAT.md.

// kindsVersion is the version of merge facts whose spans have kinds. One without is
// written as version 1.
const kindsVersion = 2

// Kinds of spans, as FORMAT.md numbers them.
const (
	spanPlain     = 0
	spanCompacted = 1
	spanListed    = 2
)

// maxListed is how many spans one may stand for.
const maxListed = 1 << 16

// hasKind says whether the span is not plain.
func (s *Span) hasKind() bool { return s.Listed > 0 || s.Compacted }

func (m *Merge) version() byte {
	for i := range m.Spans {
		if m.Spans[i].hasKind() {
			return kindsVersion
		}
	}
	return factVersion
}

// appendKind appends what tells a span of a merge from others.
func appendKind(dst []byte, s *Span) []byte {
	switch {
	case s.Listed > 0:
		return binary.AppendUvarint(append(dst, spanListed), uint64(s.Listed))
	case s.Compacted:
		return binary.AppendVarint(append(dst, spanCompacted), s.Horizon)
	}
	return append(dst, spanPlain)
}

// kind reads what appendKind wrote.
func (d *decoder) kind(s *Span) {
	switch kind := d.byte(); kind {
	case spanPlain:
	case spanCompacted:
		s.Compacted, s.Horizon = true, d.varint()
	case spanListed:
		s.Listed = uint32(d.upTo(maxListed))
	default:
		d.fail("span of kind %d", kind)
	}
	if err := s.kindError(); err != nil && d.err == nil {
		d.fail("%w", err)
	}
}

// kindError says what is wrong with a span of a kind; nil if nothing is.
func (s *Span) kindError() error {
	switch {
	case s.Listed > 0 && (s.Position != 0 || s.Length < 1 || s.Listed > maxListed || int64(s.Listed)-1 > s.Last-s.Base):
		return fmt.Errorf("span %d-%d stands for %d spans, of bytes %d+%d", s.Base, s.Last, s.Listed, s.Position, s.Length)
	case s.Listed > 0 && s.Compacted:
		return fmt.Errorf("span %d-%d stands for others and was compacted", s.Base, s.Last)
	case !s.Compacted && s.Horizon != 0:
		return fmt.Errorf("span %d-%d was not compacted, and its tombstones have a horizon", s.Base, s.Last)
	}
	return nil
}

func appendMerge(dst []byte, m *Merge, version byte) []byte {
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
		if version >= kindsVersion {
			dst = appendKind(dst, s)
		}
		next = s.Last + 1
	}
	return dst
}

func (d *decoder) merge(version byte) *Merge {
	m := &Merge{Partition: d.partition(), Version: d.uvarint(), Base: d.int64()}
	m.Last = m.Base + d.upTo(math.MaxInt64-1-m.Base)
	n := d.count(16 + 5)
	for i, next := 0, m.Base; i < n && d.err == nil; i++ {
		segment := segments.ID(d.id())
		s := d.span(segment, next+d.upTo(math.MaxInt64-1-next))
		s.Version = m.Version
		if version >= kindsVersion {
			d.kind(&s)
		}
		if s.Listed > 0 && n > 1 {
			d.fail("one of %d spans of a merge stands for others", n)
		}
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

// mergeVersion is the version in which a snapshot of that version has its merges.
func mergeVersion(snapshot uint16) byte {
	if snapshot >= snapshotKinds {
		return kindsVersion
	}
	return factVersion
}

// appendMerges appends what a snapshot holds of a partition's merges: the versions of its spans are
// stored beside the spans.
func appendMerges(b []byte, p *partition, version uint16) []byte {
	b = binary.AppendUvarint(b, p.merges)
	b = binary.AppendUvarint(b, uint64(len(p.waiting)))
	for _, m := range p.waiting {
		b = appendMerge(b, m, mergeVersion(version))
	}
	return b
}

func (d *decoder) merges(at segments.Partition, p *partition, version uint16) {
	p.merges = d.uvarint()
	last := p.merges
	for i, n := 0, d.count(16+6); i < n && d.err == nil; i++ {
		m := d.merge(mergeVersion(version))
		if m.Partition != at || m.Version <= last || m.Version == p.merges+1 && m.Last < p.end {
			d.fail("merge %d of %s waits in %s, behind %d", m.Version, m.Partition, at, last)
		}
		p.waiting, last = append(p.waiting, m), m.Version
	}
}
