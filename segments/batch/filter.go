package batch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// RetainOptions is how Retain cleans a batch.
type RetainOptions struct {
	// Horizon is when the batch's tombstones may go, in milliseconds, if it has some and says nothing
	// of that itself; 0: they are not marked.
	Horizon int64
	// OwnHorizon says that a delete horizon in the batch is one that an earlier cleaning wrote, not
	// something that a producer claims.
	OwnHorizon bool
	// KeepEmpty says that a batch none of whose records stay is kept without records, for its offsets.
	KeepEmpty bool
	// MaxDecompressed bounds the bytes of the batch's records.
	MaxDecompressed int
}

// Retained is what is left of a batch.
type Retained struct {
	Bytes   []byte // nil: nothing. The batch itself if all of it stays as it is
	Records int    // how many
	Horizon int64  // when its tombstones may go, in milliseconds; 0 if it has none, or they are not marked
}

// Retain returns what is left of a batch when only the records stay that keep wants. Everything
// else is as Kafka's log cleaner leaves it: base offset, last offset delta, producer, sequence,
// codec and timestamp type stay, and every record keeps its offset and timestamp. If tombstones,
// which are records without a value, stay for the first time, the batch gets a delete horizon
// (KIP-534): attribute bit 6, and the horizon in the place of the base timestamp.
//
// The record that keep is handed has no headers, and is only good until keep returns. The batch is
// not changed.
func Retain(b []byte, o RetainOptions, keep func(*Record) bool) (Retained, error) {
	h, err := ReadHeader(b)
	if err != nil {
		return Retained{}, err
	}
	b = b[:h.Size()]
	if h.Records == 0 {
		if !o.KeepEmpty {
			b = nil
		}
		return Retained{Bytes: b}, nil
	}
	p := slotFor(len(b))
	defer p.leave()
	records, err := p.decompress(h.Attributes.Codec(), b[HeaderLen:], o.MaxDecompressed)
	if err != nil {
		return Retained{}, err
	}
	f := filtered{h: h, latest: math.MinInt64}
	if err := f.pick(records, keep); err != nil {
		return Retained{}, err
	}
	if f.count == 0 {
		if !o.KeepEmpty {
			return Retained{}, nil
		}
		out, err := f.empty()
		return Retained{Bytes: out}, err
	}
	horizon, known := h.DeleteHorizon()
	known = known && o.OwnHorizon
	switch {
	case !f.tombstones:
		horizon = 0
	case !known:
		horizon = o.Horizon
	}
	mark := horizon != 0 && !known
	if f.count == int(h.Records) && !mark {
		return Retained{b, f.count, horizon}, nil
	}
	out, err := f.build(b, records, horizon, mark)
	return Retained{out, f.count, horizon}, err
}

// filtered is the records of a batch that stay.
type filtered struct {
	h          Header
	kept       []extent // of the records' bytes, those that lie side by side as one
	count      int
	bytes      int
	latest     int64 // timestamp
	tombstones bool
}

// extent is from where to where.
type extent struct{ from, to int }

// pick asks keep for every record.
func (f *filtered) pick(records []byte, keep func(*Record) bool) error {
	rest := records
	var record Record
	for i := range f.h.Records {
		at := len(records) - len(rest)
		raw, behind, err := parseRecord(rest)
		switch rest = behind; {
		case err == nil && raw.offsetDelta > int64(f.h.LastOffsetDelta):
			err = errOffset
		case err == nil && i == f.h.Records-1 && len(rest) > 0:
			err = errBehind
		}
		if err != nil {
			return corruptRecord(i, err)
		}
		record = Record{Offset: f.h.BaseOffset + raw.offsetDelta, Timestamp: f.timestamp(raw.timestampDelta), Key: raw.key,
			Value: raw.value}
		if !keep(&record) {
			continue
		}
		to := len(records) - len(rest)
		if n := len(f.kept); n > 0 && f.kept[n-1].to == at {
			f.kept[n-1].to = to
		} else {
			f.kept = append(f.kept, extent{at, to})
		}
		f.count++
		f.bytes += to - at
		f.latest = max(f.latest, record.Timestamp)
		f.tombstones = f.tombstones || record.Value == nil
	}
	return nil
}

// timestamp is that of a record.
func (f *filtered) timestamp(delta int64) int64 {
	if f.h.Attributes.LogAppendTime() {
		return f.h.MaxTimestamp
	}
	return f.h.BaseTimestamp + delta
}

// build makes a batch of the records that stay.
func (f *filtered) build(b, records []byte, horizon int64, mark bool) ([]byte, error) {
	h := f.h
	h.Records, h.MaxTimestamp = int32(f.count), f.latest
	var body []byte
	var err error
	switch {
	case mark:
		h.Attributes, h.BaseTimestamp = h.Attributes|deleteHorizon, horizon
		if body, err = f.shift(records, horizon); err != nil {
			return nil, err
		}
	case len(f.kept) == 1:
		body = records[f.kept[0].from:f.kept[0].to]
	default:
		body = make([]byte, 0, f.bytes)
		for _, e := range f.kept {
			body = append(body, records[e.from:e.to]...)
		}
	}
	out := appendHeader(make([]byte, 0, HeaderLen+min(len(body), len(b)+len(b)/8)), h)
	out, err = compress(out, h.Attributes.Codec(), body)
	if err != nil {
		return nil, err
	}
	return finish(out)
}

// shift returns the records that stay, with timestamps that count from another base.
func (f *filtered) shift(records []byte, base int64) ([]byte, error) {
	out := make([]byte, 0, f.bytes+8*f.count)
	for _, e := range f.kept {
		for rest := records[e.from:e.to]; len(rest) > 0; {
			length, n := binary.Varint(rest) // it was parsed before
			body := rest[n : n+int(length)]
			rest = rest[n+int(length):]
			delta, m := binary.Varint(body[1:])
			shifted := f.timestamp(delta) - base
			size := length + int64(varintLen(shifted)-m)
			if size > math.MaxInt32 {
				return nil, fmt.Errorf("%w: a record of %d bytes", ErrTooLarge, size)
			}
			out = binary.AppendVarint(out, size)
			out = append(out, body[0])
			out = binary.AppendVarint(out, shifted)
			out = append(out, body[1+m:]...)
		}
	}
	return out, nil
}

// empty makes a batch without records, not compressed, of the batch's offsets and largest
// timestamp.
func (f *filtered) empty() ([]byte, error) {
	h := f.h
	h.Records, h.BaseTimestamp = 0, h.MaxTimestamp
	h.Attributes &^= codecMask | deleteHorizon
	return finish(appendHeader(make([]byte, 0, HeaderLen), h))
}
