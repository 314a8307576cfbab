package batch

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// Record is one record. A nil key or value is Kafka's null, which is not the same as an empty one.
type Record struct {
	Offset    int64
	Timestamp int64 // milliseconds
	Key       []byte
	Value     []byte
	Headers   []RecordHeader
}

// RecordHeader is one header of a record (KIP-82).
type RecordHeader struct {
	Key   string
	Value []byte
}

// Records yields the records of a batch in order, decompressed if need be to no more than
// maxDecompressed bytes. It ends with an error at the first thing that is not right. The records'
// bytes are slices of b, or of memory that is theirs. Of a batch that is compressed, the loop over
// its records has the slot of a decoder: it must not read other batches, nor wait for anything.
func Records(b []byte, maxDecompressed int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		h, err := ReadHeader(b)
		if err != nil {
			yield(Record{}, err)
			return
		}
		rest := b[HeaderLen:h.Size()]
		if codec := h.Attributes.Codec(); codec != None {
			p := takeSlot()
			defer p.leave()
			rest, err = p.decompress(codec, rest, maxDecompressed)
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		for i := range h.Records {
			var raw rawRecord
			if raw, rest, err = parseRecord(rest); err == nil && i == h.Records-1 && len(rest) > 0 {
				err = errBehind
			}
			if err != nil {
				yield(Record{}, corruptRecord(i, err))
				return
			}
			if !yield(raw.record(h), nil) {
				return
			}
		}
	}
}

func corruptRecord(i int32, err error) error {
	return fmt.Errorf("%w: record %d: %w", ErrCorrupt, i, err)
}

// recordError is what is wrong with a record. It is made into an error that tells where by
// corruptRecord.
type recordError string

func (e recordError) Error() string { return string(e) }

const (
	errEnd    = recordError("ends before it should")
	errVarint = recordError("bad varint")
	errLength = recordError("bad length")
	errOffset = recordError("offset out of order")
	errBehind = recordError("bytes behind it")
)

// rawRecord is a record as it lies in the batch.
type rawRecord struct {
	timestampDelta int64
	offsetDelta    int64
	key, value     []byte
	headerCount    int
	headers        []byte // checked, but not taken apart
}

func (r *rawRecord) record(h Header) Record {
	record := Record{Offset: h.BaseOffset + r.offsetDelta, Timestamp: h.BaseTimestamp + r.timestampDelta, Key: r.key,
		Value: r.value}
	if h.Attributes.LogAppendTime() {
		record.Timestamp = h.MaxTimestamp
	}
	if r.headerCount > 0 {
		// each has two bytes or more, or there would have been an error
		record.Headers = make([]RecordHeader, 0, r.headerCount)
		p := parser{rest: r.headers}
		for range r.headerCount {
			record.Headers = append(record.Headers, RecordHeader{Key: string(p.bytes()), Value: p.bytes()})
		}
	}
	return record
}

// parseRecord reads the record that b begins with and returns what is behind it.
func parseRecord(b []byte) (rawRecord, []byte, error) {
	p := parser{rest: b}
	length := p.varint(0, math.MaxInt32)
	if p.err != "" {
		return rawRecord{}, nil, p.err
	}
	if length > int64(len(p.rest)) {
		return rawRecord{}, nil, errEnd
	}
	rest := p.rest[length:]
	p.rest = p.rest[:length]
	var r rawRecord
	p.skip(1) // attributes, none of which are in use
	r.timestampDelta = p.varint(math.MinInt64, math.MaxInt64)
	r.offsetDelta = p.varint(0, math.MaxInt32)
	r.key = p.bytes()
	r.value = p.bytes()
	r.headerCount = int(p.varint(0, math.MaxInt32))
	r.headers = p.rest
	for i := 0; i < r.headerCount && p.err == ""; i++ {
		if p.bytes() == nil && p.err == "" {
			p.err = errLength // a header's key is never null
		}
		p.bytes()
	}
	switch {
	case p.err != "":
		return rawRecord{}, nil, p.err
	case len(p.rest) > 0:
		return rawRecord{}, nil, errLength
	}
	return r, rest, nil
}

// parser reads the fields of a record, up to the first error.
type parser struct {
	rest []byte
	err  recordError
}

func (p *parser) fail(err recordError) {
	if p.err == "" {
		p.err = err
	}
	p.rest = nil
}

func (p *parser) skip(n int) {
	if len(p.rest) < n {
		p.fail(errEnd)
		return
	}
	p.rest = p.rest[n:]
}

func (p *parser) varint(least, most int64) int64 {
	v, n := binary.Varint(p.rest)
	if n <= 0 || v < least || v > most {
		p.fail(errVarint)
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

// bytes reads a length and as many bytes; nil for the length -1.
func (p *parser) bytes() []byte {
	n := p.varint(-1, math.MaxInt32)
	switch {
	case p.err != "" || n < 0:
		return nil
	case n > int64(len(p.rest)):
		p.fail(errEnd)
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}
