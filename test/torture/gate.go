package main

import (
	"net"
	"sync"
)

// gate is a TCP proxy that stands between one node and one server. It can cut the node off, lead it
// to another server, go silent, and lose a reply.
type gate struct {
	addr     string
	listener net.Listener
	tasks    sync.WaitGroup

	mu     sync.Mutex
	target string
	shut   bool
	conns  map[net.Conn]struct{}
	loss   *loss         // nil: every reply arrives
	silent chan struct{} // nil: bytes pass; closed when they do again
}

// newGate opens a gate to target at a free port of host. Somebody has to close it.
func newGate(host, target string) (*gate, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	g := &gate{addr: l.Addr().String(), target: target, listener: l, conns: map[net.Conn]struct{}{}}
	g.tasks.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			g.tasks.Go(func() { g.carry(client) })
		}
	})
	return g, nil
}

// set opens the gate, or shuts it: shut, it closes all connections and refuses new ones.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		g.cut()
	}
}

// lead cuts all connections and leads new ones to another server.
func (g *gate) lead(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = target
	g.cut()
}

// hush makes the gate carry nothing in either direction, or go on: no connection breaks, new ones
// are accepted, and nobody answers.
func (g *gate) hush(silent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case silent && g.silent == nil:
		g.silent = make(chan struct{})
	case !silent && g.silent != nil:
		close(g.silent)
		g.silent = nil
	}
}

// lose makes the gate lose a reply, unless another gate that has the same loss is first.
func (g *gate) lose(l *loss) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.loss = l
}

// cut closes all connections.
func (g *gate) cut() {
	for c := range g.conns {
		c.Close()
	}
}

func (g *gate) close() {
	g.listener.Close()
	g.hush(false)
	g.set(true)
	g.tasks.Wait()
}

// hold takes a connection into account, unless the gate is shut.
func (g *gate) hold(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gate) release(c net.Conn) {
	c.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// pass waits while the gate is silent, and returns the loss that is to happen.
func (g *gate) pass() *loss {
	for {
		g.mu.Lock()
		silent, loss := g.silent, g.loss
		g.mu.Unlock()
		if silent == nil {
			return loss
		}
		<-silent // close ends it
	}
}

// carry carries bytes in both directions until one side ends.
func (g *gate) carry(client net.Conn) {
	defer g.release(client)
	if !g.hold(client) {
		return
	}
	g.mu.Lock()
	target := g.target
	g.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer g.release(server)
	if !g.hold(server) {
		return
	}
	c := &carried{gate: g, client: client, server: server}
	var both sync.WaitGroup
	both.Go(c.requests)
	both.Go(c.replies)
	both.Wait()
}

// carried is one connection through a gate.
type carried struct {
	gate           *gate
	client, server net.Conn

	mu   sync.Mutex
	loss *loss // what the next reply is lost to
}

const chunkBytes = 64 << 10

func (c *carried) requests() {
	defer c.client.Close()
	defer c.server.Close()
	chunk := make([]byte, chunkBytes)
	for {
		n, err := c.client.Read(chunk)
		if err != nil {
			return
		}
		if l := c.gate.pass(); l != nil && l.claim(chunk[:n]) {
			c.mu.Lock()
			c.loss = l
			c.mu.Unlock()
		}
		if _, err := c.server.Write(chunk[:n]); err != nil {
			return
		}
	}
}

func (c *carried) replies() {
	defer c.client.Close()
	defer c.server.Close()
	chunk := make([]byte, chunkBytes)
	for {
		n, err := c.server.Read(chunk)
		c.gate.pass()
		if c.lost(chunk[:n]) || err != nil {
			return
		}
		if _, err := c.client.Write(chunk[:n]); err != nil {
			return
		}
	}
}

// lost says whether this reply is to be lost. One that says that nothing was done is not worth
// losing, and one that never came is not lost here: then the next call's is.
func (c *carried) lost(reply []byte) bool {
	c.mu.Lock()
	l := c.loss
	c.loss = nil
	c.mu.Unlock()
	if l == nil {
		return false
	}
	return l.settle(reply)
}
