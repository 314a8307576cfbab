package s3api

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net/http"
	"sync"

	"firn.dev/segments"
)

// Range is HTTP's Range header for a Get, empty for the whole object. There is none for no bytes:
// HasRange.
func Range(offset, length int64) string {
	switch {
	case offset < 0:
		return fmt.Sprintf("bytes=%d", offset)
	case length >= 0 && offset <= math.MaxInt64-length:
		return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
	case offset > 0:
		return fmt.Sprintf("bytes=%d-", offset)
	default:
		return ""
	}
}

// HasRange says whether HTTP can ask for such a range. Where it cannot, Empty answers.
func HasRange(offset, length int64) bool { return length != 0 && (offset >= 0 || length < 0) }

// NoSuchRange says whether the server has the object, but no byte of it in the range that was asked
// for. Empty answers then.
func NoSuchRange(a Answer) bool { return a.Status == http.StatusRequestedRangeNotSatisfiable }

// Empty answers a Get that asks for no byte of an object, or for none that it has.
func Empty(size, offset, length int64) ([]byte, error) {
	_, count, err := segments.Slice(size, offset, length)
	if err == nil && count > 0 {
		err = fmt.Errorf("%w: it refused a range that the object has", ErrAnswer)
	}
	if err != nil {
		return nil, err
	}
	return []byte{}, nil
}

// ReadRange reads the answer to a Get: its body, the length that it announces (negative if it does
// not) and its Content-Range header. It makes sure that these are the bytes that were asked for:
// there are servers and caches between that do not know of ranges.
func ReadRange(body io.Reader, announced int64, contentRange string, offset, length int64) ([]byte, error) {
	if announced < 0 {
		return nil, fmt.Errorf("%w: it does not say how long it is", ErrAnswer)
	}
	if err := checkRange(contentRange, announced, offset); err != nil {
		return nil, err
	}
	if length > announced {
		return nil, fmt.Errorf("%w: %d bytes at %d, %d are there", segments.ErrRange, length, offset, announced)
	}
	if length >= 0 && announced > length {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrAnswer, announced, length)
	}
	b := make([]byte, announced)
	if _, err := io.ReadFull(body, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// checkRange compares Content-Range, "bytes 5-9/20", with the offset that was asked for. An answer
// without holds the whole object.
func checkRange(contentRange string, announced, offset int64) error {
	if contentRange == "" {
		if offset > 0 || offset < 0 && announced > -offset {
			return fmt.Errorf("%w: the whole object instead of a range", ErrAnswer)
		}
		return nil
	}
	var first, last, size int64
	if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size); err != nil {
		return fmt.Errorf("%w: Content-Range is %q", ErrAnswer, contentRange)
	}
	want := offset
	if offset < 0 {
		want = max(0, size+offset)
	}
	if first != want || last-first+1 != announced {
		return fmt.Errorf("%w: Content-Range is %q, of %d bytes from %d on", ErrAnswer, contentRange, announced, offset)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is the value of x-amz-checksum-crc32c for a body. The server refuses a body that does not
// match, so what arrives is what was sent, also over plain HTTP, where nothing else protects it
// better than TCP does; and it costs next to nothing, unlike SHA-256.
func CRC32C(body []byte) string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(body, castagnoli))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Body reads bytes that belong to the caller of a Put. An HTTP client may go on reading a request's
// body after it has returned, when the answer came early or the request was cancelled; after
// Release there is nothing to read.
type Body struct {
	mu       sync.Mutex
	reader   *bytes.Reader
	released bool
}

var errReleased = errors.New("the request is over")

// NewBody returns a reader of b.
func NewBody(b []byte) *Body { return &Body{reader: bytes.NewReader(b)} }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released {
		return 0, errReleased
	}
	return b.reader.Read(p)
}

// Seek implements io.Seeker.
func (b *Body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reader.Seek(offset, whence)
}

// Release waits for a Read that is under way, and fails those that come later.
func (b *Body) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
}
