package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Recompress returns the batch with its records in another codec; b itself if they are in it
// already. The records may not be larger than maxDecompressed. Everything else stays as it is.
func Recompress(b []byte, codec Codec, maxDecompressed int) ([]byte, error) {
	h, err := ReadHeader(b)
	if err != nil || h.Attributes.Codec() == codec {
		return b, err
	}
	b = b[:h.Size()]
	p := slotFor(len(b))
	defer p.leave()
	records, err := p.decompress(h.Attributes.Codec(), b[HeaderLen:], maxDecompressed)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, HeaderLen+len(records)), b[:HeaderLen]...)
	binary.BigEndian.PutUint16(out[posAttributes:], uint16(h.Attributes&^codecMask|Attributes(codec)))
	if out, err = compress(out, codec, records); err != nil {
		return nil, err
	}
	return finish(out)
}

// CompressPlain returns an uncompressed batch compressed with LZ4, if that makes it smaller, and
// otherwise b itself. b has passed Check.
func CompressPlain(b []byte) []byte {
	h, err := ReadHeader(b)
	if err != nil || h.Attributes.Codec() != None || h.Attributes.Control() || h.Size() != len(b) {
		return b
	}
	p := slotFor(len(b))
	defer p.leave()
	scratch := scratchPool.Get().(*[]byte)
	defer scratchPool.Put(scratch)
	*scratch = slices.Grow((*scratch)[:0], len(b)+lz4BlockLen)
	out := append(*scratch, b[:HeaderLen]...)
	out, shrunk := appendLZ4(out, b[HeaderLen:], true)
	if !shrunk || len(out) >= len(b) {
		return b
	}
	out = bytes.Clone(out)
	out[posAttributes+1] |= byte(LZ4)
	if out, err = finish(out); err != nil {
		return b
	}
	return out
}

// compress appends src, compressed.
func compress(dst []byte, codec Codec, src []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return appendGzip(dst, src)
	case Snappy:
		return appendSnappy(dst, src)
	case LZ4:
		dst, _ = appendLZ4(dst, src, false)
		return dst, nil
	case Zstd:
		encoder, err := zstdEncoder()
		if err != nil {
			return nil, err
		}
		return encoder.EncodeAll(src, dst), nil
	}
	return nil, fmt.Errorf("%w: %s", ErrCodec, codec)
}

// Encoders are costly to make and cheap to use again.
var (
	scratchPool = sync.Pool{New: func() any { return new([]byte) }}
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	lz4Pool     = sync.Pool{New: func() any { return new(lz4.Compressor) }}
	zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	})
)

func appendGzip(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(out)
	_, err := w.Write(src)
	if closed := w.Close(); err == nil {
		err = closed
	}
	w.Reset(nil)
	return out.Bytes(), err
}

// appendSnappy writes one bare block, as librdkafka does: every client reads it.
func appendSnappy(dst, src []byte) ([]byte, error) {
	n := snappy.MaxEncodedLen(len(src))
	if n < 0 {
		return nil, fmt.Errorf("%w: %d bytes for snappy", ErrTooLarge, len(src))
	}
	dst = slices.Grow(dst, n)
	block := snappy.Encode(dst[len(dst):len(dst)+n], src)
	return dst[:len(dst)+len(block)], nil
}

// An LZ4 frame of independent blocks of up to 64 KiB, which is as far as LZ4 looks back and what
// Java's client expects at least, without checksums (the batch has its own) and without its size.
const (
	lz4BlockLen   = 64 << 10
	lz4FrameStart = "\x04\x22\x4d\x18\x60\x40\x82" // magic, flags, block size, checksum of these two
	lz4Stored     = 1 << 31                        // in a block's length: it is not compressed
)

// appendLZ4 appends src as a frame. With giveUp it stops when the first block does not get smaller:
// it then returns false.
func appendLZ4(dst, src []byte, giveUp bool) ([]byte, bool) {
	compressor := lz4Pool.Get().(*lz4.Compressor)
	defer lz4Pool.Put(compressor)
	dst = append(dst, lz4FrameStart...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4BlockLen)]
		src = src[len(block):]
		dst = slices.Grow(dst, 4+len(block))
		at := len(dst) + 4
		// The room ends where compression would gain nothing: then the compressor says 0.
		n, err := compressor.CompressBlock(block, dst[at:at+len(block)-1])
		if err != nil || n == 0 {
			if giveUp {
				return dst, false
			}
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(block))|lz4Stored)
			dst = append(dst, block...)
			continue
		}
		giveUp = false
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))[:at+n]
	}
	return binary.LittleEndian.AppendUint32(dst, 0), true
}
