package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/budget"
)

// Logins say how clients of HTTP prove who they are: by Basic (RFC 7617), by a Bearer token
// (RFC 6750), by the certificate of their connection, or by the cookie that a page gets for one of
// the first two.
type Logins struct {
	Passwords *login.Passwords // what Basic is checked with
	Tokens    *login.Tokens    // what Bearer is checked with; nil: it is not taken
	Sessions  *login.Sessions  // of pages in browsers; nil: there are none
	// Principals are what certificates come to.
	Principals login.PrincipalRules
	// Required says that a client that proves nothing gets 401. Otherwise it is User:ANONYMOUS.
	Required bool
	// Plaintext says that passwords and tokens of other machines are taken over HTTP without TLS as
	// well.
	Plaintext bool
}

const (
	// loginPatience is how long a password may wait to be checked.
	loginPatience = 10 * time.Second
	// failureDelay is how late a login that failed is answered, as on a Kafka listener.
	failureDelay = 100 * time.Millisecond
	// stillGoodAfter is how long a request that goes on does not ask whether it is still allowed to.
	stillGoodAfter = time.Second
)

// caller is who makes a request.
type caller struct {
	access.Client
	// holds says whether what the client has proved is still true; nil: it is for as long as the
	// request lasts.
	holds func() bool
	peer  bool // another node has proved that it forwards the request

	// What it has proved it by, if it was one of these.
	password *login.Proof
	token    *login.TokenProof
	session  *login.Session
}

// stranger is a caller that has proved nothing.
func stranger(r *http.Request) *caller {
	return &caller{Client: access.Client{Principal: access.Anonymous, Host: budget.AddressOf(r.RemoteAddr).String()}}
}

// authenticate finds out who makes a request, or says why it is not served.
func (s *Server) authenticate(r *http.Request) (*caller, error) {
	if proof := r.Header.Get(forwardedProofField); proof != "" && s.opts.Peers != nil {
		return s.checkPeer(r, proof)
	}
	who := stranger(r)
	logins := s.opts.Logins
	if logins == nil {
		return who, nil
	}
	if given := r.Header.Get("Authorization"); given != "" {
		return who, s.checkAuthorization(r, who, given)
	}
	if cookie := cookieOf(r); cookie != "" && logins.Sessions != nil {
		return who, s.checkCookie(r, who, cookie)
	}
	if r.TLS != nil {
		var err error
		if who.Principal, err = logins.Principals.Of(*r.TLS); err != nil {
			return who, s.unauthorized(r, err.Error())
		}
	}
	if who.Principal == access.Anonymous && logins.Required {
		return who, s.unauthorized(r, "log in: send a user's name and password as Basic authentication, "+
			"or what else WWW-Authenticate names")
	}
	return who, nil
}

// checkAuthorization checks what the header Authorization says.
func (s *Server) checkAuthorization(r *http.Request, who *caller, given string) error {
	if !s.confidential(r) {
		return s.unauthorized(r, "")
	}
	scheme, _, _ := strings.Cut(given, " ")
	err := errUnknownScheme
	switch scheme = strings.ToLower(scheme); {
	case scheme == "basic":
		err = s.checkBasic(r, who)
	case scheme == "bearer" && s.opts.Logins.Tokens != nil:
		err = s.checkBearer(r, who, given[len("bearer"):])
	}
	switch {
	case err == nil:
		s.logins.WithLabelValues(scheme, "done").Inc()
		return nil
	case errors.Is(err, errUnknownScheme):
		return s.unauthorized(r, "the header Authorization has none of the schemes that are taken here")
	case !errors.Is(err, login.ErrFailed) && !errors.Is(err, login.ErrToken):
		return full("checks of passwords", "too many passwords from this address wait to be checked")
	}
	s.logins.WithLabelValues(scheme, "failed").Inc()
	select {
	case <-time.After(failureDelay):
	case <-r.Context().Done():
	}
	return s.unauthorized(r, "authentication failed: "+err.Error())
}

var errUnknownScheme = errors.New("unknown scheme of authentication")

func (s *Server) checkBasic(r *http.Request, who *caller) error {
	user, password, ok := r.BasicAuth()
	if !ok {
		return login.ErrFailed
	}
	passwords := s.opts.Logins.Passwords
	ctx, cancel := context.WithTimeout(r.Context(), loginPatience)
	defer cancel()
	proof, err := passwords.Check(ctx, budget.AddressOf(r.RemoteAddr), user, password)
	if err != nil {
		return err
	}
	who.Principal = access.Principal{Type: "User", Name: proof.User}
	who.password, who.holds = &proof, func() bool { return passwords.Holds(proof) }
	return nil
}

func (s *Server) checkBearer(r *http.Request, who *caller, token string) error {
	proof, err := s.opts.Logins.Tokens.Check(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return err
	}
	who.Principal = access.Principal{Type: "User", Name: proof.User}
	who.token, who.holds = &proof, func() bool { return time.Now().Before(proof.Until) }
	return nil
}

// confidential says whether secrets may come this way: over TLS, or from this machine.
func (s *Server) confidential(r *http.Request) bool {
	return r.TLS != nil || loopback(r.RemoteAddr) || s.opts.Logins != nil && s.opts.Logins.Plaintext
}

// notConfidential is what a client gets that sends secrets over a connection that others can read.
func (s *Server) notConfidential() error {
	return &problem{Status: http.StatusForbidden,
		Detail: "passwords and tokens are not taken over HTTP without TLS, because the network can read them: " +
			"use https (of the server: " + s.setting("TLS") + "), or have the server take them all the same (" +
			s.setting("Logins.Plaintext") + ")"}
}

// unauthorized is what a client gets that has not proved who it is. Over a connection that others
// can read it is not asked to.
func (s *Server) unauthorized(r *http.Request, detail string) error {
	if !s.confidential(r) {
		return s.notConfidential()
	}
	challenges := []string{`Basic realm="firn", charset="UTF-8"`}
	if r.Header.Get(pageField) != "" {
		challenges[0] = `Session realm="firn"`
	}
	if s.opts.Logins.Tokens != nil {
		challenges = append(challenges, `Bearer realm="firn"`)
	}
	return &problem{Status: http.StatusUnauthorized, Detail: detail, challenges: challenges}
}

// callerKey is where a request's context has its caller.
type callerKey struct{}

// callerOf is who makes a request.
func callerOf(ctx context.Context) *caller {
	who, _ := ctx.Value(callerKey{}).(*caller)
	return who
}

// goesOn says, of a request that lasts, why its client may not have more: it has lost what it
// logged in with, or a permission.
func (s *Server) goesOn(r *http.Request, operation access.Operation, on access.ResourceType, name string) error {
	if who := callerOf(r.Context()); who != nil && who.holds != nil && !who.holds() {
		return s.unauthorized(r, "the login is over: log in again")
	}
	return s.may(r, operation, on, name)
}

// newLoginCounter counts logins.
func newLoginCounter(r prometheus.Registerer) (*prometheus.CounterVec, error) {
	logins := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_http_logins_total", Help: "Requests with a login, by its scheme and result: done or failed.",
	}, []string{"scheme", "result"})
	if r == nil {
		return logins, nil
	}
	return logins, r.Register(logins)
}
