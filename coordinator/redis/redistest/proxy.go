package redistest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between clients and a server: it can lead them to another server, cut them off, and lose replies.
type Proxy struct {
	Addr string

	listener net.Listener
	tasks    sync.WaitGroup

	mu     sync.Mutex
	target string // empty: nobody is let through
	conns  map[net.Conn]struct{}
	lose   []byte
	sent   int
}

// StartProxy starts a proxy in front of target. It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), listener: l, target: target, conns: map[net.Conn]struct{}{}}
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Lead("")
		p.tasks.Wait()
	})
	return p
}

// Lead cuts all connections, and leads new ones to target; if that is empty, nowhere.
func (p *Proxy) Lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	for c := range p.conns {
		c.Close()
	}
}

// LoseReply makes the proxy lose the reply to the next request that contains these bytes: the server carries it out, and the connection
// breaks.
func (p *Proxy) LoseReply(request []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.sent = request, 0
}

// Sent is how many requests have had the bytes of the last LoseReply.
func (p *Proxy) Sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.tasks.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.target != target { // led away meanwhile
		p.mu.Unlock()
		return
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		delete(p.conns, server)
	}()
	c := carried{proxy: p, client: client, server: server}
	var both sync.WaitGroup
	both.Go(c.requests)
	both.Go(c.replies)
	both.Wait()
}

// carried is one connection.
type carried struct {
	proxy          *Proxy
	client, server net.Conn

	mu   sync.Mutex
	lose bool // the next reply
}

func (c *carried) requests() {
	defer c.server.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := c.client.Read(buf)
		if err != nil {
			return
		}
		c.inspect(buf[:n])
		if _, err := c.server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (c *carried) inspect(request []byte) {
	p := c.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lose) == 0 || !bytes.Contains(request, p.lose) {
		return
	}
	p.sent++
	if p.sent == 1 {
		c.mu.Lock()
		c.lose = true
		c.mu.Unlock()
	}
}

func (c *carried) replies() {
	defer c.client.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := c.server.Read(buf)
		c.mu.Lock()
		lose := c.lose
		c.mu.Unlock()
		if err != nil || lose {
			return
		}
		if _, err := io.Copy(c.client, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}
