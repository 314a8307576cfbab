package redis

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sort"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// A chunk is the request of a commit and the decisions about it, from which every node makes the
// same fact. An entry `commit` of the stream is the segment's id and a chunk:
//
//	'C'
//	now             u64, milliseconds
//	request         u32 length, then as in request.go
//	decisions       of each group that was not answered before: u8 code, u64 offset;
//	                of a transactional one also u64 ordinal
//
// The stream keeps it until it is trimmed, and at least until the fact is confirmed. Redis
// remembers much less of a segment for as long as it may be committed again, because whoever
// commits it again has the request: the number of the newest fact that it became (u64, 0: none) and
// then, for each time that a part of it was decided, or was recovered from the bucket, an array of
// MessagePack integers. The array has two or three for each answer, an answer standing for accepted
// batches that follow each other in a run, or for one rejected group:
//
//	position        of the first byte, less the end of the answer before (0 at first),
//	                times codes, and the code added
//	length          in bytes
//	offset          of the first record, or of a duplicate's original, less that of the answer
//	                before (0 at first); of other codes there is none
//
// So a run takes five to ten bytes. A position says which partition it is: runs of a
// segment share no bytes.
//
// If endings were decided as well, then 'T' and the endings come before the 'C', which is left out:
// u32 bytes, u32 how many, each as coordinator.AppendEnded has it. If atomic requests let offsets
// count, then 'A' and those come before that: u32 bytes, of each the number of the request u32, u32
// bytes, and the offsets as coordinator.CommitOffsets.AppendAtomic has them.
const (
	chunkDecided = 'C'
	chunkEnded   = 'T'
	chunkAtomic  = 'A'
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
	codeUnknownID
	codeConcurrent
	codeState
	codeTooLarge
	codeNotOpen
	codeBuildAnew
	codeNotWhole
	codeLeaseLost
	codes
)

var codeErrors = [codes]error{
	nil, coordinator.ErrUnknownPartition, coordinator.ErrDuplicate, coordinator.ErrOutOfOrder,
	coordinator.ErrProducerEpoch, coordinator.ErrKeyReused, coordinator.ErrOtherPartitions,
	coordinator.ErrTransactionalID, coordinator.ErrConcurrentTransactions,
	coordinator.ErrTransactionState, coordinator.ErrTransactionTooLarge, coordinator.ErrNotOpenThere,
	coordinator.ErrBuildAnew, coordinator.ErrNotWhole, coordinator.ErrLeaseLost,
}

// remembered is what is known of a committed segment. A nil one answers nothing.
type remembered struct {
	seq     uint64              // of the newest fact; 0 if there is none
	commit  *coordinator.Commit // the newest fact, while that awaits its confirmation
	answers []answered          // ordered by position
}

// answered is bytes of a run that became part of a span, or were rejected.
type answered struct {
	position, length int64
	code             byte
	offset           int64 // of the first record, or of the original of a duplicate
}

// answer finds what is known of the batch at position; nil if nothing is.
func (m *remembered) answer(position int64) *answered {
	if m == nil {
		return nil
	}
	i := sort.Search(len(m.answers), func(i int) bool { return position < m.answers[i].position+m.answers[i].length })
	if i == len(m.answers) || position < m.answers[i].position {
		return nil
	}
	return &m.answers[i]
}

// add takes in answers of bytes that had none.
func (m *remembered) add(more []answered) {
	m.answers = append(m.answers, more...)
	slices.SortFunc(m.answers, func(a, b answered) int { return cmp.Compare(a.position, b.position) })
}

// covers says whether every batch of a request has its answer already.
func (m *remembered) covers(req *coordinator.CommitRequest) bool {
	for i := range req.Runs {
		run := &req.Runs[i]
		position := run.Position
		for j := range run.Batches {
			if m.answer(position) == nil {
				return false
			}
			position += int64(run.Batches[j].Length)
		}
	}
	return true
}

// decodeChunk makes a commit and answers of a chunk.
func decodeChunk(segment segments.ID, chunk []byte) (*coordinator.Commit, []answered, error) {
	c := &coordinator.Commit{Segment: segment}
	r := reader{rest: chunk}
	kind, counting := r.byte(), reader{}
	if kind == chunkAtomic {
		counting.rest = r.bytes(int(r.uint32()))
		kind = r.byte()
	}
	switch {
	case kind == chunkEnded:
		c.Endings = r.endings(int(r.uint32()))
	case r.err == nil && kind != chunkDecided:
		r.fail("a chunk of kind %d", kind)
	}
	now := r.int64()
	d := decided{segment: segment, now: now, request: requestReader{reader{rest: r.bytes(int(r.uint32()))}}, decisions: r}
	spans, answers, err := d.decode()
	c.Spans, c.Atomic = spans, counting.atomic(now)
	return c, answers, cmp.Or(err, counting.err)
}

// atomic reads what atomic requests let count.
func (r *reader) atomic(now int64) (all []coordinator.AtomicOffsets) {
	for len(r.rest) > 0 {
		number := r.uint32()
		a, err := coordinator.DecodeAtomic(number, now, r.bytes(int(r.uint32())))
		if err != nil {
			r.fail("%v", err)
			return nil
		}
		all = append(all, a)
	}
	return all
}

// endings reads the endings of a chunk: how many there are, and so many bytes of them.
func (r *reader) endings(length int) []coordinator.Ended {
	b := reader{rest: r.bytes(length)}
	n := b.uint32()
	if b.err != nil || r.err != nil || int64(n) > int64(length) {
		r.fail("%d endings in %d bytes", n, length)
		return nil
	}
	endings, err := coordinator.DecodeEndings(b.rest, int(n))
	if err != nil {
		r.fail("endings: %v", err)
	}
	return endings
}

// decided is a chunk that is being taken apart.
type decided struct {
	segment   segments.ID
	now       int64
	request   requestReader
	decisions reader
	spans     []coordinator.CommitSpan
	rejected  []answered
}

// decode makes spans and rejections of what was asked and decided, exactly as Embedded does.
func (d *decided) decode() ([]coordinator.CommitSpan, []answered, error) {
	for runs := d.request.uint32(); runs > 0 && d.request.err == nil; runs-- {
		d.run()
	}
	if len(d.decisions.rest)+len(d.request.rest) > 0 {
		d.decisions.fail("%d bytes too many", len(d.decisions.rest)+len(d.request.rest))
	}
	if err := cmp.Or(d.request.err, d.decisions.err); err != nil {
		return nil, nil, err
	}
	return d.spans, append(spanAnswers(d.spans), d.rejected...), nil
}

func (d *decided) run() {
	at, position := d.request.partition(), d.request.int64()
	open := none // index of the open span
	for groups := d.request.uint32(); groups > 0 && d.request.err == nil; groups-- {
		g := d.request.group()
		if g.kind == groupAnswered {
			open = none
			position += g.bytes
			continue
		}
		code, offset := d.decisions.byte(), d.decisions.int64()
		if g.kind == groupTransactional {
			g.producer.Ordinal = uint64(d.decisions.int64())
		}
		if code == codeAccepted {
			if open == none || g.marker != nil || g.atomic > 0 {
				open = len(d.spans)
				span := coordinator.Span{Segment: d.segment, Base: offset, Position: position, MaxTimestamp: math.MinInt64}
				d.spans = append(d.spans, coordinator.CommitSpan{Partition: at, Span: span})
			}
			extend(&d.spans[open], &g, offset, d.now)
			if g.marker != nil {
				d.spans[open].Marker, open = g.marker, none
			}
			if g.atomic > 0 {
				d.spans[open].Atomic, open = g.atomic, none
			}
		} else if code < codes {
			open = none
			d.rejected = append(d.rejected, answered{position, g.bytes, code, offset})
		} else {
			d.decisions.fail("decision %d", code)
		}
		position += g.bytes
	}
}

// spanAnswers are the answers that spans of one segment stand for.
func spanAnswers(spans []coordinator.CommitSpan) []answered {
	answers := make([]answered, len(spans))
	for i := range spans {
		s := &spans[i].Span
		answers[i] = answered{s.Position, s.Length, codeAccepted, s.Base}
	}
	return answers
}

func extend(s *coordinator.CommitSpan, g *group, offset, now int64) {
	s.Span.Last = offset + g.records - 1
	s.Span.Length += g.bytes
	s.Span.MaxTimestamp = max(s.Span.MaxTimestamp, g.timestamp)
	if g.kind == groupIdempotent || g.kind == groupTransactional {
		p := g.producer
		p.BaseOffset, p.LastTimestamp = offset, now
		s.Producers = append(s.Producers, p)
	}
	if g.kind == groupKeyed || g.kind == groupAtomic {
		k := coordinator.Keyed{RequestKey: *g.key, Partition: s.Partition, BaseOffset: offset, Time: now}
		k.Records = int32(g.records)
		s.Keyed = append(s.Keyed, k)
	}
}

// decodeRemembered reads what Redis remembers of a segment.
func decodeRemembered(b []byte) (*remembered, error) {
	m := &remembered{}
	if len(b) == 0 {
		return m, nil
	}
	r := reader{rest: b}
	m.seq = uint64(r.int64())
	var answers []answered
	for len(r.rest) > 0 {
		end, offset := int64(0), int64(0)
		for left := r.packedArray(); left > 0 && r.err == nil; left -= 2 {
			n := r.packedInt()
			code := (n%codes + codes) % codes // positions may go back
			a := answered{position: end + (n-code)/codes, length: r.packedInt(), code: byte(code)}
			if code == codeAccepted || code == codeDuplicate {
				offset += r.packedInt()
				a.offset = offset
				left--
			}
			end = a.position + a.length
			answers = append(answers, a)
		}
	}
	m.add(answers)
	return m, r.err
}

// appendRecovered encodes what is remembered of a segment of which these spans were
// recovered from the bucket.
func appendRecovered(b []byte, spans []coordinator.CommitSpan) []byte {
	b = append(b, make([]byte, 8)...) // no fact
	b = appendPackedArray(b, 3*len(spans))
	end, offset := int64(0), int64(0)
	for i := range spans {
		s := &spans[i].Span
		b = appendPackedInt(b, (s.Position-end)*codes+codeAccepted)
		b = appendPackedInt(b, s.Length)
		b = appendPackedInt(b, s.Base-offset)
		end, offset = s.Position+s.Length, s.Base
	}
	return b
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
