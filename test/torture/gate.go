package main

import (
	"io"
	"net"
	"sync"
)

// gate is a TCP proxy that stands between one node and one server. Shut, it closes all connections and refuses new ones: the node is cut off.
type gate struct {
	addr     string
	target   string
	listener net.Listener
	tasks    sync.WaitGroup

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]struct{}
}

// newGate opens a gate to target. Somebody has to close it.
func newGate(target string) (*gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
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

// set opens the gate, or shuts it.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for c := range g.conns {
			c.Close()
		}
	}
}

func (g *gate) close() {
	g.listener.Close()
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

// carry carries bytes in both directions until one side ends.
func (g *gate) carry(client net.Conn) {
	defer g.release(client)
	if !g.hold(client) {
		return
	}
	server, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	defer g.release(server)
	if !g.hold(server) {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			io.Copy(way[1], way[0])
			client.Close()
			server.Close()
		})
	}
	both.Wait()
}
