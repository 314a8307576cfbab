package redis

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// A commit request as commit.lua reads it; all numbers are big-endian.
//
//	runs            u32
//	· partition     topic id, u32 index
//	· position      u64, of the run's first byte in the segment
//	· groups        u32
//	· · kind        u8
//	plain:          u64 records, u64 bytes, u64 largest timestamp
//	idempotent:     u32 records, u32 bytes, u64 largest timestamp, u64 producer id, u16 epoch,
//	                u32 first sequence number
//	answered:       u64 bytes
//	transactional:  as idempotent, u8 protocol
//	marker:         u32 bytes, u64 timestamp, u32 which ending (from 1; 0: one that is refused),
//	                u64 producer id, u64 ordinal, u8 result
//	atomic:         as keyed, u32 which atomic request (from 1)
//	keyed:          u32 records, u32 bytes, u64 largest timestamp, request id (16 bytes),
//	                hash of its body (16), u32 partitions, u64 its timestamp
//
// Batches of a run that follow each other and are neither idempotent nor keyed are one group: Redis
// treats them alike, and need not see each. So are batches that were answered before: Redis needs
// to know nothing of those.
const (
	groupPlain      = 0
	groupIdempotent = 1
	groupAnswered   = 2
	groupKeyed      = 3

	groupTransactional = 4
	groupMarker        = 5
	groupAtomic        = 6

	plainLen      = 8 + 8 + 8
	idempotentLen = 4 + 4 + 8 + 8 + 2 + 4
	answeredLen   = 8
	runLen        = partitionLen + 8 + 4
)

// encodeRequest encodes what is new in a request: what prior does not answer.
//
// numbers has the number under which each ending is asked for, 0 if it is refused.
func encodeRequest(req *coordinator.CommitRequest, prior *remembered, numbers []int) *requestEncoder {
	e := &requestEncoder{prior: prior, endings: req.Endings, numbers: numbers,
		seen: make(map[segments.Partition]bool, len(req.Runs))}
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(len(req.Runs)))
	for i := range req.Runs {
		e.run(&req.Runs[i])
	}
	return e
}

type requestEncoder struct {
	b          []byte
	prior      *remembered
	seen       map[segments.Partition]bool // whether it is among idempotent
	partitions []byte                      // names of all, each once
	idempotent []string                    // names of those with new idempotent batches, in the order in which they come
	keyed      []segments.Partition        // those with new keyed ones, each once, in the order in which they come

	withKeys map[segments.Partition]bool // those in keyed

	endings       []coordinator.Ending
	numbers       []int
	transactional []int64 // producer ids of transactional batches, each once

	groups, bytes, records, timestamp int64 // groups of the run; of the open group the rest
	open                              int   // kind of the open group, or none
}

const none = -1

func (e *requestEncoder) run(run *coordinator.CommitRun) {
	if _, seen := e.seen[run.Partition]; !seen {
		e.seen[run.Partition] = false
		e.partitions = appendPartition(e.partitions, run.Partition)
	}
	e.b = appendPartition(e.b, run.Partition)
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(run.Position))
	count := len(e.b)
	e.b = append(e.b, 0, 0, 0, 0)
	e.groups, e.open = 0, none
	position := run.Position
	for i := range run.Batches {
		b := &run.Batches[i]
		switch {
		case e.prior.answer(position) != nil:
			e.extend(groupAnswered, b)
		case b.Key != nil:
			e.close()
			e.keyedBatch(run.Partition, b)
		case b.ProducerID < 0:
			e.extend(groupPlain, b)
		case b.Ending > 0:
			e.close()
			e.marker(b)
		default:
			e.close()
			e.batch(run.Partition, b)
		}
		position += int64(b.Length)
	}
	e.close()
	binary.BigEndian.PutUint32(e.b[count:], uint32(e.groups))
}

// extend adds a batch to the open group, or begins one.
func (e *requestEncoder) extend(kind int, b *coordinator.CommitBatch) {
	if e.open != kind {
		e.close()
		e.open, e.bytes, e.records, e.timestamp = kind, 0, 0, math.MinInt64
	}
	e.bytes += int64(b.Length)
	e.records += int64(b.Records)
	e.timestamp = max(e.timestamp, b.MaxTimestamp)
}

func (e *requestEncoder) close() {
	switch e.open {
	case groupPlain:
		e.b = append(e.b, groupPlain)
		e.b = binary.BigEndian.AppendUint64(e.b, uint64(e.records))
		e.b = binary.BigEndian.AppendUint64(e.b, uint64(e.bytes))
		e.b = binary.BigEndian.AppendUint64(e.b, uint64(e.timestamp))
	case groupAnswered:
		e.b = append(e.b, groupAnswered)
		e.b = binary.BigEndian.AppendUint64(e.b, uint64(e.bytes))
	default:
		return
	}
	e.groups++
	e.open = none
}

// marker adds the marker of an ending.
func (e *requestEncoder) marker(b *coordinator.CommitBatch) {
	ending := &e.endings[b.Ending-1]
	e.b = append(e.b, groupMarker)
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.Length))
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(b.MaxTimestamp))
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(e.numbers[b.Ending-1]))
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(ending.ProducerID))
	e.b = append(binary.BigEndian.AppendUint64(e.b, ending.Ordinal), byte(ending.Result))
	e.groups++
}

func (e *requestEncoder) batch(at segments.Partition, b *coordinator.CommitBatch) {
	if b.Protocol == coordinator.NotTransactional {
		e.b = append(e.b, groupIdempotent)
	} else {
		e.b = append(e.b, groupTransactional)
		if !slices.Contains(e.transactional, b.ProducerID) {
			e.transactional = append(e.transactional, b.ProducerID)
		}
	}
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.Records))
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.Length))
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(b.MaxTimestamp))
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(b.ProducerID))
	e.b = binary.BigEndian.AppendUint16(e.b, uint16(b.ProducerEpoch))
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.BaseSequence))
	if b.Protocol != coordinator.NotTransactional {
		e.b = append(e.b, byte(b.Protocol))
	}
	e.groups++
	if !e.seen[at] {
		e.seen[at] = true
		e.idempotent = append(e.idempotent, partitionField(at))
	}
}

func (e *requestEncoder) keyedBatch(at segments.Partition, b *coordinator.CommitBatch) {
	if b.Atomic > 0 {
		e.b = append(e.b, groupAtomic)
	} else {
		e.b = append(e.b, groupKeyed)
	}
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.Records))
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.Length))
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(b.MaxTimestamp))
	e.b = append(e.b, b.Key.ID[:]...)
	e.b = append(e.b, b.Key.Body[:]...)
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.Key.Partitions))
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(b.Key.Timestamp))
	if b.Atomic > 0 {
		e.b = binary.BigEndian.AppendUint32(e.b, uint32(b.Atomic))
	}
	e.groups++
	if !e.withKeys[at] {
		if e.withKeys == nil {
			e.withKeys = map[segments.Partition]bool{}
		}
		e.withKeys[at] = true
		e.keyed = append(e.keyed, at)
	}
}

// appendAtomic encodes atomic requests for commit.lua. Of each: batches u32, the lease (u32 length,
// then its name; empty: there are no offsets), the number of its epoch u64, the version of the
// offsets u64, and the offsets (u32 length, then as coordinator.CommitOffsets.AppendAtomic has
// them).
func appendAtomic(b []byte, in coordinator.Incarnation, requests []coordinator.Atomic) []byte {
	for i := range requests {
		a := &requests[i]
		b = binary.BigEndian.AppendUint32(b, uint32(a.Batches))
		lease, number, version, offsets := "", uint64(0), uint64(0), []byte(nil)
		if o := a.Offsets; o != nil {
			lease, version, offsets = o.Lease, o.Version, o.AppendAtomic(nil)
			if o.Epoch>>32 == uint64(in) {
				number = uint64(uint32(o.Epoch)) // else 0, which no lease has
			}
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(lease))), lease...)
		b = binary.BigEndian.AppendUint64(b, number)
		b = binary.BigEndian.AppendUint64(b, version)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(offsets))), offsets...)
	}
	return b
}

// keyedTopics are the topics of the partitions in keyed, each once, in the order in
// which they come.
func (e *requestEncoder) keyedTopics() []segments.TopicID {
	var topics []segments.TopicID
	seen := map[segments.TopicID]bool{}
	for _, at := range e.keyed {
		if !seen[at.Topic] {
			seen[at.Topic] = true
			topics = append(topics, at.Topic)
		}
	}
	return topics
}

// group is one decoded group of a request.
type group struct {
	kind                      byte
	bytes, records, timestamp int64
	producer                  coordinator.ProducerBatch // of an idempotent one: what is known before it has an offset
	key                       *coordinator.RequestKey   // of a keyed one
	marker                    *coordinator.Marker
	atomic                    uint32
}

// requestReader reads a request back.
type requestReader struct{ reader }

func (r *requestReader) group() group {
	g := group{kind: r.byte()}
	switch g.kind {
	case groupPlain:
		g.records, g.bytes, g.timestamp = r.int64(), r.int64(), r.int64()
	case groupIdempotent, groupTransactional:
		g.records, g.bytes, g.timestamp = int64(r.uint32()), int64(r.uint32()), r.int64()
		g.producer.ProducerID, g.producer.Epoch, g.producer.BaseSequence = r.int64(), int16(r.uint16()), int32(r.uint32())
		g.producer.LastSequence = int32((int64(g.producer.BaseSequence) + g.records - 1) & math.MaxInt32)
		if g.kind == groupTransactional {
			r.byte() // the protocol
		}
	case groupMarker:
		g.records, g.bytes, g.timestamp = 1, int64(r.uint32()), r.int64()
		r.uint32() // which ending
		g.marker = &coordinator.Marker{ProducerID: r.int64(), Ordinal: uint64(r.int64()),
			Result: coordinator.Result(r.byte())}
	case groupAnswered:
		g.bytes = r.int64()
	case groupKeyed, groupAtomic:
		g.records, g.bytes, g.timestamp = int64(r.uint32()), int64(r.uint32()), r.int64()
		g.key = &coordinator.RequestKey{ID: [16]byte(r.bytes(16)), Body: [16]byte(r.bytes(16)),
			Partitions: int32(r.uint32()), Timestamp: r.int64()}
		if g.kind == groupAtomic {
			g.atomic = r.uint32()
		}
	default:
		r.fail("a group of kind %d", g.kind)
	}
	return g
}

// reader takes fields off the front of bytes that came from Redis. After the first
// failure it returns zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("redis: malformed: "+format, args...)
	}
	r.rest = nil
}

var zeros [partitionLen]byte

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.fail("%d bytes expected, %d left", n, len(r.rest))
		return zeros[:min(max(n, 0), len(zeros))]
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte     { return r.bytes(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.bytes(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.bytes(4)) }
func (r *reader) int64() int64   { return int64(binary.BigEndian.Uint64(r.bytes(8))) }

func (r *reader) partition() segments.Partition {
	return parsePartition(string(r.bytes(partitionLen)))
}
