package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/budget"
)

// Errors that end a connection. All are the client's doing, apart from the last two.
var (
	errFrame        = errors.New("malformed request")
	errTooLarge     = errors.New("request too large")
	errUnsupported  = errors.New("API or version not served")
	errHandshake    = errors.New("TLS handshake failed")
	errPanic        = errors.New("panic while answering a request")
	errDrainTimeout = errors.New("DrainTimeout: the server stops")
)

// request is one request on its way through a connection.
type request struct {
	api         *api // nil: an ApiVersions request of a version that is not served
	version     int16
	correlation int32
	clientID    string
	body        []byte // what follows the header
	buffer      []byte // that body lies in, and the header
	received    time.Time
	size        int           // of all of it
	worked      time.Duration // how long it took to serve, without waits
	large       bool          // it has more than MaxAdminRequestBytes
	asks        access.Asker  // what the client may do, of a request whose api is known

	memory  *budget.Hold  // that it takes
	raw     bool          // a message of SASL without Kafka's header
	taken   int64         // bytes taken from connection.inFlight
	produce *produceCall  // the started call of a Produce
	done    chan struct{} // closed when it is answered
}

// Sizes of the steps in which a request is read. Its first bytes take memory of the connection's
// own, so announcing a large request costs nobody anything. Then all of it is counted, and
// allocated as it arrives: a client gets 64 times what it has sent so far.
const (
	firstStepBytes = 16 << 10
	stepFactor     = 64
	readPieceBytes = 64 << 10
)

// largeRequests is how much larger than the limit requests may be that get an error.
const largeRequests = 16

// readRequest reads one request. It returns io.EOF when the client has closed the connection
// between requests. Whatever it returns, the request is to be released.
func (c *connection) readRequest(ctx context.Context) (r *request, err error) {
	r = &request{memory: c.requests.Hold()}
	if err := c.setReadDeadline(c.s.opts.Limits.IdleTimeout); err != nil {
		return r, err
	}
	if ses := c.peer.session; ses != nil && !c.loggedIn() && ses.raw {
		return r, c.readToken(ctx, r)
	}
	var head [8]byte // length, API key, version: enough to know how long the request may be
	if _, err := io.ReadFull(c.in, head[:1]); err != nil {
		return r, err
	}
	if err := c.setReadDeadline(c.s.opts.Limits.ReadTimeout); err != nil {
		return r, err
	}
	if _, err := io.ReadFull(c.in, head[1:]); err != nil {
		return r, unexpected(err)
	}
	if err := c.awaitQuota(ctx); err != nil {
		return r, err
	}
	r.received = time.Now()
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	key := int16(binary.BigEndian.Uint16(head[4:]))
	r.version = int16(binary.BigEndian.Uint16(head[6:]))
	if a, known := apis[key]; known && a.serves(r.version) {
		r.api = a
	} else if key != int16(kmsg.ApiVersions) {
		return r, fmt.Errorf("%w: %s version %d", errUnsupported, kmsg.Key(key).Name(), r.version)
	}
	name, limit := "MaxAdminRequestBytes", c.s.opts.Limits.MaxAdminRequestBytes
	if key == int16(kmsg.Produce) {
		name, limit = "MaxRequestBytes", c.s.opts.Limits.MaxRequestBytes
	}
	if r.api != nil && r.api.answersLarge {
		r.large = size > limit
		limit *= largeRequests
	}
	if !c.loggedIn() && limit > maxLoginBytes {
		name, limit = "before the login the limit", maxLoginBytes
	}
	switch {
	case size < 8: // key, version, correlation id
		return r, fmt.Errorf("%w: length %d", errFrame, size)
	case size > limit:
		return r, fmt.Errorf("%w: %s of %d bytes; %s is %d", errTooLarge, kmsg.Key(key).Name(), size, name, limit)
	}
	if err := c.enter(ctx, r, size); err != nil {
		return r, err
	}
	frame, err := c.readBody(ctx, r, size-4)
	if err != nil {
		return r, unexpected(err)
	}
	r.size = size + 4
	c.s.metrics.bytesIn.Add(float64(r.size))
	return r, r.parseHeader(frame)
}

// readBody reads size bytes, into memory that is there already or else grows as they arrive. Its
// last step is a buffer that release may give back.
func (c *connection) readBody(ctx context.Context, r *request, size int) ([]byte, error) {
	step := min(firstStepBytes, size)
	if err := c.s.takeMemory(ctx, r.memory, int64(step)); err != nil {
		return nil, err
	}
	body := make([]byte, step)
	finish := time.Now().Add(c.s.opts.Limits.ReadTimeout + c.s.opts.Limits.timeFor(size))
	if err := c.readPieces(body, finish); err != nil || step == size {
		return body, err
	}
	waits := time.Now()
	if err := c.s.takeMemory(ctx, r.memory, int64(size-step)); err != nil {
		return nil, err
	}
	finish = finish.Add(time.Since(waits)) // which was not the client's
	r.buffer = c.s.buffers.take(size)
	for step *= stepFactor; step < size && r.buffer == nil; step *= stepFactor {
		larger := make([]byte, step)
		filled := copy(larger, body)
		body = larger
		if err := c.readPieces(body[filled:], finish); err != nil {
			return nil, err
		}
	}
	if r.buffer == nil {
		r.buffer = c.s.buffers.make(size)
	}
	filled := copy(r.buffer, body)
	return r.buffer, c.readPieces(r.buffer[filled:], finish)
}

// readPieces fills b. The client may take ReadTimeout for each piece, and has until finish. After
// each piece others have their turn: where much arrives at once, a reader would else have a core
// for as long as the scheduler allows, and a few of them keep a heartbeat waiting.
func (c *connection) readPieces(b []byte, finish time.Time) error {
	for piece := range slices.Chunk(b, readPieceBytes) {
		if err := c.setReadDeadline(min(c.s.opts.Limits.ReadTimeout, time.Until(finish))); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.in, piece); err != nil {
			return err
		}
		runtime.Gosched()
	}
	return nil
}

// parseHeader splits what follows the API version into the rest of the header (request header v1,
// or v2 for flexible versions) and the body.
func (r *request) parseHeader(frame []byte) error {
	r.correlation = int32(binary.BigEndian.Uint32(frame))
	if r.api == nil {
		return nil // the form of its header is not known
	}
	in := wire{src: frame[4:]}
	r.clientID = string(in.nullableString())
	if r.api.flexible(r.version) {
		in.skipTags()
	}
	r.body = in.src
	if in.bad {
		return fmt.Errorf("%w: header of %s version %d", errFrame, r.api.key.Name(), r.version)
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// responseHeadBytes is how long the head of a response is at most.
const responseHeadBytes = 9

// appendResponseHead begins a response: its length, to be written by finishFrame, and the response
// header. The header of ApiVersions is always v0, so that clients which do not know what the server
// speaks can read it (KIP-511).
func (r *request) appendResponseHead(dst []byte) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.correlation))
	if r.api != nil && r.api.flexible(r.version) && r.api.key != kmsg.ApiVersions {
		dst = append(dst, 0) // no tags
	}
	return dst
}
