// Package kafka speaks the Kafka wire protocol. Each API key has a file of its own, which says the
// versions served and how it behaves, and registers itself; ApiVersions answers from that register.
//
// A connection (connection.go) has two goroutines: one reads requests and starts Produces, the
// other runs every other handler and writes the answers, in the order of the requests. Nothing is
// held without a bound: see Limits.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"firn.dev/access"
	"firn.dev/budget"
	"firn.dev/coordinator/security"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/ingest"
	"firn.dev/topics"
)

// Server serves Kafka clients.
type Server struct {
	opts     Options
	topics   *topics.Topics
	security *security.Admin
	metrics  *metrics
	audit    *access.Audit

	requests *budget.Pool // memory of requests
	answers  *budget.Pool // memory of answers
	buffers  buffers
	// computing has a place for each long answer that is being computed, as many as there are cores:
	// many clients that ask for much do not keep the cores from those that ask for little.
	computing chan struct{}
	configs   topicconfig.Cache
	preparer  ingest.Preparer
	shapes    shapes
	shares    shareSessions
	commits   *commitLog // what __consumer_offsets has

	draining chan struct{} // closed when the server stops: connections answer what they have and end
	drain    sync.Once
	serving  context.Context // ends when draining is closed
	stop     context.CancelFunc

	mu          sync.Mutex
	connections map[*connection]struct{}
	perAddress  map[netip.Addr]int
	// strangers are the connections whose clients have not yet proved who they are: their handshakes
	// or logins are under way. They are few, whatever many of them do: when one more comes than there
	// may be, one has to go. An honest client has few at a time, and is done long before its turn.
	strangers *budget.Crowd[*connection]

	refusals     rate.Sometimes // logs of refused connections
	readFailures rate.Sometimes // logs of partitions that cannot be read
}

// New returns a server.
func New(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opts:      opts,
		topics:    topics.New(opts.Node, opts.Topics),
		security:  security.NewAdmin(opts.Node, opts.Authorizer, opts.Quotas),
		audit:     access.NewAudit(opts.Logger),
		requests:  budget.New(opts.Limits.requestMemory()),
		answers:   budget.New(opts.Limits.answerMemory()),
		computing: make(chan struct{}, runtime.GOMAXPROCS(0)),
		preparer: ingest.Preparer{CompressPlain: !opts.KeepPlain, TrustHeaders: opts.CheckRecords == "headers",
			MaxDecompressed: opts.Limits.MaxRequestBytes},
		commits:      newCommitLog(opts.Node.View()),
		draining:     make(chan struct{}),
		connections:  map[*connection]struct{}{},
		perAddress:   map[netip.Addr]int{},
		strangers:    budget.NewCrowd[*connection](),
		refusals:     rate.Sometimes{First: 3, Interval: time.Second},
		readFailures: rate.Sometimes{First: 3, Interval: time.Second},
	}
	s.serving, s.stop = context.WithCancel(context.Background())
	s.metrics = newMetrics(opts.Registerer, s)
	return s, nil
}

// Serve accepts connections until ctx ends; then it accepts no more, answers what is under way and
// returns. It closes the listeners. When one of them fails, it ends as well. A server serves once.
func (s *Server) Serve(ctx context.Context, listeners ...Listener) error {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)

	var running sync.WaitGroup
	accepting, acceptingCtx := errgroup.WithContext(ctx)
	for i := range listeners {
		l := &listeners[i]
		accepting.Go(func() error {
			stop := context.AfterFunc(acceptingCtx, func() { l.Close() })
			defer stop()
			return s.accept(acceptingCtx, l, func(c *connection) {
				running.Go(func() {
					defer s.forget(c)
					c.serve(base)
				})
			})
		})
	}
	err := accepting.Wait()
	s.startDraining()
	deadline := time.AfterFunc(s.opts.Limits.DrainTimeout, func() { cancel(errDrainTimeout) })
	running.Wait()
	deadline.Stop()
	s.commits.close()
	return err
}

// accept hands each connection that the limits allow to start. It returns nil when ctx ended.
func (s *Server) accept(ctx context.Context, l *Listener, start func(*connection)) error {
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of file descriptors, say: it may pass
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.opts.Logger.Warn("accepting a Kafka connection", "error", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		c, err := s.admit(nc, l)
		if err != nil {
			nc.Close()
			s.metrics.refused.Inc()
			s.refusals.Do(func() { s.opts.Logger.Warn("Kafka connection refused", "peer", nc.RemoteAddr(), "error", err) })
			continue
		}
		start(c)
	}
}

// admit counts a connection, unless a limit forbids it.
func (s *Server) admit(nc net.Conn, l *Listener) (*connection, error) {
	address := budget.AddressOf(nc.RemoteAddr().String())
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.opts.Limits.MaxConnections; len(s.connections) >= limit {
		return nil, fmt.Errorf("MaxConnections: %d connections are open", limit)
	}
	if limit := s.opts.Limits.MaxConnectionsPerIP; s.perAddress[address] >= limit {
		return nil, fmt.Errorf("MaxConnectionsPerIP: %d connections are open from %s", limit, address)
	}
	c := newConnection(s, nc, l, address)
	c.refused = s.opts.Quotas.Connect(address.String())
	s.connections[c] = struct{}{}
	s.perAddress[address]++
	if l.provesSomething() {
		s.strangers.Add(c, c.address)
		if s.strangers.Len() > s.opts.Limits.MaxStrangers {
			if goes, _ := s.strangers.Pop(); goes.loginTimer.Stop() {
				goes.dismiss()
			}
		}
	}
	return c, nil
}

func (s *Server) forget(c *connection) {
	s.endShareSessions(&c.peer)
	c.requests.Close()
	c.answers.Close()
	if c.writes != nil {
		c.writes.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strangers.Remove(c)
	delete(s.connections, c)
	if s.perAddress[c.address]--; s.perAddress[c.address] == 0 {
		delete(s.perAddress, c.address)
	}
}

// startDraining tells every connection to answer what it has and end.
func (s *Server) startDraining() {
	s.drain.Do(func() {
		close(s.draining)
		s.stop()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		c.stopReading()
	}
}

func (s *Server) openConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}
