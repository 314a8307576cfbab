package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/coordinator"
)

// A request that a node sends to another is the client's: it brings the principal and address that
// the first node has seen, and a proof that this node is of the cluster. What the client logged in
// with stays behind.

const (
	forwardedClientField = "Firn-Forwarded-Client" // base64 of forwardedClient
	forwardedProofField  = "Firn-Forwarded-Proof"
)

// forwardedClient is who a forwarded request is from.
type forwardedClient struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Host string `json:"host"`
}

// provePeer has a request to another node prove what it is. Where nobody logs in, requests go as
// they are.
func (s *Server) provePeer(out *http.Request, client access.Client, to coordinator.NodeInfo, body []byte) error {
	self := s.opts.Node.Info().ID
	out.Header.Set(forwardedField, strconv.Itoa(int(self)))
	if s.opts.Peers == nil {
		return nil
	}
	for _, field := range []string{"Authorization", "Cookie", "Origin", "Sec-Fetch-Site"} {
		out.Header.Del(field)
	}
	proof, err := s.opts.Peers.Prove(login.Forwarded{Method: out.Method, URI: out.URL.RequestURI(),
		BodyHash: sha256.Sum256(body), From: self, To: to.ID, Client: client})
	if err != nil {
		return err
	}
	text, err := json.Marshal(forwardedClient{client.Principal.Type, client.Principal.Name, client.Host})
	if err != nil {
		return err
	}
	out.Header.Set(forwardedClientField, base64.RawURLEncoding.EncodeToString(text))
	out.Header.Set(forwardedProofField, proof)
	return nil
}

// checkPeer finds out for whom another node forwards a request. The body is checked when it has
// been read: then it is an error instead of its end.
func (s *Server) checkPeer(r *http.Request, proof string) (*caller, error) {
	from, err := strconv.ParseInt(r.Header.Get(forwardedField), 10, 32)
	if err != nil {
		return nil, notProved(login.ErrNotOurs)
	}
	var client forwardedClient
	text, err := base64.RawURLEncoding.DecodeString(r.Header.Get(forwardedClientField))
	if err != nil || json.Unmarshal(text, &client) != nil {
		return nil, notProved(login.ErrNotOurs)
	}
	who := &caller{peer: true, Client: access.Client{Host: client.Host,
		Principal: access.Principal{Type: client.Type, Name: client.Name}}}
	f := login.Forwarded{Method: r.Method, URI: r.URL.RequestURI(),
		From: int32(from), To: s.opts.Node.Info().ID, Client: who.Client}
	if err := s.opts.Peers.Check(&f, proof); err != nil {
		s.opts.Logger.Warn("a forwarded request is refused", "node", from, "address", r.RemoteAddr, "error", err)
		return nil, notProved(err)
	}
	r.Body = &provedBody{ReadCloser: r.Body, want: f.BodyHash, sum: sha256.New()}
	return who, nil
}

// notProved is what a client gets when nodes do not believe each other. It passes when secrets and
// clocks are set right.
func notProved(err error) error {
	return &problem{Status: http.StatusServiceUnavailable, Code: kerr.NotCoordinator.Message, retryAfter: time.Second,
		Detail: "a node forwarded this request, and another refused it: " + err.Error()}
}

// provedBody is a body whose hash was proved.
type provedBody struct {
	io.ReadCloser
	want [sha256.Size]byte
	sum  hash.Hash
}

// Read implements io.Reader.
func (b *provedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && subtle.ConstantTimeCompare(b.sum.Sum(nil), b.want[:]) != 1 {
		return n, notProved(login.ErrNotOurs)
	}
	return n, err
}

// ofPeers has a route take requests that other nodes make up, where nodes can prove themselves, and
// never send one on: this node would prove what a client says.
func (s *Server) ofPeers(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.opts.Peers != nil && !callerOf(r.Context()).peer {
			return refuse(http.StatusForbidden, "", "only nodes of the cluster may ask this")
		}
		_, ours, err := s.ownerOf(r, r.PathValue("group"))
		if err == nil && !ours {
			err = kerr.NotCoordinator
		}
		if err != nil {
			return err
		}
		return h(w, r)
	}
}

// readForwarded reads the body of a request that is sent on: its proof needs the hash first.
func (s *Server) readForwarded(w http.ResponseWriter, r *http.Request, memory *share) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	length := min(r.ContentLength, maxAdminBody)
	if length < 0 {
		length = maxAdminBody
	}
	if err := memory.grow(r.Context(), 2*length); err != nil { // a buffer grows by doubling
		return nil, err
	}
	var body bytes.Buffer
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		return nil, adminBodyTooLarge()
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "", "the body cannot be read: %v", err)
	}
	return body.Bytes(), nil
}

// forward sends a request of a group on to the node that owns it.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, owner coordinator.NodeInfo) error {
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil { // it would be sent on as something else
		return refuse(http.StatusBadRequest, "", "the query is malformed: %v", err)
	}
	memory := s.readShare(r.Context())
	defer memory.giveBack()
	body, err := s.readForwarded(w, r, memory)
	if err != nil {
		return err
	}
	return s.forwardBody(w, r, body, owner)
}

// forwardBody sends a request on whose body has been read.
func (s *Server) forwardBody(w http.ResponseWriter, r *http.Request, body []byte, owner coordinator.NodeInfo) error {
	out := r.Clone(context.WithValue(r.Context(), ownerKey{}, owner))
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.TransferEncoding = nil
	if err := s.provePeer(out, callerOf(r.Context()).Client, owner, body); err != nil {
		return notProved(fmt.Errorf("node %d: %w", s.opts.Node.Info().ID, err))
	}
	awaitPeers(r.Context(), func() { s.owners.ServeHTTP(w, out) })
	return nil
}
