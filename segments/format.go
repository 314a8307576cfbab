package segments

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The tables of FORMAT.md. The position constants are offsets from the beginning of each part.
const (
	version = 1

	headerMagic  = "FIRNSEG\n"
	trailerMagic = "\nGESNRIF"

	headerLen = 32
	headerID  = 12
	headerCRC = 28

	trailerLen     = 32
	trailerFooter  = 0
	trailerLength  = 8
	trailerFootCRC = 12
	trailerVersion = 16
	trailerCRC     = 20
	trailerEnd     = 24

	maxObjectLen = 1 << 40
	maxFooterLen = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}

func badCRC(what string) error { return fmt.Errorf("%w: %s: %w", ErrCorrupt, what, ErrCRC) }

func appendHeader(b []byte, kind Kind, id ID) []byte {
	start := len(b)
	b = append(b, headerMagic...)
	b = append(b, version, byte(kind), 0, 0)
	b = append(b, id[:]...)
	return binary.BigEndian.AppendUint32(b, checksum(b[start:]))
}

// parseHeader checks magic, version, CRC and kind, in this order: so that each failure is told from
// the others.
func parseHeader(b []byte) (Kind, ID, error) {
	switch {
	case len(b) < len(headerMagic) || string(b[:len(headerMagic)]) != headerMagic:
		return 0, ID{}, ErrMagic
	case len(b) < headerLen:
		return 0, ID{}, corrupt("header of %d bytes", len(b))
	case b[8] != version:
		return 0, ID{}, fmt.Errorf("%w: %d", ErrVersion, b[8])
	case binary.BigEndian.Uint32(b[headerCRC:]) != checksum(b[:headerCRC]):
		return 0, ID{}, badCRC("header")
	}
	kind, err := parseKind(b[9:12])
	return kind, ID(b[headerID:headerCRC]), err
}

// parseKind reads a kind and the two zeros behind it.
func parseKind(b []byte) (Kind, error) {
	kind := Kind(b[0])
	if kind != Mixed && kind != Merged || b[1] != 0 || b[2] != 0 {
		return 0, corrupt("kind % x", b[:3])
	}
	return kind, nil
}

// trailer is where the footer lies.
type trailer struct {
	kind   Kind
	footer int64
	length int64
	crc    uint32
}

func (t trailer) append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(t.footer))
	b = binary.BigEndian.AppendUint32(b, uint32(t.length))
	b = binary.BigEndian.AppendUint32(b, t.crc)
	b = append(b, version, byte(t.kind), 0, 0)
	b = binary.BigEndian.AppendUint32(b, checksum(b[start:]))
	return append(b, trailerMagic...)
}

// parseTrailer reads the trailer that b ends with.
func parseTrailer(b []byte) (trailer, error) {
	if len(b) < trailerLen || string(b[len(b)-len(trailerMagic):]) != trailerMagic {
		return trailer{}, fmt.Errorf("%w: no trailer at its end", ErrMagic)
	}
	b = b[len(b)-trailerLen:]
	if b[trailerVersion] != version {
		return trailer{}, fmt.Errorf("%w: %d", ErrVersion, b[trailerVersion])
	}
	if binary.BigEndian.Uint32(b[trailerCRC:]) != checksum(b[:trailerCRC]) {
		return trailer{}, badCRC("trailer")
	}
	kind, err := parseKind(b[trailerVersion+1 : trailerCRC])
	t := trailer{
		kind:   kind,
		footer: int64(binary.BigEndian.Uint64(b[trailerFooter:])),
		length: int64(binary.BigEndian.Uint32(b[trailerLength:])),
		crc:    binary.BigEndian.Uint32(b[trailerFootCRC:]),
	}
	if err == nil &&
		(t.footer <= headerLen || t.footer > maxObjectLen || t.length < footerLen+entryLen || t.length > maxFooterLen) {
		err = corrupt("footer of %d bytes at %d", t.length, t.footer)
	}
	return t, err
}
