package batch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Options is what a batch says of itself beside its records. The zero value is of an uncompressed
// batch that producer 0 wrote: see NoProducer.
type Options struct {
	Codec         Codec
	ProducerID    int64 // -1: not idempotent
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
}

// NoProducer returns the options of a batch that is not idempotent.
func NoProducer(codec Codec) Options {
	return Options{Codec: codec, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}
}

// Build makes a batch of records. The first record's offset is the base offset; the others count up
// from it, whatever they say.
func Build(records []Record, o Options) ([]byte, error) {
	if len(records) == 0 || len(records) > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d records", ErrTooLarge, len(records))
	}
	base := records[0].Timestamp
	latest := base
	body := make([]byte, 0, sizeHint(records))
	for i := range records {
		latest = max(latest, records[i].Timestamp)
		body = appendRecord(body, &records[i], records[i].Timestamp-base, int64(i))
	}
	attributes := Attributes(o.Codec)
	if o.Transactional {
		attributes |= transactional
	}
	if o.Control {
		attributes |= control
	}
	h := Header{
		BaseOffset: records[0].Offset, Attributes: attributes, LastOffsetDelta: int32(len(records) - 1),
		Records:       int32(len(records)),
		BaseTimestamp: base, MaxTimestamp: latest,
		ProducerID: o.ProducerID, ProducerEpoch: o.ProducerEpoch, BaseSequence: o.BaseSequence,
	}
	b := appendHeader(make([]byte, 0, HeaderLen+len(body)), h)
	b, err := compress(b, o.Codec, body)
	if err != nil {
		return nil, err
	}
	return finish(b)
}

// finish writes the two fields that depend on all of a batch's bytes.
func finish(b []byte) ([]byte, error) {
	if len(b)-12 > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b))
	}
	binary.BigEndian.PutUint32(b[posLength:], uint32(len(b)-12))
	setCRC(b)
	return b, nil
}

// appendHeader appends the header, all but length and CRC.
func appendHeader(b []byte, h Header) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, uint64(h.BaseOffset))
	b = be.AppendUint32(b, 0)
	b = be.AppendUint32(b, uint32(h.LeaderEpoch))
	b = append(b, 2, 0, 0, 0, 0)
	b = be.AppendUint16(b, uint16(h.Attributes))
	b = be.AppendUint32(b, uint32(h.LastOffsetDelta))
	b = be.AppendUint64(b, uint64(h.BaseTimestamp))
	b = be.AppendUint64(b, uint64(h.MaxTimestamp))
	b = be.AppendUint64(b, uint64(h.ProducerID))
	b = be.AppendUint16(b, uint16(h.ProducerEpoch))
	b = be.AppendUint32(b, uint32(h.BaseSequence))
	return be.AppendUint32(b, uint32(h.Records))
}

func appendRecord(b []byte, r *Record, timestampDelta, offsetDelta int64) []byte {
	n := 1 + varintLen(timestampDelta) + varintLen(offsetDelta) + bytesLen(r.Key) + bytesLen(r.Value)
	n += varintLen(int64(len(r.Headers)))
	for i := range r.Headers {
		n += varintLen(int64(len(r.Headers[i].Key))) + len(r.Headers[i].Key) + bytesLen(r.Headers[i].Value)
	}
	b = binary.AppendVarint(b, int64(n))
	b = append(b, 0)
	b = binary.AppendVarint(b, timestampDelta)
	b = binary.AppendVarint(b, offsetDelta)
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for i := range r.Headers {
		b = binary.AppendVarint(b, int64(len(r.Headers[i].Key)))
		b = append(b, r.Headers[i].Key...)
		b = appendBytes(b, r.Headers[i].Value)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}

func bytesLen(v []byte) int {
	if v == nil {
		return 1
	}
	return varintLen(int64(len(v))) + len(v)
}

func varintLen(v int64) int {
	n := 1
	for u := uint64(v<<1) ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// sizeHint is about how many bytes the records will take.
func sizeHint(records []Record) int {
	n := 0
	for i := range records {
		n += 24 + len(records[i].Key) + len(records[i].Value)
		for j := range records[i].Headers {
			n += 8 + len(records[i].Headers[j].Key) + len(records[i].Headers[j].Value)
		}
	}
	return n
}
