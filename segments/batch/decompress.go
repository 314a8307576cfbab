package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxZstdWindow is the largest window that Kafka's own clients read. It costs nothing: the window is the output, which has its own bound.
const maxZstdWindow = 128 << 20

var (
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxZstdWindow),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
	})
)

// decompress returns the bytes of a batch's records.
func decompress(codec Codec, src []byte, maxLen int) ([]byte, error) {
	out, err := Decompress(codec, src, maxLen)
	if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCodec) {
		err = fmt.Errorf("%w: %s: %w", ErrCorrupt, codec, err)
	}
	return out, err
}

// Decompress returns what src is the compressed form of, or ErrTooLarge. It allocates a small multiple of maxLen at most, and no more than a small
// multiple of the result, whatever src says of itself.
func Decompress(codec Codec, src []byte, maxLen int) ([]byte, error) {
	var out []byte
	var err error
	switch codec {
	case None:
		out = src
	case Gzip:
		out, err = readGzip(src, maxLen)
	case Snappy:
		out, err = readSnappy(src, maxLen)
	case LZ4:
		out, err = readLZ4(src, maxLen)
	case Zstd:
		out, err = readZstd(src, maxLen)
	default:
		return nil, fmt.Errorf("%w: %s", ErrCodec, codec)
	}
	if err == nil && len(out) > maxLen {
		err = tooLarge(maxLen)
	}
	return out, err
}

func tooLarge(maxLen int) error {
	return fmt.Errorf("%w: its records have more than %d bytes", ErrTooLarge, maxLen)
}

func readGzip(src []byte, maxLen int) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return nil, err
	}
	return readAll(r, len(src), maxLen)
}

func readLZ4(src []byte, maxLen int) ([]byte, error) {
	if !bytes.HasPrefix(src, []byte(lz4FrameStart[:4])) {
		return nil, errors.New("not a frame")
	}
	r := lz4Readers.Get().(*lz4.Reader)
	defer lz4Readers.Put(r)
	r.Reset(bytes.NewReader(src))
	return readAll(r, len(src), maxLen)
}

// readAll reads what r has, but no more than one byte above maxLen.
func readAll(r io.Reader, compressed, maxLen int) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, min(4*compressed, maxLen)+bytes.MinRead))
	_, err := out.ReadFrom(io.LimitReader(r, int64(maxLen)+1))
	return out.Bytes(), err
}

// maxSnappyRatio is how far snappy can compress at most: 64 bytes in 3.
const maxSnappyRatio = 22

// xerialMagic begins the framing that Java's snappy streams have: version and compatible version follow, then blocks, each behind its length.
const xerialMagic = "\x82SNAPPY\x00"

func readSnappy(src []byte, maxLen int) ([]byte, error) {
	const headerLen = len(xerialMagic) + 8
	if len(src) < headerLen || string(src[:len(xerialMagic)]) != xerialMagic {
		return appendSnappyBlock(nil, src, maxLen)
	}
	out := make([]byte, 0, min(4*len(src), maxLen))
	for src = src[headerLen:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(src))
		if src = src[4:]; n > int64(len(src)) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if out, err = appendSnappyBlock(out, src[:n], maxLen); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return out, nil
}

func appendSnappyBlock(dst, block []byte, maxLen int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	switch {
	case err != nil:
		return nil, err
	case n > len(block)*maxSnappyRatio:
		return nil, fmt.Errorf("%d bytes cannot hold %d", len(block), n)
	case n > maxLen-len(dst):
		return nil, tooLarge(maxLen)
	}
	decoded, err := snappy.DecodeStrict(nil, block)
	if err != nil || dst == nil {
		return decoded, err
	}
	return append(dst, decoded...), nil
}

// readZstd decodes into room of a guessed size and doubles it as long as it is too small, because a frame need not tell its size, and what it
// tells need not be true.
func readZstd(src []byte, maxLen int) ([]byte, error) {
	decoder, err := zstdDecoder()
	if err != nil {
		return nil, err
	}
	if len(src) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	for room := min(4*len(src)+1024, maxLen); ; room = min(2*room, maxLen) {
		out, err := decoder.DecodeAll(src, make([]byte, 0, room))
		if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return out, err
		}
		if room >= maxLen {
			return nil, tooLarge(maxLen)
		}
	}
}
