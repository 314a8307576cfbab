package storetest

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"testing"
)

// Exchange is what happens to one HTTP request on its way through a Proxy. The zero Exchange is
// nothing.
type Exchange struct {
	Refuse  string // answer with this code of S3 and Status, and do not forward
	Status  int    // 503 if it is not set
	Lose    bool   // forward, and break the connection instead of answering
	CutBody bool   // forward, and break the connection in the middle of the answer's body
	Corrupt bool   // flip a bit of the request's body on the way
}

// Proxy stands between a driver and its S3 server and does to each request what a script says.
// Signatures stay valid.
type Proxy struct {
	Addr string // host:port

	mu     sync.Mutex
	script func(*http.Request) Exchange
	seen   []string
}

// NewProxy starts a proxy before the server at host:port. It ends with the test.
func NewProxy(t testing.TB, server string) *Proxy {
	p := &Proxy{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: server})
		r.Out.Host = r.In.Host // it is part of the signature
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }))
	t.Cleanup(s.Close)
	p.Addr = s.Listener.Addr().String()
	return p
}

// Script replaces the script and forgets the requests that came so far. It is called for one
// request at a time; nil is none.
func (p *Proxy) Script(script func(*http.Request) Exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script, p.seen = script, nil
}

// Seen is the methods of the requests that came since Script.
func (p *Proxy) Seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// FirstOnly returns a script that does something to the first request with a method.
func FirstOnly(method string, e Exchange) func(*http.Request) Exchange {
	struck := false
	return func(r *http.Request) Exchange {
		if struck || r.Method != method {
			return Exchange{}
		}
		struck = true
		return e
	}
}

func (p *Proxy) ask(r *http.Request) Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method)
	if p.script == nil {
		return Exchange{}
	}
	return p.script(r)
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	e := p.ask(r)
	if e.Corrupt {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) == 0 {
			panic(http.ErrAbortHandler)
		}
		body[len(body)/2] ^= 1
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	switch {
	case e.Refuse != "":
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(cmp.Or(e.Status, http.StatusServiceUnavailable))
		io.WriteString(w, "<Error><Code>"+e.Refuse+"</Code><Message>as the script says</Message></Error>")
	case e.Lose, e.CutBody:
		answer := httptest.NewRecorder()
		forward.ServeHTTP(answer, r)
		if e.CutBody {
			maps.Copy(w.Header(), answer.Header())
			w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
			w.WriteHeader(answer.Code)
			w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
			http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	default:
		forward.ServeHTTP(w, r)
	}
}
