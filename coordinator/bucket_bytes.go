package coordinator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Errors of the formats in FORMAT.md. An old program gets ErrNewer when it meets what
// a newer one wrote.
var (
	ErrMalformed = errors.New("malformed")
	ErrNewer     = errors.New("written by a newer version of firn")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	magicLen  = 8
	headerLen = magicLen + 2 // magic, version
	crcLen    = 4
)

// appendHeader begins an object.
func appendHeader(dst []byte, magic string, version uint16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, magic...), version)
}

// appendCRC ends an object that began at the first byte of dst.
func appendCRC(dst []byte) []byte { return appendCRCFrom(dst, 0) }

// appendCRCFrom ends an object that began at a position of dst.
func appendCRCFrom(dst []byte, begin int) []byte {
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
}

// openObject checks what every object has: magic, version, CRC. It returns a decoder
// of what lies between.
func openObject(object []byte, magic string, version uint16) (*decoder, error) {
	if len(object) < headerLen+crcLen || string(object[:magicLen]) != magic {
		return nil, fmt.Errorf("%w: does not begin with %q", ErrMalformed, magic)
	}
	if v := objectVersionOf(object); v > version {
		return nil, fmt.Errorf("%w: format version %d, this one knows %d", ErrNewer, v, version)
	} else if v == 0 {
		return nil, fmt.Errorf("%w: format version 0", ErrMalformed)
	}
	body, sum := object[:len(object)-crcLen], binary.BigEndian.Uint32(object[len(object)-crcLen:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return nil, fmt.Errorf("%w: CRC-32C is %08x, should be %08x", ErrMalformed, got, sum)
	}
	return &decoder{rest: body[headerLen:]}, nil
}

// objectVersionOf returns the version of an object that openObject has checked.
func objectVersionOf(object []byte) uint16 { return binary.BigEndian.Uint16(object[magicLen:]) }

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// decoder reads fields off the front of rest. After the first failure it returns zeros, and err
// says what failed, so that callers check once.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
	d.rest = nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("bad varint")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("bad varint")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// upTo reads a number that is at most limit.
func (d *decoder) upTo(limit int64) int64 {
	v := d.uvarint()
	if v > uint64(limit) {
		d.fail("number %d is beyond %d", v, limit)
		return 0
	}
	return int64(v)
}

func (d *decoder) int64() int64   { return d.upTo(math.MaxInt64) }
func (d *decoder) int32() int32   { return int32(d.upTo(math.MaxInt32)) }
func (d *decoder) uint32() uint32 { return uint32(d.upTo(math.MaxUint32)) }
func (d *decoder) int16() int16   { return int16(d.upTo(math.MaxInt16)) }

// count reads how many elements follow, each of at least size bytes: so a wrong count cannot make a
// caller allocate more than the object is long.
func (d *decoder) count(size int) int {
	return int(d.upTo(int64(len(d.rest)/size + 1)))
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.fail("%d bytes expected, %d left", n, len(d.rest))
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) id() (id [16]byte) {
	copy(id[:], d.bytes(16))
	return id
}

func (d *decoder) nonce() (n Nonce) {
	copy(n[:], d.bytes(len(n)))
	return n
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	b := d.byte()
	if b > 1 {
		d.fail("boolean %d", b)
	}
	return b == 1
}

func (d *decoder) uint64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) string() string { return string(d.bytes(d.count(1))) }

// end fails unless everything was read.
func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes too many", len(d.rest))
	}
	return d.err
}
