package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"
)

// connection is one client. Its reader reads requests and starts Produces; its responder takes them in the same order, runs every other
// handler, and writes the answers. So Produces are pipelined, and everything else happens one after the other as in Kafka.
type connection struct {
	s   *Server
	nc  net.Conn
	in  *bufio.Reader
	log *slog.Logger

	peer  peer          // the responder's
	queue chan *request // from the reader to the responder
	// inFlight bounds the bytes of requests that are read and not answered. A client that sends faster than the bucket takes waits in
	// its socket and not in memory.
	inFlight *semaphore.Weighted
	last     chan struct{} // closed when the last request that is no Produce is answered; the reader's

	mu      sync.Mutex
	stopped bool // no more reading
}

func newConnection(s *Server, nc net.Conn) *connection {
	return &connection{
		s:     s,
		nc:    nc,
		in:    bufio.NewReaderSize(nc, 4<<10),
		log:   s.opts.Logger.With("peer", nc.RemoteAddr()),
		peer:  peer{Address: nc.RemoteAddr().String()},
		queue: make(chan *request, max(s.opts.Limits.MaxInFlight-2, 0)), // and one more in each goroutine,

		inFlight: semaphore.NewWeighted(int64(s.opts.Limits.MaxInFlightBytes)),
	}
}

// serve runs the connection to its end. A client that closes it, or breaks the protocol, hears no more answers; when the server drains, those that are
// under way are still given.
func (c *connection) serve(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	unblock := context.AfterFunc(ctx, func() { c.nc.Close() })
	defer unblock()

	var responder sync.WaitGroup
	responder.Go(func() { c.respond(ctx, cancel) })
	err := c.read(ctx)
	close(c.queue)
	if !c.isStopped() {
		cancel(err)
	}
	responder.Wait()
	cancel(nil)
	c.nc.Close()
	c.logEnd(err, context.Cause(ctx))
}

// logEnd says why the connection ended, if there is anything to say.
func (c *connection) logEnd(read, cause error) {
	err := read
	if cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // the responder's, say, which made the reader fail
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		c.log.Debug("Kafka connection ended", "reason", err)
	default:
		c.s.metrics.broken.Inc()
		c.log.Info("Kafka connection closed", "error", err, "client", c.peer.ClientID, "software", c.peer.Software)
	}
}

// read reads and starts requests until there are no more.
func (c *connection) read(ctx context.Context) error {
	for {
		r, err := c.readRequest(ctx)
		if err == nil {
			err = c.start(ctx, r)
		}
		if err != nil {
			c.release(r)
			return err
		}
		select {
		case c.queue <- r:
		case <-ctx.Done():
			c.release(r)
			return context.Cause(ctx)
		}
	}
}

// start begins a request. A Produce is taken in at once, after all requests of other kinds before it have been answered.
func (c *connection) start(ctx context.Context, r *request) (err error) {
	defer c.recover(r, &err)
	r.done = make(chan struct{})
	if r.api == nil || r.api.key != kmsg.Produce {
		c.last = r.done
		return nil
	}
	if c.last != nil {
		select {
		case <-c.last:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	r.produce, err = c.s.startProduce(ctx, r)
	return err
}

// respond answers requests in order. After an error it ends the connection, and only releases what the rest of them hold.
func (c *connection) respond(ctx context.Context, end context.CancelCauseFunc) {
	failed := false
	for r := range c.queue {
		if !failed {
			if err := c.answer(ctx, r); err != nil {
				failed = true
				end(err)
			}
		}
		c.release(r)
		close(r.done)
	}
}

// enter waits until the requests before this one leave room for it on the connection.
func (c *connection) enter(ctx context.Context, r *request, size int) error {
	n := int64(min(size, c.s.opts.Limits.MaxInFlightBytes))
	if err := c.inFlight.Acquire(ctx, n); err != nil {
		return context.Cause(ctx)
	}
	r.taken = n
	return nil
}

// release gives back the memory that a request holds. Only of a Produce that was written is it certain that nobody looks at its bytes any more.
func (c *connection) release(r *request) {
	c.s.requestMemory.give(r.held)
	c.inFlight.Release(r.taken)
	r.held, r.taken = 0, 0
	if r.produce != nil && r.produce.written() {
		c.s.buffers.give(r.buffer)
	}
	r.buffer = nil
}

// answer runs the request's handler and writes the answer.
func (c *connection) answer(ctx context.Context, r *request) (err error) {
	defer c.recover(r, &err)
	c.peer.ClientID = r.clientID
	resp, err := c.handle(ctx, r)
	if err != nil {
		c.s.metrics.observe(r, "closed")
		return err
	}
	defer c.s.metrics.observe(r, errorName(resp))
	if resp == nil {
		return nil // a Produce with acks=0
	}
	resp.SetVersion(r.version)
	head := r.appendResponseHead(make([]byte, 0, 256))
	if v, ok := resp.(vectored); ok {
		defer v.release()
		return c.write(v.appendBuffers(head))
	}
	return c.write(net.Buffers{resp.AppendTo(head)})
}

// vectored is a response that is written from several buffers, without copying them into one.
type vectored interface {
	kmsg.Response
	// appendBuffers returns the whole response, beginning with head.
	appendBuffers(head []byte) net.Buffers
	// release is called once, when the buffers have been written or will not be.
	release()
}

func (c *connection) handle(ctx context.Context, r *request) (kmsg.Response, error) {
	switch {
	case r.api == nil:
		r.version = 0
		return apiVersions(kerr.UnsupportedVersion.Code), nil
	case r.produce != nil:
		return r.produce.wait(ctx)
	}
	req, err := c.decode(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.api.parks() {
		c.release(r)
	}
	return r.api.handle(ctx, c.s, &c.peer, req)
}

// decodeFactor is how much larger than its bytes a decoded request can be: an empty string takes a byte or two in a request and a
// struct of some dozen bytes in memory, and kmsg allocates arrays twice.
const decodeFactor = 32

// decode decodes a request that is no Produce, once it is known to be whole and there is room for what it may become.
func (c *connection) decode(ctx context.Context, r *request) (kmsg.Request, error) {
	if err := c.s.shapes.check(r.api.key.Int16(), r.version, r.body); err != nil {
		return nil, err
	}
	if err := c.takeMemory(ctx, r, len(r.body)*decodeFactor); err != nil {
		return nil, err
	}
	req := kmsg.RequestForKey(r.api.key.Int16())
	req.SetVersion(r.version)
	if err := req.ReadFrom(r.body); err != nil {
		return nil, fmt.Errorf("%w: %s version %d: %w", errFrame, r.api.key.Name(), r.version, err)
	}
	r.body = nil
	return req, nil
}

// takeMemory waits, though not for ever, for n more bytes for a request.
func (c *connection) takeMemory(ctx context.Context, r *request, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.s.opts.Limits.ReadTimeout, errors.New("timed out"))
	defer cancel()
	if err := c.s.requestMemory.take(ctx, int64(n)); err != nil {
		return err
	}
	r.held += int64(n)
	return nil
}

// recover makes a panic an error of this connection alone.
func (c *connection) recover(r *request, err *error) {
	if p := recover(); p != nil {
		c.s.metrics.panics.Inc()
		name := "ApiVersions"
		if r.api != nil {
			name = r.api.key.Name()
		}
		c.log.Error("panic while answering a Kafka request", "api", name, "version", r.version, "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("%w: %s: %v", errPanic, name, p)
	}
}

// writePieceBytes is how much of a response is written under one deadline: a client that takes it slowly is waited for, one that takes nothing is not.
const writePieceBytes = 1 << 20

// write writes one response, whose first four bytes are kept free for its length.
func (c *connection) write(bufs net.Buffers) error {
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	if size-4 > 1<<31-1 {
		return fmt.Errorf("response of %d bytes", size)
	}
	binary.BigEndian.PutUint32(bufs[0], uint32(size-4))
	for len(bufs) > 0 {
		piece, n := bufs[:0:0], 0
		for len(bufs) > 0 && n < writePieceBytes {
			b := bufs[0]
			if room := writePieceBytes - n; len(b) > room {
				b, bufs[0] = b[:room], b[room:]
			} else {
				bufs = bufs[1:]
			}
			piece, n = append(piece, b), n+len(b)
		}
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.s.opts.Limits.WriteTimeout)); err != nil {
			return err
		}
		if _, err := piece.WriteTo(c.nc); err != nil {
			return fmt.Errorf("writing a response: %w", err)
		}
	}
	c.s.metrics.bytesOut.Add(float64(size))
	return nil
}

// setReadDeadline gives the client some time. It fails once reading is stopped.
func (c *connection) setReadDeadline(after time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return os.ErrDeadlineExceeded
	}
	return c.nc.SetReadDeadline(time.Now().Add(after))
}

// stopReading makes the reader end; the responder still answers what has been read.
func (c *connection) stopReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

func (c *connection) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}
