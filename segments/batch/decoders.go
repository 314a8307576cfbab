package batch

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Decoders are costly to make and cheap to use again.
var (
	gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}
	lz4Readers  = sync.Pool{New: func() any { return &lz4Reader{Reader: lz4.NewReader(nil)} }}
)

type gzipReader struct {
	gzip.Reader
	src bytes.Reader
}

// openGzip reads one member or several, one behind the other.
func openGzip(src []byte) (io.ReadCloser, error) {
	r := gzipReaders.Get().(*gzipReader)
	r.src.Reset(src)
	if err := r.Reset(&r.src); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func (r *gzipReader) Close() error {
	r.src.Reset(nil)
	gzipReaders.Put(r)
	return nil
}

type lz4Reader struct {
	*lz4.Reader
	src bytes.Reader
}

func openLZ4(src []byte) (io.ReadCloser, error) {
	if !bytes.HasPrefix(src, []byte(lz4FrameStart[:4])) {
		return nil, errors.New("not a frame")
	}
	r := lz4Readers.Get().(*lz4Reader)
	r.src.Reset(src)
	r.Reset(&r.src)
	return r, nil
}

func (r *lz4Reader) Close() error {
	r.src.Reset(nil)
	lz4Readers.Put(r)
	return nil
}

// A zstd decoder takes as much memory as a frame's window, as soon as the frame states it. Encoders
// use up to 8 MiB unless they are told otherwise, and decoders with such a window are kept. What
// needs more, up to what Kafka's own clients read, is decompressed one at a time in the process.
const (
	usualZstdWindow = usualBytes
	maxZstdWindow   = 128 << 20
)

// zstdReader reads frames, one or several. Whatever the decoder with the usual window cannot read,
// one with a large window tries from the beginning: a frame anywhere in the source may need it, and
// which error a decoder returns for that is its own affair.
type zstdReader struct {
	slot    *slot
	decoder *zstd.Decoder
	large   bool // the decoder has a large window
	source  []byte
	src     bytes.Reader
	read    int64 // bytes of the result
}

// zstdDecoders are those with the usual window.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := newZstdDecoder(usualZstdWindow)
	if err != nil {
		panic(err) // of its options
	}
	return d
}}

func (p *slot) openZstd(src []byte) (io.ReadCloser, error) {
	if len(src) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	r := &zstdReader{slot: p, decoder: zstdDecoders.Get().(*zstd.Decoder), source: src}
	r.src.Reset(src)
	if err := r.decoder.Reset(&r.src); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// newZstdDecoder makes a decoder that runs in the goroutine of who reads from it.
func newZstdDecoder(window uint64) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(window),
		zstd.WithDecoderMaxWindow(window),
		zstd.WithDecoderLowmem(true))
}

func (r *zstdReader) Read(b []byte) (int, error) {
	n, err := r.decoder.Read(b)
	r.read += int64(n)
	if err == nil || errors.Is(err, io.EOF) || r.large {
		return n, err
	}
	return n, r.enlarge()
}

// enlarge begins again with a large window, and skips what was read already.
func (r *zstdReader) enlarge() (err error) {
	r.putBack()
	r.slot.enlarge()
	if r.decoder, err = newZstdDecoder(maxZstdWindow); err != nil {
		return err
	}
	r.large = true
	r.src.Reset(r.source)
	if err := r.decoder.Reset(&r.src); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, r.decoder, r.read)
	return err
}

// putBack lets go of the decoder.
func (r *zstdReader) putBack() {
	switch {
	case r.decoder == nil:
	case r.large:
		r.decoder.Close()
	case r.decoder.Reset(nil) == nil:
		zstdDecoders.Put(r.decoder)
	}
	r.decoder = nil
}

func (r *zstdReader) Close() error {
	r.putBack()
	return nil
}
