package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"firn.dev/segments/batch"
)

// contentCodings are the content codings that bodies may have. LZ4 is the frame format.
var contentCodings = map[string]batch.Codec{
	"": batch.None, "identity": batch.None, "gzip": batch.Gzip, "x-gzip": batch.Gzip, "zstd": batch.Zstd, "lz4": batch.LZ4,
}

// Memory that a body takes is counted this many times: as itself, and as the batches that are made
// of it.
const bodyFactor = 2

// Bodies are read into memory that grows by this factor, from this size on, as they arrive.
const (
	firstBodyBytes = 16 << 10
	bodyGrowth     = 4
)

// readBody reads a request's body, decompressed. The memory is taken from the share.
func (s *Server) readBody(r *http.Request, memory *share) ([]byte, error) {
	coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	codec, known := contentCodings[coding]
	if !known {
		return nil, &problem{Status: http.StatusUnsupportedMediaType, Field: "Content-Encoding",
			Detail: "a body may be encoded as gzip, zstd, lz4 (frames) or identity, not as " + coding}
	}
	body, err := s.readPlain(r, memory)
	if err != nil || codec == batch.None {
		return body, err
	}
	return s.decompress(r.Context(), codec, coding, body, memory)
}

// readPlain reads a body as it comes.
func (s *Server) readPlain(r *http.Request, memory *share) ([]byte, error) {
	limit := s.opts.Limits.MaxBodyBytes
	if r.ContentLength > int64(limit) {
		return nil, s.bodyTooLarge()
	}
	most := limit + 1 // to see that there is more
	if r.ContentLength >= 0 {
		most = int(r.ContentLength)
	}
	var body []byte
	for size := min(firstBodyBytes, most); ; size = min(size*bodyGrowth, most) {
		if err := memory.grow(r.Context(), bodyFactor*int64(size-len(body))); err != nil {
			return nil, err
		}
		larger := make([]byte, size)
		filled := copy(larger, body)
		n, err := io.ReadFull(r.Body, larger[filled:])
		body = larger[:filled+n]
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && r.ContentLength < 0:
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, refuse(http.StatusRequestTimeout, "", "the body did not arrive within %v", readTimeout)
		case err != nil:
			return nil, refuse(http.StatusBadRequest, "", "the body ends before it should: %v", err)
		case len(body) > limit:
			return nil, s.bodyTooLarge()
		case int64(len(body)) == r.ContentLength:
			return body, nil
		}
	}
}

// decompress decompresses a body. While it is at it, it holds as much as the largest body would
// need.
func (s *Server) decompress(ctx context.Context, codec batch.Codec, coding string, body []byte,
	memory *share) ([]byte, error) {
	limit := s.opts.Limits.MaxBodyBytes
	if err := memory.grow(ctx, bodyFactor*int64(limit)); err != nil {
		return nil, err
	}
	plain, err := batch.Decompress(codec, body, limit)
	switch {
	case errors.Is(err, batch.ErrTooLarge):
		return nil, s.bodyTooLarge()
	case err != nil:
		return nil, &problem{Status: http.StatusBadRequest, Field: "Content-Encoding",
			Detail: "the body is not " + coding + ": " + err.Error()}
	}
	memory.shrink(bodyFactor * int64(cap(plain)))
	return plain, nil
}

func (s *Server) bodyTooLarge() *problem {
	p := refuse(http.StatusRequestEntityTooLarge, "", "a body may have %d bytes, decompressed (%s)",
		s.opts.Limits.MaxBodyBytes, s.setting("MaxBodyBytes"))
	p.Limit = "MaxBodyBytes"
	return p
}

// refuse is a request that cannot be done, because of one of its fields if that is not empty.
func refuse(status int, field, format string, args ...any) *problem {
	return &problem{Status: status, Field: field, Detail: fmt.Sprintf(format, args...)}
}
