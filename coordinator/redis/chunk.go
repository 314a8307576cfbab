package redis

import (
	"encoding/binary"
	"fmt"
	"math"

	"firn/coordinator"
	"firn/segments"
)

// A chunk is what Redis keeps of a commit: what was asked and what was decided, from which every node makes the same fact. An entry `commit` of the
// stream is the segment's id and a chunk:
//
//	'C'
//	now             u64, milliseconds
//	request         u32 length, then as in request.go
//	decisions       of each group that was not answered before: u8 code, u64 offset
//
// What is remembered of a segment is the number of the newest fact that it became (u64, 0: none), and then, for each time that
// something of it was decided, the number of the fact (u64, 0: none), the length of the chunk (u32) and the chunk. The first may be one of
// spans that were recovered from the bucket:
//
//	'R'
//	· partition     topic id, u32 index
//	· span          u64 base, u64 last offset, u64 position, u64 length, u64 largest timestamp
const (
	chunkDecided   = 'C'
	chunkRecovered = 'R'
)

// Codes of decisions.
const (
	codeAccepted = iota
	codeUnknownPartition
	codeDuplicate
	codeOutOfOrder
	codeProducerEpoch
	codeKeyReused
	codeOtherPartitions
)

var codeErrors = [...]error{nil, coordinator.ErrUnknownPartition, coordinator.ErrDuplicate, coordinator.ErrOutOfOrder, coordinator.ErrProducerEpoch,
	coordinator.ErrKeyReused, coordinator.ErrOtherPartitions}

// remembered is what is known of a committed segment. A nil one answers nothing.
type remembered struct {
	seq     uint64 // of the newest fact; 0 if there is none
	spans   []coordinator.CommitSpan
	newest  []coordinator.CommitSpan // those of the newest fact
	answers map[segments.Partition]*answers
}

// answers are what is known of the batches of one partition. They are asked for in order of positions, mostly.
type answers struct {
	list []answered
	last int // that was found
}

// answered is bytes of a run that became part of a span, or were rejected.
type answered struct {
	position, length int64
	base             int64 // offset of the first record, if err is nil, or of the original
	err              error
}

// answer finds what is known of the batch at position; nil if nothing is.
func (m *remembered) answer(at segments.Partition, position int64) *answered {
	if m == nil || m.answers[at] == nil {
		return nil
	}
	known := m.answers[at]
	for i := range known.list {
		i = (known.last + i) % len(known.list)
		if a := &known.list[i]; position >= a.position && position < a.position+a.length {
			known.last = i
			return a
		}
	}
	return nil
}

func (m *remembered) note(at segments.Partition, a answered) {
	if m.answers == nil {
		m.answers = map[segments.Partition]*answers{}
	}
	if m.answers[at] == nil {
		m.answers[at] = &answers{}
	}
	m.answers[at].list = append(m.answers[at].list, a)
}

// noteSpans notes the spans from the first-th on.
func (m *remembered) noteSpans(first int) {
	for i := range m.spans[first:] {
		s := &m.spans[first+i]
		m.note(s.Partition, answered{s.Span.Position, s.Span.Length, s.Span.Base, nil})
	}
}

// covers says whether every batch of a request has its answer already.
func (m *remembered) covers(req *coordinator.CommitRequest) bool {
	for i := range req.Runs {
		run := &req.Runs[i]
		position := run.Position
		for j := range run.Batches {
			if m.answer(run.Partition, position) == nil {
				return false
			}
			position += int64(run.Batches[j].Length)
		}
	}
	return true
}

// add takes a chunk in.
func (m *remembered) add(segment segments.ID, chunk []byte) error {
	r := reader{rest: chunk}
	switch kind := r.byte(); kind {
	case chunkRecovered:
		m.recovered(segment, &r)
		return r.err
	case chunkDecided:
		return m.decided(segment, r)
	default:
		return fmt.Errorf("redis: malformed: a chunk of kind %d", kind)
	}
}

func (m *remembered) recovered(segment segments.ID, r *reader) {
	for len(r.rest) > 0 && r.err == nil {
		s := coordinator.CommitSpan{Partition: r.partition()}
		s.Span = coordinator.Span{Segment: segment, Base: r.int64(), Last: r.int64(), Position: r.int64(), Length: r.int64(), MaxTimestamp: r.int64()}
		m.spans = append(m.spans, s)
	}
	m.noteSpans(0)
}

// decided makes spans and rejections of what was asked and decided, exactly as Embedded does.
func (m *remembered) decided(segment segments.ID, r reader) error {
	now := r.int64()
	request := requestReader{reader{rest: r.bytes(int(r.uint32()))}}
	decisions := r
	first := len(m.spans)
	for runs := request.uint32(); runs > 0 && request.err == nil; runs-- {
		at, position := request.partition(), request.int64()
		open := none // index of the open span
		for groups := request.uint32(); groups > 0 && request.err == nil; groups-- {
			g := request.group()
			if g.kind == groupAnswered {
				open = none
			} else if code, offset := decisions.byte(), decisions.int64(); code == codeAccepted {
				if open == none {
					open = len(m.spans)
					m.spans = append(m.spans, coordinator.CommitSpan{Partition: at, Span: coordinator.Span{Segment: segment, Base: offset,
						Position: position, MaxTimestamp: math.MinInt64}})
				}
				extend(&m.spans[open], &g, offset, now)
			} else if int(code) < len(codeErrors) {
				open = none
				m.note(at, rejected(code, offset, position, g.bytes))
			} else {
				decisions.fail("decision %d", code)
			}
			position += g.bytes
		}
	}
	if len(decisions.rest)+len(request.rest) > 0 {
		decisions.fail("%d bytes too many", len(decisions.rest)+len(request.rest))
	}
	m.noteSpans(first)
	if len(m.spans) > first {
		m.newest = m.spans[first:len(m.spans):len(m.spans)]
	}
	if request.err != nil {
		return request.err
	}
	return decisions.err
}

func extend(s *coordinator.CommitSpan, g *group, offset, now int64) {
	s.Span.Last = offset + g.records - 1
	s.Span.Length += g.bytes
	s.Span.MaxTimestamp = max(s.Span.MaxTimestamp, g.timestamp)
	if g.kind == groupIdempotent {
		p := g.producer
		p.BaseOffset, p.LastTimestamp = offset, now
		s.Producers = append(s.Producers, p)
	}
	if g.kind == groupKeyed {
		s.Keyed = append(s.Keyed, coordinator.Keyed{RequestKey: *g.key, Partition: s.Partition, BaseOffset: offset, Records: int32(g.records), Time: now})
	}
}

func rejected(code byte, offset, position, length int64) answered {
	if code != codeDuplicate {
		offset = -1
	}
	return answered{position, length, offset, codeErrors[code]}
}

// decodeRemembered reads what Redis remembers of a segment.
func decodeRemembered(segment segments.ID, b []byte) (*remembered, error) {
	m := &remembered{}
	if len(b) == 0 {
		return m, nil
	}
	r := reader{rest: b}
	m.seq = uint64(r.int64())
	for len(r.rest) > 0 {
		r.int64()
		chunk := r.bytes(int(r.uint32()))
		if r.err != nil {
			break
		}
		if err := m.add(segment, chunk); err != nil {
			return nil, err
		}
	}
	return m, r.err
}

// appendRecovered encodes spans of one segment that were recovered from the bucket.
func appendRecovered(b []byte, spans []coordinator.CommitSpan) []byte {
	chunk := []byte{chunkRecovered}
	for i := range spans {
		s := &spans[i].Span
		chunk = appendPartition(chunk, spans[i].Partition)
		for _, n := range []int64{s.Base, s.Last, s.Position, s.Length, s.MaxTimestamp} {
			chunk = binary.BigEndian.AppendUint64(chunk, uint64(n))
		}
	}
	b = append(b, make([]byte, 16)...) // no fact
	b = binary.BigEndian.AppendUint32(b, uint32(len(chunk)))
	return append(b, chunk...)
}

// producerField names a producer in the hash of its partition.
func producerField(id int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(id)))
}

// appendProducer encodes a producer's state as commit.lua keeps it.
func appendProducer(b []byte, batches []coordinator.ProducerBatch) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(batches[0].Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(batches[0].LastTimestamp))
	for i := range batches {
		b = binary.BigEndian.AppendUint32(b, uint32(batches[i].BaseSequence))
		b = binary.BigEndian.AppendUint32(b, uint32(batches[i].LastSequence))
		b = binary.BigEndian.AppendUint64(b, uint64(batches[i].BaseOffset))
	}
	return b
}

// appendKeyed encodes a request as commit.lua keeps it.
func appendKeyed(b []byte, k *coordinator.Keyed) []byte {
	b = append(b, k.Body[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(k.Time))
	b = binary.BigEndian.AppendUint64(b, uint64(k.BaseOffset))
	b = binary.BigEndian.AppendUint32(b, uint32(k.Records))
	b = binary.BigEndian.AppendUint32(b, uint32(k.Partitions))
	return binary.BigEndian.AppendUint64(b, uint64(k.Timestamp))
}

// appendRequest encodes what a topic knows of a request as commit.lua keeps it.
func appendRequest(b []byte, q *coordinator.KeyedRequest) []byte {
	b = append(b, q.Body[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(q.Time))
	b = binary.BigEndian.AppendUint32(b, uint32(q.Partitions))
	return binary.BigEndian.AppendUint64(b, uint64(q.Timestamp))
}

// decodeRequest reads what commit.lua and appendRequest write; nil if that is nothing.
func decodeRequest(id [16]byte, text string) (*coordinator.RequestKey, error) {
	if text == "" {
		return nil, nil
	}
	r := reader{rest: []byte(text)}
	k := &coordinator.RequestKey{ID: id, Body: [16]byte(r.bytes(16))}
	r.int64() // when it was written
	k.Partitions, k.Timestamp = int32(r.uint32()), r.int64()
	return k, r.err
}

// appendDecided makes the chunk that commit.lua has made of the same.
func appendDecided(b []byte, now int64, request []byte, decisions string) []byte {
	b = binary.BigEndian.AppendUint64(append(b, chunkDecided), uint64(now))
	b = binary.BigEndian.AppendUint32(b, uint32(len(request)))
	return append(append(b, request...), decisions...)
}
