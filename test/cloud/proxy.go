package cloud

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// Proxy lets requests for S3 pass to a server, each as slowly as a profile says, and counts them.
// What the server itself takes comes on top. It is an http.Handler.
type Proxy struct {
	Meter
	profile *Profile
	target  *httputil.ReverseProxy

	mu     sync.Mutex
	random *rand.Rand
}

// NewProxy returns a proxy before the server at target.
func NewProxy(target *url.URL, profile *Profile, seed uint64) *Proxy {
	p := &Proxy{profile: profile, random: rand.New(rand.NewPCG(seed, 0))}
	p.target = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which the signature covers
		},
		ModifyResponse: func(r *http.Response) error {
			if kindOf(r.Request) == Get && r.Request.Method == http.MethodGet {
				p.down.Add(max(r.ContentLength, 0))
				return sleep(r.Request.Context(), profile.transfer(max(r.ContentLength, 0)))
			}
			return nil
		},
	}
	return p
}

// kindOf says what a request is on the bill.
func kindOf(r *http.Request) Kind {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodDelete, r.Method == http.MethodPost && q.Has("delete"):
		return Delete
	case r.Method == http.MethodPut, r.Method == http.MethodPost:
		return Put
	case q.Has("list-type"), q.Has("uploads"):
		return List
	}
	return Get
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := kindOf(r)
	p.mu.Lock()
	took, busy := p.profile.draw(p.random, kind, max(r.ContentLength, 0))
	p.mu.Unlock()
	if sleep(r.Context(), took) != nil {
		return
	}
	if busy {
		p.busy.Add(1)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
		return
	}
	p.count(kind, max(r.ContentLength, 0))
	p.target.ServeHTTP(w, r)
}
