package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Proxy stands between clients and a server: it can lead them to another server, cut them
// off, and lose replies.
type Proxy struct {
	Addr string

	listener net.Listener
	tasks    sync.WaitGroup

	mu      sync.Mutex
	target  string // empty: nobody is let through
	conns   map[net.Conn]struct{}
	refused chan struct{} // takes one for each connection that was not let through
	lose    []byte
	request bool          // lose the request itself, not its reply
	cut     chan struct{} // not nil: closed, and everybody is cut off, when the reply is lost
	sent    int
	nth     *Nth
	record  []byte
	seen    []byte // the first request that had the bytes of record
}

// StartProxy starts a proxy in front of target. It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), listener: l, target: target, conns: map[net.Conn]struct{}{},
		refused: make(chan struct{})}
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

// LoseReply makes the proxy lose the reply to the next request that contains these bytes: the
// server carries it out, and the connection breaks.
func (p *Proxy) LoseReply(request []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.request, p.cut, p.sent = request, false, nil, 0
}

// LoseRequest makes the proxy lose the next request that contains these bytes: the server never
// gets it, and the connection breaks.
func (p *Proxy) LoseRequest(request []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.request, p.cut, p.sent = request, true, nil, 0
}

// Nth is one request that the proxy loses, or the reply to it.
type Nth struct {
	p       *Proxy
	before  int // requests that are let through before it
	request bool
	seen    []byte
}

// LoseNth makes the proxy lose the nth request from now on, whatever it is: the request itself, or
// its reply. Requests are counted from 1.
func (p *Proxy) LoseNth(n int, request bool) *Nth {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nth = &Nth{p: p, before: n - 1, request: request}
	return p.nth
}

// Request is the request that was lost, or whose reply was; nil if there were not so many. From now
// on nothing is lost any more.
func (n *Nth) Request() []byte {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	if n.p.nth == n {
		n.p.nth = nil
	}
	return n.seen
}

// CutAfter loses the reply to the next request that contains these bytes, and cuts everybody off
// from then on, until Lead. The channel is closed then.
func (p *Proxy) CutAfter(request []byte) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.request, p.cut, p.sent = request, false, make(chan struct{}), 0
	return p.cut
}

// Refused waits until so many more connections were not let through.
func (p *Proxy) Refused(n int) {
	for range n {
		<-p.refused
	}
}

// Record keeps the next request that contains these bytes. What it returns returns that.
func (p *Proxy) Record(request []byte) func() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record, p.seen = request, nil
	return func() []byte {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.seen
	}
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
		select {
		case p.refused <- struct{}{}:
		default:
		}
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
	r := bufio.NewReaderSize(c.client, 64<<10)
	for {
		request, err := readRequest(r)
		if err != nil || c.inspect(request) {
			return
		}
		if _, err := c.server.Write(request); err != nil {
			return
		}
	}
}

// readRequest reads one whole request: a list of strings.
func readRequest(r *bufio.Reader) ([]byte, error) {
	request, n, err := readCount(r, nil, '*')
	for range n {
		if err != nil {
			return nil, err
		}
		var length int
		if request, length, err = readCount(r, request, '$'); err != nil {
			return nil, err
		}
		from := len(request)
		request = append(request, make([]byte, length+len("\r\n"))...)
		_, err = io.ReadFull(r, request[from:])
	}
	return request, err
}

// readCount reads a line that says how much of a kind comes, and appends it to request.
func readCount(r *bufio.Reader, request []byte, kind byte) ([]byte, int, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	if err != nil || line[0] != kind || n < 0 || n > 1<<29 {
		return nil, 0, fmt.Errorf("redistest: a request has %q where %q should be", line, kind)
	}
	return append(request, line...), n, nil
}

// inspect says whether to lose the request. If it is the reply that is to be lost it notes that.
func (c *carried) inspect(request []byte) bool {
	p := c.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.record) > 0 && p.seen == nil && bytes.Contains(request, p.record) {
		p.seen = bytes.Clone(request)
	}
	hit, whole := false, false
	if len(p.lose) > 0 && bytes.Contains(request, p.lose) {
		p.sent++
		hit, whole = p.sent == 1, p.request
	}
	if n := p.nth; n != nil && n.seen == nil {
		if n.before == 0 {
			n.seen = bytes.Clone(request)
			hit, whole = true, n.request
		}
		n.before--
	}
	if hit && !whole {
		c.mu.Lock()
		c.lose = true
		c.mu.Unlock()
	}
	return hit && whole
}

// lost cuts everybody off, if that was asked for.
func (p *Proxy) lost() {
	p.mu.Lock()
	cut := p.cut
	p.cut = nil
	p.mu.Unlock()
	if cut != nil {
		p.Lead("")
		close(cut)
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
		if lose {
			c.proxy.lost()
		}
		if err != nil || lose {
			return
		}
		if _, err := io.Copy(c.client, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}
