package kafka

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"

	"firn.dev/access"
	"firn.dev/budget"
)

// connection is one client. Its reader reads requests and starts Produces; its responder takes them
// in the same order, runs every other handler, and writes the answers. So Produces are pipelined,
// and everything else happens one after the other as in Kafka.
type connection struct {
	s   *Server
	raw net.Conn // the TCP connection
	nc  net.Conn // what clients write to and read from: TLS, or raw
	in  *bufio.Reader
	log *slog.Logger

	address  netip.Addr
	requests *budget.Client // memory of its requests
	answers  *budget.Client // memory of the answers
	writes   *budget.Client // room in ingest's buffer; nil: it has produced nothing yet

	loginTimer *time.Timer   // ends a client that does not prove who it is
	dismissed  chan struct{} // closed by dismiss
	client     access.Client // who it has proved to be

	refused    time.Duration // its address makes too many connections: this one is closed after so long
	mutedUntil atomic.Int64  // in nanoseconds: until then the reader reads nothing, because of a quota

	peer  peer          // the responder's
	queue chan *request // from the reader to the responder
	// inFlight bounds the bytes of requests that are read and not answered. A client that sends faster
	// than the bucket takes waits in its socket and not in memory.
	inFlight *semaphore.Weighted
	last     chan struct{} // closed when the last request that is no Produce is answered; the reader's

	mu      sync.Mutex
	stopped bool // no more reading
}

func newConnection(s *Server, raw net.Conn, l *Listener, address netip.Addr) *connection {
	nc := raw
	if l.TLS != nil {
		nc = tls.Server(&beneathTLS{Conn: raw, timeout: s.opts.Limits.WriteTimeout}, l.TLS)
	}
	c := &connection{
		s:    s,
		raw:  raw,
		nc:   nc,
		in:   bufio.NewReaderSize(nc, 4<<10),
		log:  s.opts.Logger.With("peer", nc.RemoteAddr()),
		peer: peer{Address: nc.RemoteAddr().String(), listener: l.Name},

		client: access.Client{Principal: access.Anonymous, Host: address.String()},

		address:  address,
		requests: s.requests.Client(address),
		answers:  s.answers.Client(address),

		queue: make(chan *request, max(s.opts.Limits.MaxInFlight-2, 0)), // and one more in each goroutine,

		inFlight: semaphore.NewWeighted(int64(s.opts.Limits.MaxInFlightBytes)),
	}
	if l.SASL {
		c.peer.session = &session{}
	}
	if l.provesSomething() {
		c.dismissed = make(chan struct{})
		c.loginTimer = time.AfterFunc(s.opts.Limits.LoginTimeout, c.dismiss)
	}
	c.peer.address, c.peer.known = address, func() { s.known(c) }
	return c
}

// dismiss ends a client that has not proved who it is, and whatever its login waits for. It is
// called once: by the timer, or by who has stopped it.
func (c *connection) dismiss() {
	close(c.dismissed)
	c.raw.Close()
}

// serve runs the connection to its end. A client that closes it, or breaks the protocol, hears no
// more answers; when the server drains, those that are under way are still given.
func (c *connection) serve(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	unblock := context.AfterFunc(ctx, func() { c.raw.Close() })
	defer unblock()
	defer c.raw.Close()
	if c.loginTimer != nil {
		defer c.loginTimer.Stop()
	}
	if c.refused > 0 {
		c.turnAway(ctx)
		return
	}
	if err := c.shakeHands(ctx); err != nil {
		c.logEnd(err, nil)
		return
	}

	var responder sync.WaitGroup
	responder.Go(func() { c.respond(ctx, cancel) })
	err := c.read(ctx)
	close(c.queue)
	if !c.isStopped() {
		cancel(err)
	}
	responder.Wait()
	cancel(nil)
	c.logEnd(err, context.Cause(ctx))
}

// logEnd says why the connection ended, if there is anything to say.
func (c *connection) logEnd(read, cause error) {
	err := read
	if cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // the responder's, say, which made the reader fail
	}
	switch {
	case errors.Is(err, io.EOF),
		errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE):
		c.log.Debug("Kafka connection ended", "reason", err)
	case errors.Is(err, errHandshake),
		errors.Is(err, errLoginFailed),
		errors.Is(err, errNotLoggedIn): // as many as strangers like
		c.s.refusals.Do(func() { c.log.Warn("Kafka connection closed", "error", err) })
	default:
		c.s.metrics.broken.Inc()
		c.log.Info("Kafka connection closed", "error", err, "client", c.peer.ClientID, "software", c.peer.Software)
	}
}

// read reads and starts requests until there are no more.
func (c *connection) read(ctx context.Context) error {
	for {
		if err := c.awaitLogin(ctx); err != nil {
			return err
		}
		r, err := c.readRequest(ctx)
		if err == nil {
			err = c.checkLogin(r)
		}
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

// start begins a request. A Produce is taken in at once, after all requests of other kinds before
// it have been answered.
func (c *connection) start(ctx context.Context, r *request) (err error) {
	defer c.recover(r, &err)
	r.done = make(chan struct{})
	if r.api == nil {
		c.last = r.done
		return nil
	}
	r.asks = access.Asker{Authorizer: c.s.opts.Authorizer, Client: c.client, Needs: r.api.needs, Audit: c.s.audit}
	if r.api.key != kmsg.Produce {
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
	if c.writes == nil {
		c.writes = c.s.opts.Writer.Client(c.address)
	}
	c.use(r, access.ProducedBytes, float64(r.size))
	r.produce, err = c.s.startProduce(ctx, c.writes, r)
	return err
}

// respond answers requests in order. After an error it ends the connection, and only releases what
// the rest of them hold.
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

// release gives back the memory that a request holds. A buffer is used again when nobody looks at
// its bytes any more: that is certain of a Produce that was not begun or is done with.
func (c *connection) release(r *request) {
	r.memory.Release()
	c.inFlight.Release(r.taken)
	r.taken = 0
	unbegun := r.produce == nil && r.api != nil && r.api.key == kmsg.Produce
	if unbegun || r.produce != nil && r.produce.done() {
		c.s.buffers.give(r.buffer)
	}
	r.buffer = nil
}

// answer runs the request's handler and writes the answer.
func (c *connection) answer(ctx context.Context, r *request) (err error) {
	defer c.recover(r, &err)
	if r.raw {
		return c.answerToken(ctx, r)
	}
	memory := c.answers.Hold()
	defer memory.Release()
	c.peer.ClientID, c.peer.asks, c.peer.large = r.clientID, &r.asks, r.large
	c.peer.request, c.peer.answer, c.peer.work = r.memory, memory, &stopwatch{began: time.Now()}
	resp, err := c.handle(ctx, r)
	var bufs net.Buffers
	if err == nil {
		c.charge(r, resp)
	}
	if err == nil && resp != nil {
		c.throttle(r, resp)
		bufs, err = c.encode(ctx, r, resp, memory)
	}
	if err != nil {
		c.s.observe(r, "closed")
		return err
	}
	defer c.s.observe(r, errorName(resp))
	if resp == nil {
		return nil // a Produce with acks=0
	}
	if err := c.write(bufs, memory); err != nil {
		return err
	}
	return c.peer.end
}

// encode makes the bytes of an answer, once there is memory for them.
func (c *connection) encode(
	ctx context.Context,
	r *request,
	resp kmsg.Response,
	memory *budget.Hold,
) (net.Buffers, error) {
	resp.SetVersion(r.version)
	if v, ok := resp.(vectored); ok {
		return v.appendBuffers(r.appendResponseHead(make([]byte, 0, 256))), nil
	}
	encoded, all := answerBytes(resp)
	if err := c.s.takeMemory(ctx, memory, all-memory.Held()); err != nil {
		return nil, err
	}
	return net.Buffers{resp.AppendTo(r.appendResponseHead(make([]byte, 0, encoded+responseHeadBytes)))}, nil
}

// vectored is a response that is written from several buffers, without copying them into one. Its
// handler has taken the memory for it.
type vectored interface {
	kmsg.Response
	// appendBuffers returns the whole response, beginning with head.
	appendBuffers(head []byte) net.Buffers
}

func (c *connection) handle(ctx context.Context, r *request) (kmsg.Response, error) {
	switch {
	case r.api == nil:
		r.version = 0
		return c.s.apiVersions(kerr.UnsupportedVersion.Code), nil
	case r.produce != nil:
		return r.produce.wait(ctx)
	}
	req, err := c.decode(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := c.s.takeMemory(ctx, c.peer.answer, c.s.bound(req)); err != nil {
		return nil, err
	}
	if r.api.parks {
		r.memory.Release()
	}
	if long := c.peer.answer.Held() > c.s.opts.Limits.ConnectionBytes; long && computes(req) {
		select {
		case c.s.computing <- struct{}{}:
			defer func() { <-c.s.computing }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return r.api.handle(ctx, c.s, &c.peer, req)
}

// decode decodes a request that is no Produce, once it is known to be whole and there is room for
// what it becomes.
func (c *connection) decode(ctx context.Context, r *request) (kmsg.Request, error) {
	decoded, aliased, err := c.s.shapes.check(r.api.key.Int16(), r.version, r.body)
	if err != nil {
		return nil, err
	}
	if err := c.s.takeMemory(ctx, r.memory, decoded); err != nil {
		return nil, err
	}
	req := kmsg.RequestForKey(r.api.key.Int16())
	req.SetVersion(r.version)
	if err := req.ReadFrom(r.body); err != nil {
		return nil, fmt.Errorf("%w: %s version %d: %w", errFrame, r.api.key.Name(), r.version, err)
	}
	r.body = nil
	if !aliased { // nothing points into the bytes that were read
		c.s.buffers.give(r.buffer)
		r.buffer = nil
		r.memory.ShrinkTo(decoded)
	}
	return req, nil
}

// recover makes a panic an error of this connection alone.
func (c *connection) recover(r *request, err *error) {
	if p := recover(); p != nil {
		c.s.metrics.panics.Inc()
		name := "ApiVersions"
		if r.api != nil {
			name = r.api.key.Name()
		}
		c.log.Error(
			"panic while answering a Kafka request",
			"api",
			name,
			"version",
			r.version,
			"panic",
			p,
			"stack",
			string(debug.Stack()),
		)
		*err = fmt.Errorf("%w: %s: %v", errPanic, name, p)
	}
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
