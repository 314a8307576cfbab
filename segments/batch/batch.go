// Package batch reads and writes Kafka record batches (format v2, KIP-98): the unit that Firn takes
// from producers, keeps in segments and gives to consumers, byte for byte. It knows nothing of
// topics, offsets' owners or storage.
package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"
	"strings"
)

// HeaderLen is the length of a batch before its records.
const HeaderLen = 61

// Positions of the header's fields. All are big-endian. The CRC-32C covers everything from the
// attributes on, so the base offset and the leader epoch can be written without touching it.
const (
	posBaseOffset      = 0
	posLength          = 8 // of what follows this field
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posRecords         = 57
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Attributes of a batch.
type Attributes int16

// Codec is a compression codec as the attributes number it.
type Codec int8

// The codecs of Kafka.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

const (
	codecMask     Attributes = 7
	logAppendTime Attributes = 8
	transactional Attributes = 16
	control       Attributes = 32
	deleteHorizon Attributes = 64
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// ParseCodec is the codec of a name that String gives.
func ParseCodec(name string) (Codec, error) {
	if i := slices.Index(codecNames[:], name); i >= 0 {
		return Codec(i), nil
	}
	return None, fmt.Errorf("%w %q: there are %s", ErrCodec, name, strings.Join(codecNames[:], ", "))
}

// String is the codec's name in Kafka's compression.type.
func (c Codec) String() string {
	if c < 0 || int(c) >= len(codecNames) {
		return fmt.Sprintf("codec %d", int8(c))
	}
	return codecNames[c]
}

func (a Attributes) Codec() Codec        { return Codec(a & codecMask) }
func (a Attributes) LogAppendTime() bool { return a&logAppendTime != 0 }
func (a Attributes) Transactional() bool { return a&transactional != 0 }
func (a Attributes) Control() bool       { return a&control != 0 }

// Header is the fixed part of a batch.
type Header struct {
	BaseOffset      int64
	Length          int32 // of the batch after this field; Size is the whole
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32
	Attributes      Attributes
	LastOffsetDelta int32
	BaseTimestamp   int64 // milliseconds
	MaxTimestamp    int64 // milliseconds
	ProducerID      int64 // -1: none
	ProducerEpoch   int16
	BaseSequence    int32
	Records         int32
}

// DeleteHorizon is when the batch's tombstones may go, in milliseconds; false if no cleaning has
// said so (KIP-534). It stands in the place of the base timestamp, from which those of the records
// count all the same.
func (h Header) DeleteHorizon() (int64, bool) {
	if h.Attributes&deleteHorizon == 0 {
		return 0, false
	}
	return h.BaseTimestamp, true
}

// Errors of this package. ErrMagic is what a batch of the old formats v0 and v1 gets.
var (
	ErrCorrupt  = errors.New("corrupt record batch")
	ErrMagic    = errors.New("record batch format is not v2")
	ErrCRC      = errors.New("record batch fails its CRC-32C")
	ErrCodec    = errors.New("unknown compression codec")
	ErrTooLarge = errors.New("record batch is too large")
)

// Size is the length of the whole batch in bytes.
func (h Header) Size() int { return int(h.Length) + 12 }

// LastSequence is the sequence number of the last record. Sequence numbers wrap to 0 after 2^31-1.
func (h Header) LastSequence() int32 {
	return int32((int64(h.BaseSequence) + int64(h.LastOffsetDelta)) & 0x7fffffff)
}

// ReadHeader reads the header of the batch that b begins with. It checks that the header and the
// whole batch lie within b and that the format is v2, and nothing else.
func ReadHeader(b []byte) (Header, error) {
	if len(b) < posMagic+1 {
		return Header{}, fmt.Errorf("%w: %d bytes are no header", ErrCorrupt, len(b))
	}
	if magic := int8(b[posMagic]); magic != 2 {
		return Header{Magic: magic}, fmt.Errorf("%w: magic %d", ErrMagic, magic)
	}
	if len(b) < HeaderLen {
		return Header{}, fmt.Errorf("%w: %d bytes are no header", ErrCorrupt, len(b))
	}
	be := binary.BigEndian
	h := Header{
		BaseOffset:      int64(be.Uint64(b[posBaseOffset:])),
		Length:          int32(be.Uint32(b[posLength:])),
		LeaderEpoch:     int32(be.Uint32(b[posLeaderEpoch:])),
		Magic:           2,
		CRC:             be.Uint32(b[posCRC:]),
		Attributes:      Attributes(be.Uint16(b[posAttributes:])),
		LastOffsetDelta: int32(be.Uint32(b[posLastOffsetDelta:])),
		BaseTimestamp:   int64(be.Uint64(b[posBaseTimestamp:])),
		MaxTimestamp:    int64(be.Uint64(b[posMaxTimestamp:])),
		ProducerID:      int64(be.Uint64(b[posProducerID:])),
		ProducerEpoch:   int16(be.Uint16(b[posProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(b[posBaseSequence:])),
		Records:         int32(be.Uint32(b[posRecords:])),
	}
	if h.Length < HeaderLen-12 || h.Size() > len(b) {
		return Header{}, fmt.Errorf("%w: length %d in %d bytes", ErrCorrupt, h.Length, len(b)-12)
	}
	return h, nil
}

// CheckBytes verifies that b is one whole batch of format v2, with nothing behind it, whose CRC-32C
// is right.
func CheckBytes(b []byte) (Header, error) {
	h, err := ReadHeader(b)
	switch {
	case err != nil:
		return h, err
	case h.Size() != len(b):
		return h, fmt.Errorf("%w: %d bytes behind it", ErrCorrupt, len(b)-h.Size())
	case crc32.Checksum(b[posAttributes:], castagnoli) != h.CRC:
		return h, ErrCRC
	}
	return h, nil
}

// Check verifies what every batch must satisfy before Firn takes it from a producer: CheckBytes, at
// least one record, and as many offsets as records. It does not decompress.
func Check(b []byte) (Header, error) {
	h, err := CheckBytes(b)
	if err == nil && (h.Records < 1 || h.LastOffsetDelta != h.Records-1) {
		err = fmt.Errorf("%w: %d records, last offset delta %d", ErrCorrupt, h.Records, h.LastOffsetDelta)
	}
	return h, err
}

// All yields each batch of run with its header, in order, without checking CRCs. It ends with an
// error at the first bytes that are not a whole batch.
func All(run []byte) iter.Seq2[Header, error] {
	return func(yield func(Header, error) bool) {
		for len(run) > 0 {
			h, err := ReadHeader(run)
			if !yield(h, err) || err != nil {
				return
			}
			run = run[h.Size():]
		}
	}
}

// SetBaseOffset writes the offset of the first record, and leader epoch 0, into the header. The CRC
// stays valid.
func SetBaseOffset(b []byte, offset int64) {
	binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(offset))
	binary.BigEndian.PutUint32(b[posLeaderEpoch:], 0)
}

// SetLogAppendTime makes millis the timestamp of all records, as a topic with
// message.timestamp.type=LogAppendTime wants it, and writes the CRC anew. b has passed Check.
func SetLogAppendTime(b []byte, millis int64) {
	b[posAttributes+1] |= byte(logAppendTime)
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(millis))
	setCRC(b)
}

// SetMaxTimestamp writes the largest timestamp of the records, and the CRC anew.
func SetMaxTimestamp(b []byte, millis int64) {
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(millis))
	setCRC(b)
}

func setCRC(b []byte) {
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posAttributes:], castagnoli))
}
