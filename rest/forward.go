package rest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// Requests about a group are answered by the node that owns it. Other nodes forward them to it,
// once: a request that was forwarded and has still not come to the owner, because the group has
// just moved, is to be tried again.

// forwardedField marks a request that a node has sent on, with that node's id.
const forwardedField = "Firn-Forwarded-By"

// Timeouts of a request to another node. Those for answers are longer than what that node may take.
const (
	forwardDial    = 2 * time.Second
	forwardAnswer  = 75 * time.Second
	askPeerTimeout = 5 * time.Second
	maxPeerAnswer  = 64 << 20
	maxPeerProblem = 64 << 10
)

// ofGroup has a request about a group answered where the group is.
func (s *Server) ofGroup(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		owner, ours, err := s.ownerOf(r, r.PathValue("group"))
		switch {
		case err != nil:
			return err
		case ours:
			return h(w, r)
		}
		return s.forward(w, r, owner)
	}
}

// ownerOf is the node that answers a request about a group, and whether it is this one.
func (s *Server) ownerOf(r *http.Request, group string) (owner coordinator.NodeInfo, ours bool, err error) {
	owner, any := s.opts.Groups.Owner(group)
	switch {
	case !any:
		return owner, false, kerr.CoordinatorNotAvailable
	case owner.ID == s.opts.Node.Info().ID:
		return owner, true, nil
	case r.Header.Get(forwardedField) != "":
		return owner, false, kerr.NotCoordinator
	case owner.HTTP == "":
		return owner, false, &problem{Status: http.StatusServiceUnavailable, Code: kerr.NotCoordinator.Message,
			retryAfter: time.Second, Detail: fmt.Sprintf("the group is node %d's, which serves no HTTP that others can reach: "+
				"start it with an address for them (%s)", owner.ID, s.setting("NodeInfo.HTTP"))}
	}
	return owner, false, nil
}

// ownerKey is under which a request's context has the node that it goes to.
type ownerKey struct{}

// newForwarder returns the handler that sends requests on.
func (s *Server) newForwarder() http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: s.peers.Transport,
		ErrorLog:  slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelWarn),
		Rewrite: func(r *httputil.ProxyRequest) {
			owner := r.In.Context().Value(ownerKey{}).(coordinator.NodeInfo)
			r.SetURL(peerURL(owner))
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			owner := r.Context().Value(ownerKey{}).(coordinator.NodeInfo)
			fail(w, retryable(problem{Status: http.StatusServiceUnavailable, Code: kerr.CoordinatorNotAvailable.Message,
				Detail: fmt.Sprintf("the group is node %d's, which does not answer at %s (its %s): %v", owner.ID, owner.HTTP,
					s.setting("NodeInfo.HTTP"), err)}))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lastFor(w, maxWait)
		proxy.ServeHTTP(w, r)
	})
}

// newPeers returns the client for other nodes.
func newPeers(secure func() *tls.Config) *http.Client {
	dialer := &net.Dialer{Timeout: forwardDial}
	if secure == nil {
		secure = func() *tls.Config { return nil }
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: dialer.DialContext,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, forwardDial)
			defer cancel()
			return (&tls.Dialer{NetDialer: dialer, Config: secure()}).DialContext(ctx, network, addr)
		},
		ResponseHeaderTimeout: forwardAnswer,
		IdleConnTimeout:       30 * time.Second, // shorter than what the other side waits
		MaxIdleConnsPerHost:   32,
		DisableCompression:    true, // what the client asked for goes through
	}}
}

// peerURL is where another node serves HTTP, or HTTPS.
func peerURL(n coordinator.NodeInfo) *url.URL {
	if host, secure := strings.CutPrefix(n.HTTP, "https://"); secure {
		return &url.URL{Scheme: "https", Host: host}
	}
	return &url.URL{Scheme: "http", Host: n.HTTP}
}

// askPeer asks another node for what is at path. If that node refuses, the error is its problem.
func (s *Server) askPeer(ctx context.Context, peer coordinator.NodeInfo, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, askPeerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, peerURL(peer).String()+path, nil)
	if err != nil {
		return err
	}
	if err := s.provePeer(r, callerOf(ctx).Client, peer, nil); err != nil {
		return err
	}
	resp, err := s.peers.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var p problem
		err := json.UnmarshalRead(io.LimitReader(resp.Body, maxPeerProblem), &p, jsonv1.DefaultOptionsV1())
		if err == nil && p.Status == resp.StatusCode {
			p = retryable(p)
			return &p
		}
		return fmt.Errorf("node %d answers %s", peer.ID, resp.Status)
	}
	return json.UnmarshalRead(io.LimitReader(resp.Body, maxPeerAnswer), v, jsonv1.DefaultOptionsV1())
}
