package rest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/access"
	"firn.dev/budget"
)

// A connection makes a request once its client has proved who it is, until it is answered. Others,
// whose handshakes, headers or logins are under way, or which wait for the next request, have to go
// when MaxConnections are open and another comes: strangers keep nobody out.
//
// Others beyond the limits are not left to wait: a probe might be among them, and an orchestrator
// would end a process that answers none. As many as these are taken, for one request each, which
// has to be a probe or a scrape. All others are closed.
const (
	reserveConnections      = 64
	reserveConnectionsPerIP = 16
)

// limited is a listener that bounds the connections that are open, in all and from one address.
type limited struct {
	net.Listener
	limits Limits
	// connect counts a connection from an address, and returns for how long there may be no more.
	connect func(ip string) time.Duration
	refused prometheus.Counter // connections that are closed at once

	mu    sync.Mutex
	open  tally                   // within the limits
	rest  tally                   // of the reserve
	quiet *budget.Crowd[*counted] // of open: those that make no request
}

// tally counts connections.
type tally struct {
	all   int
	perIP map[netip.Addr]int
}

func newLimited(l net.Listener, limits Limits, connect func(ip string) time.Duration) *limited {
	return &limited{Listener: l, limits: limits, connect: connect, quiet: budget.NewCrowd[*counted](),
		open: tally{perIP: map[netip.Addr]int{}}, rest: tally{perIP: map[netip.Addr]int{}}}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.admit(c); admitted != nil {
			return admitted, nil
		}
		l.refused.Inc()
		c.Close()
	}
}

// admit counts a connection; nil if it is one too many.
func (l *limited) admit(c net.Conn) net.Conn {
	from := budget.AddressOf(c.RemoteAddr().String())
	tooFast := l.connect(from.String()) > 0
	l.mu.Lock()
	defer l.mu.Unlock()
	if !tooFast && l.open.all >= l.limits.MaxConnections && l.open.perIP[from] < l.limits.MaxConnectionsPerIP {
		if goes, any := l.quiet.Pop(); any {
			goes.gone = true
			l.open.remove(goes.from)
			goes.Conn.Close()
		}
	}
	admitted := &counted{Conn: c, from: from, tooFast: tooFast, of: l}
	switch {
	case !tooFast && l.open.add(from, l.limits.MaxConnections, l.limits.MaxConnectionsPerIP):
		l.quiet.Add(admitted, from)
	case l.rest.add(from, reserveConnections, reserveConnectionsPerIP):
		admitted.reserve = true
	default:
		return nil
	}
	return admitted
}

// begins says that a connection makes a request; false if it is closed, to make room for others.
func (c *counted) begins() bool {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.quiet.Remove(c)
	return !c.gone
}

// waits says that a connection has no request.
func (c *counted) waits() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if !c.gone && !c.reserve {
		c.of.quiet.Remove(c)
		c.of.quiet.Add(c, c.from)
	}
}

// leave gives the place of a connection back.
func (c *counted) leave() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	if c.reserve {
		c.of.rest.remove(c.from)
		return
	}
	c.of.quiet.Remove(c)
	c.of.open.remove(c.from)
}

func (t *tally) add(from netip.Addr, most, mostPerIP int) bool {
	if t.all >= most || t.perIP[from] >= mostPerIP {
		return false
	}
	t.all++
	t.perIP[from]++
	return true
}

func (t *tally) remove(from netip.Addr) {
	t.all--
	if t.perIP[from]--; t.perIP[from] == 0 {
		delete(t.perIP, from)
	}
}

// counted is a connection that gives its place back when it closes.
type counted struct {
	net.Conn
	of      *limited
	from    netip.Addr
	reserve bool
	tooFast bool // it is on the reserve because its address makes too many connections
	gone    bool // its place is given back
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// connectionKey is where the context of a request has its connection.
type connectionKey struct{}

// countedOf is a connection as it was counted.
func countedOf(c net.Conn) *counted {
	if secure, is := c.(*tls.Conn); is {
		c = secure.NetConn()
	}
	return c.(*counted)
}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, countedOf(c))
}

// begins is called when the client of a request has proved who it is.
func begins(r *http.Request) {
	if c, is := r.Context().Value(connectionKey{}).(*counted); is && !c.begins() {
		panic(http.ErrAbortHandler) // its client could not be answered
	}
}

// ends is called when a request is answered, and its body perhaps not read.
func ends(r *http.Request) {
	if c, is := r.Context().Value(connectionKey{}).(*counted); is {
		c.waits()
	}
}

// noteState is for http.Server.ConnState.
func (s *Server) noteState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateIdle:
		countedOf(c).waits()
	case http.StateClosed, http.StateHijacked:
		s.connections.Add(-1)
	}
}

// probesFirst has the reserve answer probes and scrapes alone, one on each connection.
func probesFirst(probes, all http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, served := r.Context().Value(connectionKey{}).(*counted)
		if !served || !c.reserve {
			all.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics":
			probes.ServeHTTP(w, r)
		default:
			p := *full("MaxConnections", "as many connections are open as there may be, in all or from this address")
			if c.tooFast {
				p = *busy(access.Connections.String(), "this address makes connections faster than its quota allows")
			}
			p.retryAfter = time.Second
			fail(w, p)
		}
	})
}
