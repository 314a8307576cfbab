package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"firn.dev/coordinator"
)

// Listener is where clients come in.
type Listener struct {
	net.Listener
	// Name is under which nodes register at which address their clients reach them: clients get the
	// addresses of the listener that they came through.
	Name string
	TLS  *tls.Config // nil: plaintext
	SASL bool        // clients log in, by Options.Passwords or Options.Tokens
}

// provesSomething says whether a client has something to prove before it is served.
func (l *Listener) provesSomething() bool { return l.TLS != nil || l.SASL }

// known is called when a client has proved who it is.
func (s *Server) known(c *connection) {
	c.loginTimer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strangers.Remove(c)
}

// shakeHands does what TLS asks for, within LoginTimeout.
func (c *connection) shakeHands(ctx context.Context) error {
	secure, is := c.nc.(*tls.Conn)
	if !is {
		return nil
	}
	if err := c.setReadDeadline(c.s.opts.Limits.LoginTimeout); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.s.opts.Limits.LoginTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		c.s.metrics.handshakes.WithLabelValues("failed").Inc()
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	c.s.metrics.handshakes.WithLabelValues("done").Inc()
	if c.peer.session == nil {
		var err error
		if c.client.Principal, err = c.s.opts.Principals.Of(secure.ConnectionState()); err != nil {
			return fmt.Errorf("%w: %w", errHandshake, err)
		}
		c.s.known(c)
	}
	return nil
}

// beneathTLS is the connection that TLS writes to. TLS writes by itself now and then, between
// responses, and those writes have a deadline as well.
type beneathTLS struct {
	net.Conn
	timeout  time.Duration
	deadline atomic.Bool // the responder has set one
}

func (b *beneathTLS) SetWriteDeadline(t time.Time) error {
	b.deadline.Store(!t.IsZero())
	return b.Conn.SetWriteDeadline(t)
}

func (b *beneathTLS) Write(p []byte) (int, error) {
	if !b.deadline.Load() {
		if err := b.Conn.SetWriteDeadline(time.Now().Add(b.timeout)); err != nil {
			return 0, err
		}
	}
	return b.Conn.Write(p)
}

// DefaultListener is the name of the listener of nodes that have one alone, and name none.
const DefaultListener = "plaintext"

// nodes are the live nodes with the addresses that this client is to be told. A node that has no
// listener of the name that the client came through is none that it could reach.
func (s *Server) nodes(from *peer) []coordinator.NodeInfo {
	return reachable(s.opts.Node.Nodes(), from.listener)
}

func reachable(nodes []coordinator.NodeInfo, listener string) []coordinator.NodeInfo {
	var told []coordinator.NodeInfo
	for _, n := range nodes {
		at := slices.IndexFunc(n.Listeners, func(l coordinator.Listener) bool { return l.Name == listener })
		switch {
		case at >= 0:
			n.KafkaHost, n.KafkaPort = n.Listeners[at].Host, n.Listeners[at].Port
		case len(n.Listeners) > 0 || listener != DefaultListener:
			continue // nodes of earlier versions have one listener, and do not name it
		}
		told = append(told, n)
	}
	return told
}
