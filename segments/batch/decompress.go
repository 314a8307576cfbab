package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/snappy"
)

// decompress returns the bytes of a batch's records.
func (p *slot) decompress(codec Codec, src []byte, maxLen int) ([]byte, error) {
	out, err := p.whole(codec, src, maxLen)
	return out, undecoded(codec, err)
}

// undecoded is what is said of a batch whose records a decoder could not read. Only this package's
// own errors are told apart: those of the decoders differ between versions, and even between
// processors.
func undecoded(codec Codec, err error) error {
	if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCodec) {
		err = fmt.Errorf("%w: %s: %w", ErrCorrupt, codec, err)
	}
	return err
}

// Decompress returns what src is the compressed form of, or ErrTooLarge; for None it is src,
// whatever its size. It allocates no more than a small multiple of the result, and never more than
// half as much again as maxLen, whatever src says of itself; beside that the decoder may take a
// window (see zstdReader). The process decodes few at a time.
func Decompress(codec Codec, src []byte, maxLen int) ([]byte, error) {
	if codec == None {
		return src, nil
	}
	p := takeSlot()
	defer p.leave()
	return p.whole(codec, src, maxLen)
}

// whole is Decompress in a slot. Few results are larger than usual: such a one is begun again at
// the large slot.
func (p *slot) whole(codec Codec, src []byte, maxLen int) ([]byte, error) {
	if codec == None {
		return src, nil
	}
	out, err := p.within(codec, src, min(maxLen, usualBytes))
	if errors.Is(err, ErrTooLarge) && maxLen > usualBytes {
		p.enlarge()
		out, err = p.within(codec, src, maxLen)
	}
	return out, err
}

func (p *slot) within(codec Codec, src []byte, maxLen int) ([]byte, error) {
	if codec == Snappy && !isXerial(src) {
		return readSnappyBlock(nil, src, maxLen)
	}
	r, err := p.open(codec, src, maxLen)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := make([]byte, 0, min(4*len(src), maxLen)+1) // one more, to see that there is more
	for {
		n, err := r.Read(out[len(out):min(cap(out), len(out)+paceBytes)])
		out = out[:len(out)+n]
		p.pace(n)
		switch {
		case len(out) > maxLen:
			return nil, tooLarge(maxLen)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		case len(out) == cap(out):
			larger := make([]byte, len(out), min(2*len(out), maxLen+1))
			copy(larger, out)
			out = larger
		}
	}
}

func tooLarge(maxLen int) error {
	return fmt.Errorf("%w: its records have more than %d bytes", ErrTooLarge, maxLen)
}

// open returns a reader of what src is the compressed form of. It knows no bound but that of a
// single snappy block, which is decompressed at once. Whoever opened it closes it, since decoders
// are used again.
func (p *slot) open(codec Codec, src []byte, maxLen int) (io.ReadCloser, error) {
	switch codec {
	case None:
		return io.NopCloser(bytes.NewReader(src)), nil
	case Gzip:
		return openGzip(src)
	case Snappy:
		return p.openSnappy(src, maxLen)
	case LZ4:
		return openLZ4(src)
	case Zstd:
		return p.openZstd(src)
	}
	return nil, fmt.Errorf("%w: %s", ErrCodec, codec)
}

// maxSnappyRatio is how far snappy can compress at most: 64 bytes in 3.
const maxSnappyRatio = 22

// xerialMagic begins the framing that Java's snappy streams have: version and compatible version
// follow, then blocks, each behind its length.
const (
	xerialMagic     = "\x82SNAPPY\x00"
	xerialHeaderLen = len(xerialMagic) + 8
)

func isXerial(src []byte) bool {
	return len(src) >= xerialHeaderLen && string(src[:len(xerialMagic)]) == xerialMagic
}

var snappyReaders = sync.Pool{New: func() any { return new(snappyReader) }}

// maxSnappyRoom is how much room for a block is kept for the next source. Java writes blocks of 32
// KiB, others all in one.
const maxSnappyRoom = 1 << 20

// snappyReader reads blocks, each decompressed at once.
type snappyReader struct {
	slot   *slot
	src    []byte // blocks behind their lengths
	room   []byte // for a block
	block  []byte // what is left of the last one
	maxLen int
}

func (p *slot) openSnappy(src []byte, maxLen int) (io.ReadCloser, error) {
	r := snappyReaders.Get().(*snappyReader)
	r.slot, r.maxLen = p, maxLen
	if isXerial(src) {
		r.src = src[xerialHeaderLen:]
		return r, nil
	}
	if err := r.decompress(src); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// decompress makes a block what is read next.
func (r *snappyReader) decompress(block []byte) error {
	if n, err := snappy.DecodedLen(block); err == nil && n > usualBytes && n <= r.maxLen {
		r.room = nil
		r.slot.enlarge()
	}
	out, err := readSnappyBlock(r.room, block, r.maxLen)
	if err == nil {
		r.room, r.block = out, out
	}
	return err
}

func (r *snappyReader) Read(b []byte) (int, error) {
	for len(r.block) == 0 {
		if len(r.src) == 0 {
			return 0, io.EOF
		}
		if len(r.src) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(r.src))
		if n > int64(len(r.src)-4) {
			return 0, io.ErrUnexpectedEOF
		}
		block := r.src[4 : 4+n]
		r.src = r.src[4+n:]
		if err := r.decompress(block); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.block)
	r.block = r.block[n:]
	return n, nil
}

func (r *snappyReader) Close() error {
	room := r.room
	if cap(room) > maxSnappyRoom {
		room = nil
	}
	*r = snappyReader{room: room}
	snappyReaders.Put(r)
	return nil
}

// readSnappyBlock decompresses a block, into room if that is large enough.
func readSnappyBlock(room, block []byte, maxLen int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	switch {
	case err != nil:
		return nil, err
	case n > len(block)*maxSnappyRatio:
		return nil, fmt.Errorf("%d bytes cannot hold %d", len(block), n)
	case n > maxLen:
		return nil, tooLarge(maxLen)
	}
	return snappy.DecodeStrict(room[:cap(room)], block)
}
