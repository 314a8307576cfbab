package redis

import "encoding/binary"

// Redis' scripts pack numbers with cmsgpack, its MessagePack library: small ones take one byte.
// These are the arrays and integers of MessagePack
// (github.com/msgpack/msgpack/blob/master/spec.md), and nothing else of it.
const (
	packedFixArray = 0x90 // to 0x9f: up to 15 elements
	packedArray16  = 0xdc
	packedArray32  = 0xdd

	packedNegative = 0xe0 // to 0xff: -32 to -1; below 0x80: 0 to 127
	packedUint8    = 0xcc // and of 2, 4 and 8 bytes behind it
	packedInt8     = 0xd0 // the same
	packedInt64    = 0xd3
)

// packedArray reads the head of an array and returns its length.
func (r *reader) packedArray() int64 {
	switch b := r.byte(); {
	case b&0xf0 == packedFixArray:
		return int64(b & 0x0f)
	case b == packedArray16:
		return int64(r.uint16())
	case b == packedArray32:
		return int64(r.uint32())
	default:
		r.fail("%#x where an array should begin", b)
		return 0
	}
}

func (r *reader) packedInt() int64 {
	b := r.byte()
	switch {
	case b < 0x80 || b >= packedNegative:
		return int64(int8(b))
	case b >= packedUint8 && b < packedInt8:
		return int64(r.unsigned(1 << (b - packedUint8)))
	case b >= packedInt8 && b <= packedInt64:
		size := 1 << (b - packedInt8)
		unused := 64 - 8*size
		return int64(r.unsigned(size)<<unused) >> unused
	}
	r.fail("%#x where a number should be", b)
	return 0
}

// unsigned reads a number of some bytes.
func (r *reader) unsigned(size int) (n uint64) {
	for _, b := range r.bytes(size) {
		n = n<<8 | uint64(b)
	}
	return n
}

func appendPackedArray(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, packedArray32), uint32(n))
}

// appendPackedInt appends a number in as few bytes as it needs, with its sign.
func appendPackedInt(b []byte, n int64) []byte {
	switch {
	case n >= -32 && n < 128:
		return append(b, byte(n))
	case n == int64(int16(n)):
		return binary.BigEndian.AppendUint16(append(b, packedInt8+1), uint16(n))
	case n == int64(int32(n)):
		return binary.BigEndian.AppendUint32(append(b, packedInt8+2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, packedInt64), uint64(n))
}
