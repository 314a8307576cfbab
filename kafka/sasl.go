package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/login"
)

// SaslHandshake, versions 0 and 1, and SaslAuthenticate, versions 0 to 2, as Kafka 4.
//
//   - On a listener without SASL both are answered with ILLEGAL_SASL_STATE.
//   - After version 0 of SaslHandshake the client's messages come without Kafka's headers, and so
//     do the answers; a login that fails then closes the connection.
//   - A failed login is answered late (failureDelay), and then the connection is closed. The answer
//     is the same for a wrong password and for a user that does not exist.
//   - A client may log in again as the same user (KIP-368), and has to when MaxReauth is over.
func init() {
	register(0, 1, saslHandshake, rules{open: true, quota: access.Unthrottled})
	register(0, 2, saslAuthenticate, rules{open: true, quota: access.Unthrottled})
}

const (
	// failureDelay is Kafka's connection.failed.authentication.delay.ms.
	failureDelay = 100 * time.Millisecond
	// maxLoginBytes is how long a request is at most of a client that has not yet logged in.
	maxLoginBytes = 64 << 10
	// holdsFor is how long a connection does not ask whether its login is still good.
	holdsFor = time.Second
)

// Errors that end a connection on a listener with SASL.
var (
	errNotLoggedIn = errors.New("a request before the login")
	errDismissed   = fmt.Errorf("%w: it took too long, or there were too many", errNotLoggedIn)
	errLoginFailed = errors.New("login failed")
	errLoginOver   = errors.New("the login is over: MaxReauth, or the token has expired")
	errLoginGone   = errors.New("the user is gone, or has another password")
)

// session is the login of a connection on a listener with SASL. The responder changes it; the
// reader looks at it only when no request before the login is under way.
type session struct {
	mechanism string       // that the client has chosen; empty: none
	scram     *login.Scram // the exchange under way, or nil
	raw       bool         // messages come without headers

	proved  atomic.Pointer[proved]
	checked time.Time // when the reader last asked whether the login is still good
}

// proved is who the client is.
type proved struct {
	user      string
	holds     func() bool // whether the login is still good, apart from its time
	mechanism string
	until     time.Time // zero: for ever
}

// loggedIn says whether the client has nothing more to prove.
func (c *connection) loggedIn() bool {
	return c.peer.session == nil || c.peer.session.proved.Load() != nil
}

// awaitLogin has the reader wait for the answers to what was sent before the login.
func (c *connection) awaitLogin(ctx context.Context) error {
	if c.loggedIn() || c.last == nil {
		return nil
	}
	select {
	case <-c.last:
		return nil
	case <-c.dismissed:
		return errDismissed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// checkLogin refuses requests of clients that are not, or no longer, logged in.
func (c *connection) checkLogin(r *request) error {
	ses := c.peer.session
	if ses == nil || r.api == nil || r.api.open {
		return nil
	}
	who, now := ses.proved.Load(), time.Now()
	switch {
	case who == nil:
		return fmt.Errorf("%w: %s", errNotLoggedIn, r.api.key.Name())
	case !who.until.IsZero() && now.After(who.until):
		return errLoginOver
	}
	if now.Sub(ses.checked) > holdsFor {
		if !who.holds() {
			return errLoginGone
		}
		ses.checked = now
	}
	c.client.Principal = access.Principal{Type: "User", Name: who.user}
	return nil
}

func saslHandshake(_ context.Context, s *Server, from *peer, req *kmsg.SASLHandshakeRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	ses := from.session
	if ses == nil {
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return resp, nil
	}
	resp.SupportedMechanisms = s.mechanisms()
	before := ses.proved.Load()
	switch {
	case !slices.Contains(resp.SupportedMechanisms, req.Mechanism):
		resp.ErrorCode, from.end = kerr.UnsupportedSaslMechanism.Code, errLoginFailed
	case before != nil && (before.mechanism != req.Mechanism || req.Version == 0):
		resp.ErrorCode, from.end = kerr.IllegalSaslState.Code, errLoginFailed
	default:
		ses.mechanism, ses.scram, ses.raw = req.Mechanism, nil, req.Version == 0
	}
	return resp, nil
}

// mechanisms are those by which clients may log in.
func (s *Server) mechanisms() (names []string) {
	if s.opts.Passwords != nil {
		names = login.Mechanisms()
	}
	if s.opts.Tokens != nil {
		names = append(names, login.Bearer)
	}
	return names
}

func saslAuthenticate(ctx context.Context, s *Server, from *peer,
	req *kmsg.SASLAuthenticateRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	switch ses := from.session; {
	case ses == nil:
		resp.ErrorCode, resp.ErrorMessage = kerr.IllegalSaslState.Code, new("this listener has no authentication")
		return resp, nil
	case ses.mechanism == "":
		resp.ErrorCode, resp.ErrorMessage = kerr.IllegalSaslState.Code, new("SaslHandshake comes first")
		from.end = errLoginFailed
		return resp, nil
	}
	answer, err := s.logIn(ctx, from, req.SASLAuthBytes)
	if err != nil {
		resp.ErrorCode, from.end = kerr.SaslAuthenticationFailed.Code, err
		told := login.ErrFailed.Error()
		if errors.Is(err, login.ErrToken) { // the error of a token says nothing about which users exist
			told = err.Error()
		}
		resp.ErrorMessage = new("Authentication failed: " + told)
		return resp, nil
	}
	resp.SASLAuthBytes = answer
	if who := from.session.proved.Load(); who != nil && !who.until.IsZero() {
		resp.SessionLifetimeMillis = time.Until(who.until).Milliseconds()
	}
	return resp, nil
}

// logIn takes the client's next message. A failure is returned late.
func (s *Server) logIn(ctx context.Context, from *peer, message []byte) (answer []byte, err error) {
	ses := from.session
	who, done := &proved{mechanism: ses.mechanism}, true
	switch m := access.ParseScramMechanism(ses.mechanism); {
	case m != 0:
		if ses.scram == nil {
			ses.scram = s.opts.Passwords.Scram(m)
		}
		answer, done, err = ses.scram.Step(message)
		s.provedBy(who, s.opts.Passwords.ProofOf(ses.scram))
	case ses.mechanism == login.Bearer:
		var proof login.TokenProof
		answer = []byte{}
		proof, err = s.opts.Tokens.Bearer(ctx, message)
		who.user, who.until, who.holds = proof.User, proof.Until, func() bool { return true }
	default:
		var proof login.Proof
		answer = []byte{}
		proof, err = s.opts.Passwords.Plain(ctx, from.address, message)
		s.provedBy(who, proof)
	}
	if before := ses.proved.Load(); err == nil && done && before != nil && before.user != who.user {
		err = errors.New("a client cannot become another user")
	}
	switch {
	case err != nil:
		s.metrics.logins.WithLabelValues(ses.mechanism, "failed").Inc()
		select {
		case <-time.After(failureDelay):
		case <-ctx.Done():
		}
		return nil, fmt.Errorf("%w: %s: %w", errLoginFailed, ses.mechanism, err)
	case !done:
		return answer, nil
	}
	s.metrics.logins.WithLabelValues(ses.mechanism, "done").Inc()
	if most := time.Now().Add(s.opts.MaxReauth); s.opts.MaxReauth > 0 && (who.until.IsZero() || most.Before(who.until)) {
		who.until = most
	}
	ses.mechanism, ses.scram, ses.raw = "", nil, false
	ses.proved.Store(who)
	from.known()
	return answer, nil
}

// provedBy says that a client has proved who it is by a password.
func (s *Server) provedBy(who *proved, proof login.Proof) {
	who.user, who.holds = proof.User, func() bool { return s.opts.Passwords.Holds(proof) }
}

// readToken reads a message of SASL that comes without Kafka's headers.
func (c *connection) readToken(ctx context.Context, r *request) error {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxLoginBytes {
		return fmt.Errorf("%w: a SASL message of %d bytes; %d are allowed", errTooLarge, size, maxLoginBytes)
	}
	if err := c.s.takeMemory(ctx, r.memory, int64(size)); err != nil {
		return err
	}
	r.received, r.raw, r.api = time.Now(), true, apis[kmsg.SASLAuthenticate.Int16()]
	r.body = make([]byte, size)
	_, err := io.ReadFull(c.in, r.body)
	return unexpected(err)
}

// answerToken answers a message that came without headers.
func (c *connection) answerToken(ctx context.Context, r *request) error {
	answer, err := c.s.logIn(ctx, &c.peer, r.body)
	if err != nil {
		return err
	}
	head := make([]byte, 4, 4+len(answer))
	memory := c.answers.Hold()
	defer memory.Release()
	return c.write(net.Buffers{append(head, answer...)}, memory)
}
