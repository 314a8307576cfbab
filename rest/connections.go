package rest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"firn.dev/access"
	"firn.dev/budget"
)

// Connections beyond the limits are not left to wait: a probe might be among them, and an
// orchestrator would end a process that answers none. As many as these are taken, for one request
// each, which has to be a probe or a scrape. All others are closed.
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

	mu   sync.Mutex
	open tally // within the limits
	rest tally // of the reserve
}

// tally counts connections.
type tally struct {
	all   int
	perIP map[netip.Addr]int
}

func newLimited(l net.Listener, limits Limits, connect func(ip string) time.Duration) *limited {
	return &limited{Listener: l, limits: limits, connect: connect,
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
		c.Close()
	}
}

// admit counts a connection; nil if it is one too many.
func (l *limited) admit(c net.Conn) net.Conn {
	from := budget.AddressOf(c.RemoteAddr().String())
	tooFast := l.connect(from.String()) > 0
	l.mu.Lock()
	defer l.mu.Unlock()
	in := &l.open
	if tooFast || !in.add(from, l.limits.MaxConnections, l.limits.MaxConnectionsPerIP) {
		if in = &l.rest; !in.add(from, reserveConnections, reserveConnectionsPerIP) {
			return nil
		}
	}
	return &counted{Conn: c, reserve: in == &l.rest, tooFast: tooFast, leave: sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		in.remove(from)
	})}
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
	reserve bool
	tooFast bool // it is on the reserve because its address makes too many connections
	leave   func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// reserveKey is where the context of a request that came on the reserve has its connection.
type reserveKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	if secure, is := c.(*tls.Conn); is {
		c = secure.NetConn()
	}
	if counted, is := c.(*counted); is && counted.reserve {
		return context.WithValue(ctx, reserveKey{}, counted)
	}
	return ctx
}

// probesFirst has the reserve answer probes and scrapes alone, one on each connection.
func probesFirst(probes, all http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, reserve := r.Context().Value(reserveKey{}).(*counted)
		if !reserve {
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
