package batch

import "hash/crc32"

// ExtendCRC returns the CRC-32C of some bytes and then b, from crc, which is that of the bytes. b
// is a whole batch with header h, whose own CRC is known to be right: of a large one what that
// covers is not read again.
func ExtendCRC(crc uint32, h *Header, b []byte) uint32 {
	if len(b) < minCombined {
		return crc32.Update(crc, castagnoli, b)
	}
	crc = crc32.Update(crc, castagnoli, b[:posAttributes])
	return multiply(crc, shift(len(b)-posAttributes)) ^ h.CRC
}

// minCombined is the size from which combining CRCs is faster than reading so many bytes.
const minCombined = 16 << 10

// A CRC is a polynomial over the bits, modulo that of CRC-32C, with the highest power in the lowest
// bit. That of two pieces of data is the first one's CRC times x to the power of the second one's
// bits, and the second one's CRC added. See zlib's crc32_combine.

// multiply multiplies two polynomials.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; bit > 0 && a&(bit|(bit-1)) > 0; bit >>= 1 {
		if a&bit > 0 {
			product ^= b
		}
		b = b>>1 ^ crc32.Castagnoli*(b&1)
	}
	return product
}

// shift returns x to the power of the bits of so many bytes.
func shift(bytes int) uint32 {
	power := uint32(1) << 31 // of x: 0
	for i := 0; bytes > 0; i, bytes = i+1, bytes>>1 {
		if bytes&1 > 0 {
			power = multiply(power, shifts[i])
		}
	}
	return power
}

// shifts are x to the power of 8, 16, 32 and so on.
var shifts = func() (powers [32]uint32) {
	powers[0] = 1 << (31 - 8)
	for i := range powers[1:] {
		powers[i+1] = multiply(powers[i], powers[i])
	}
	return powers
}()
