package rest_test

import (
	"bufio"
	"context"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
	"firn.dev/rest"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dial hands the server one end of a new connection. It returns false if the server takes none.
func (p *pipes) dial() (net.Conn, bool) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, true
	case <-time.After(time.Minute):
		return nil, false
	}
}

// serving runs a server on pipes in a bubble until the test body is done.
func serving(t *testing.T, change func(*rest.Options), body func(t *testing.T, p *pipes, stop func() error)) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := server(t, change)
		p := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, p) }()
		stopped := false
		stop := func() error { stopped = true; cancel(); return <-done }
		body(t, p, stop)
		if !stopped {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestSlowHeaders: who sends a header drop by drop is cut off when the time for headers is over.
func TestSlowHeaders(t *testing.T) {
	serving(t, nil, func(t *testing.T, p *pipes, _ func() error) {
		c, _ := p.dial()
		defer c.Close()
		began := time.Now()
		var sending sync.WaitGroup
		sending.Go(func() {
			for _, b := range []byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("a", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		_, _ = io.Copy(io.Discard, c)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("cut off after %v", took)
		}
		c.Close()
		sending.Wait()
	})
}

// TestLargeHeaders: headers beyond the limit are refused.
func TestLargeHeaders(t *testing.T) {
	serving(t, nil, func(t *testing.T, p *pipes, _ func() error) {
		c, _ := p.dial()
		defer c.Close()
		go func() {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: "+strings.Repeat("a", 64<<10)+
				"\r\n\r\n")
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Error(resp, err)
		}
	})
}

// busy is a connection with a request that is not over, because its answer is not taken.
func (p *pipes) busy(t *testing.T) net.Conn {
	t.Helper()
	c, ok := p.dial()
	if !ok {
		t.Fatal("not taken")
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return c
}

// Beyond the bound, a connection has to go that makes no request, or whose client has proved
// nothing yet.
func TestQuietConnectionsMakeRoom(t *testing.T) {
	const head = "GET / HTTP/1.1\r\nHost: localhost\r\n"
	for name, c := range map[string]struct {
		sends    string
		answered bool
		auth     bool
	}{
		"says nothing":                        {sends: "G"},
		"waits for its next request":          {sends: head + "\r\n", answered: true},
		"does not send what it announced":     {sends: head + "Content-Length: 1\r\n\r\n", answered: true},
		"is refused, and does not end":        {sends: head + "Content-Length: 1\r\n\r\n", answered: true, auth: true},
		"takes no answer that is everybody's": {sends: "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", auth: true},
		"has its password looked at so far":   {sends: head + "Authorization: Basic YTpi\r\n\r\n", auth: true},
	} {
		t.Run(name, func(t *testing.T) {
			limit := func(o *rest.Options) {
				o.Limits.MaxConnections = 1
				if c.auth {
					o.Logins = &rest.Logins{Passwords: login.NewPasswords(&people{}), Required: true, Plaintext: true}
				}
			}
			serving(t, limit, func(t *testing.T, p *pipes, _ func() error) {
				quiet, _ := p.dial()
				defer quiet.Close()
				if _, err := io.WriteString(quiet, c.sends); err != nil {
					t.Fatal(err)
				}
				if c.answered {
					resp, err := http.ReadResponse(bufio.NewReader(quiet), nil)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				synctest.Wait()
				if got := statusOf(t, p, "/nowhere"); got != http.StatusNotFound {
					t.Errorf("another is answered %d", got)
				}
				if n, err := quiet.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("%d bytes came, and %v", n, err)
				}
			})
		})
	}
}

// Strangers that begin handshakes and do not go on keep nobody out.
func TestHalfOpenHandshakesKeepNobodyOut(t *testing.T) {
	authority := logintest.NewAuthority(t)
	files := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "server"}))
	certificates, err := login.LoadCertificates(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := startFirn(t, 1, func(o *rest.Options) { o.TLS, o.Limits.MaxConnections = certificates.Config(), 10 })[0]
	address := strings.TrimPrefix(f.url, "http://")
	for range 50 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	honest := &http.Client{Transport: &http.Transport{TLSClientConfig: authority.Client()}}
	defer honest.CloseIdleConnections()
	resp, err := honest.Get("https://" + address + "/v1/cluster")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("an honest client gets %s", resp.Status)
	}
}

// TestConnectionsAreBounded: beyond the bound, probes are answered and nothing else, until a
// connection closes.
func TestConnectionsAreBounded(t *testing.T) {
	for name, limit := range map[string]func(*rest.Options){
		"in all":           func(o *rest.Options) { o.Limits.MaxConnections = 2 },
		"from one address": func(o *rest.Options) { o.Limits.MaxConnectionsPerIP = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, limit, func(t *testing.T, p *pipes, _ func() error) {
				var open []net.Conn
				for range 2 {
					open = append(open, p.busy(t))
				}
				for path, want := range map[string]int{"/healthz": 200, "/metrics": 200, "/": 429} {
					if got := statusOf(t, p, path); got != want {
						t.Errorf("%s answers %d beyond the bound, want %d", path, got, want)
					}
				}
				open[0].Close()
				synctest.Wait()
				if got := statusOf(t, p, "/"); got != 200 {
					t.Errorf("after one has closed: %d", got)
				}
				open[1].Close()
			})
		})
	}
}

// TestReserveIsBounded: connections beyond the reserve are closed.
func TestReserveIsBounded(t *testing.T) {
	serving(t, func(o *rest.Options) { o.Limits.MaxConnections = 1 }, func(t *testing.T, p *pipes, _ func() error) {
		defer p.busy(t).Close()
		for range 16 { // the reserve of an address
			c, _ := p.dial()
			defer c.Close()
		}
		c, _ := p.dial()
		defer c.Close()
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes came", n)
		}
	})
}

// statusOf asks for a path on a connection of its own.
func statusOf(t *testing.T, p *pipes, path string) int {
	t.Helper()
	c, _ := p.dial()
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestGracefulEnd: a request under way is answered, while no new connection is taken.
func TestGracefulEnd(t *testing.T) {
	node := &fakeNode{joining: true} // so that /readyz takes its time
	serving(t, func(o *rest.Options) { o.Node = node }, func(t *testing.T, p *pipes, stop func() error) {
		c, _ := p.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		answered := make(chan *http.Response, 1)
		go func() {
			resp, _ := http.ReadResponse(bufio.NewReader(c), nil)
			answered <- resp
		}()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if resp := <-answered; resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Error("the request under way was not answered")
		}
		if _, ok := p.dial(); ok {
			t.Error("a connection was taken after the end")
		}
	})
}
