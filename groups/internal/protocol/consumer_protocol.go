package protocol

import (
	"encoding/binary"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Consumers of the classic protocol embed a protocol of their own in it, which a server that
// assigns for them has to read and write: Kafka's ConsumerProtocolSubscription in a Join's
// metadata, and ConsumerProtocolAssignment in a Sync's assignment. Numbers are big-endian; strings
// have an int16 length, arrays and bytes an int32 length, and bytes may be null (-1). Newer
// versions only add fields behind the others.

// embeddedSubscription is what a consumer says of itself: version 0 has topics and user data, 1
// what it owns, 2 its generation, 3 its rack.
type embeddedSubscription struct {
	version int16
	topics  []string
	owned   []embeddedTopic
	rack    string
}

// embeddedTopic is partitions of a topic.
type embeddedTopic struct {
	name       string
	partitions []int32
}

// embeddedReader reads what members sent: after the first thing that is not there in full it only
// returns nothing.
type embeddedReader struct {
	b   []byte
	bad bool
}

func (r *embeddedReader) span(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *embeddedReader) int16() int16 {
	if b := r.span(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *embeddedReader) int32() int32 {
	if b := r.span(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *embeddedReader) text() string { return string(r.span(int(r.int16()))) }

// bytes returns nil for null.
func (r *embeddedReader) bytes() []byte {
	if n := r.int32(); n >= 0 {
		return r.span(int(n))
	}
	return nil
}

// topics reads an array of topics with partitions.
func (r *embeddedReader) topics() (topics []embeddedTopic) {
	for n := r.int32(); n > 0 && !r.bad; n-- {
		t := embeddedTopic{name: r.text()}
		for p := r.int32(); p > 0 && !r.bad; p-- {
			t.partitions = append(t.partitions, r.int32())
		}
		topics = append(topics, t)
	}
	return topics
}

// readSubscription reads a ConsumerProtocolSubscription.
func readSubscription(b []byte) (s embeddedSubscription, ok bool) {
	r := embeddedReader{b: b}
	s.version = r.int16()
	for n := r.int32(); n > 0 && !r.bad; n-- {
		s.topics = append(s.topics, r.text())
	}
	r.bytes() // user data: for other members alone
	if s.version >= 1 {
		s.owned = r.topics()
	}
	if s.version >= 2 {
		r.int32() // generation
	}
	if s.version >= 3 {
		if n := r.int16(); n >= 0 {
			s.rack = string(r.span(int(n)))
		}
	}
	return s, !r.bad && s.version >= 0
}

// readAssignment reads a ConsumerProtocolAssignment. One with user data is an assignor's that the
// server does not know.
func readAssignment(b []byte) (topics []embeddedTopic, userData, ok bool) {
	if len(b) == 0 {
		return nil, false, true
	}
	r := embeddedReader{b: b}
	version := r.int16()
	topics = r.topics()
	userData = len(r.bytes()) > 0
	return topics, userData, !r.bad && version >= 0
}

// appendAssignment writes a ConsumerProtocolAssignment. It leaves out topics that are no longer in
// the catalog.
func appendAssignment(b []byte, version int16, assigned map[segments.Partition]int32, topics *Catalog) []byte {
	indexes := map[*coordinator.Topic][]int32{}
	var order []*coordinator.Topic
	for at := range assigned {
		t := topics.byID[at.Topic]
		if t == nil {
			continue
		}
		if indexes[t] == nil {
			order = append(order, t)
		}
		indexes[t] = append(indexes[t], at.Index)
	}
	slices.SortFunc(order, byName)
	be := binary.BigEndian
	b = be.AppendUint16(b, uint16(version))
	b = be.AppendUint32(b, uint32(len(order)))
	for _, t := range order {
		b = be.AppendUint16(b, uint16(len(t.Name)))
		b = append(b, t.Name...)
		slices.Sort(indexes[t])
		b = be.AppendUint32(b, uint32(len(indexes[t])))
		for _, n := range indexes[t] {
			b = be.AppendUint32(b, uint32(n))
		}
	}
	return be.AppendUint32(b, 1<<32-1) // no user data
}

// partitions returns those of topics that there are.
func (c *Catalog) partitions(topics []embeddedTopic) []segments.Partition {
	all := []segments.Partition{}
	for _, t := range topics {
		known := c.byName[t.name]
		if known == nil {
			continue
		}
		for _, n := range t.partitions {
			if n >= 0 && n < known.Partitions {
				all = append(all, segments.Partition{Topic: known.ID, Index: n})
			}
		}
	}
	return all
}
