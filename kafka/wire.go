package kafka

import "encoding/binary"

// wire reads Kafka's primitive types. After the first thing that does not fit it is bad, and
// everything it reads is zero. The bytes that it returns alias the source.
type wire struct {
	src []byte
	bad bool
}

func (w *wire) fail() { w.bad, w.src = true, nil }

func (w *wire) span(n int) []byte {
	if n < 0 || n > len(w.src) {
		w.fail()
		return nil
	}
	b := w.src[:n:n]
	w.src = w.src[n:]
	return b
}

func (w *wire) int8() int8 {
	if b := w.span(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (w *wire) int16() int16 {
	if b := w.span(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (w *wire) int32() int32 {
	if b := w.span(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// uvarint reads an unsigned varint of at most 32 bits.
func (w *wire) uvarint() uint32 {
	v, n := binary.Uvarint(w.src)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		w.fail()
		return 0
	}
	w.src = w.src[n:]
	return uint32(v)
}

// nullableString reads a string or null, with a length of 16 bits.
func (w *wire) nullableString() []byte { return w.orNull(int(w.int16())) }

// optionalString reads a string or null as versions with and without compact types write it.
func (w *wire) optionalString(flexible bool) []byte {
	if flexible {
		return w.orNull(w.compactLength())
	}
	return w.nullableString()
}

// optionalBytes reads bytes or null as versions with and without compact types write them.
func (w *wire) optionalBytes(flexible bool) []byte {
	if flexible {
		return w.orNull(w.compactLength())
	}
	return w.orNull(int(w.int32()))
}

// orNull returns n bytes, or nil if n is -1.
func (w *wire) orNull(n int) []byte {
	if n == -1 {
		return nil
	}
	return w.span(n)
}

// compactLength reads the length of a compact type, -1 for null.
func (w *wire) compactLength() int { return int(w.uvarint()) - 1 }

// count reads how many elements an array has, each at least minBytes long; null counts as none. An
// array that cannot be there in full is bad, so what is allocated for it is bounded by what was
// sent.
func (w *wire) count(flexible bool, minBytes int) int {
	var n int
	if flexible {
		n = w.compactLength()
	} else {
		n = int(w.int32())
	}
	if n < -1 || n > len(w.src)/max(minBytes, 1) {
		w.fail()
	}
	if w.bad || n < 0 {
		return 0
	}
	return n
}

// countUpTo is count for an array that may not have more than most elements.
func (w *wire) countUpTo(most int, flexible bool, minBytes int) int {
	n := w.count(flexible, minBytes)
	if n > most {
		w.fail()
		return 0
	}
	return n
}

// skipTags reads a section of tagged fields.
func (w *wire) skipTags() {
	n := w.uvarint()
	if int64(n) > int64(len(w.src)/2) { // a tag has at least a number and a length
		w.fail()
		return
	}
	for ; n > 0 && !w.bad; n-- {
		w.uvarint()
		w.span(int(w.uvarint()))
	}
}
