package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firn.dev/access"
)

// SessionTime is how long a session lasts at most. It is not renewed.
const SessionTime = time.Hour

// ErrSession is returned for a cookie that stands for no session, or for one that is over: log in
// again.
var ErrSession = errors.New("the session is over: log in again")

const (
	maxSessionBytes  = 4 << 10 // as much as browsers keep of a cookie
	maxEndedSessions = 10_000
	sessionSignature = jose.HS256
)

// Sessions are logins of pages in browsers: a cookie says who has logged in, signed with the secret
// of the cluster, so that every node takes it and none keeps anything of it. A session of a
// password ends when the user is deleted or gets another; one of a token ends with it at the
// latest.
type Sessions struct {
	secret    ClusterSecret
	passwords *Passwords
	elsewhere EndedSessions

	mu    sync.Mutex
	ended map[string]time.Time // ids of sessions that were ended here, until when they would have lasted
}

// EndedSessions knows which sessions were ended on any node of the cluster.
type EndedSessions interface {
	// Ended says whether a session was ended. It is called for each request with a cookie: it answers
	// from memory, and is safe for concurrent use.
	Ended(session Session) bool
}

// Session is what a cookie stands for.
type Session struct {
	User  string
	ID    string // no other has it; it is no secret
	Until time.Time

	mechanism access.ScramMechanism // of the password that it began with; 0: it began with a token
	keys      []byte                // a MAC of that password's keys
}

// sessionClaims are what a cookie says beside the registered claims.
type sessionClaims struct {
	Mechanism access.ScramMechanism `json:"mechanism,omitempty"`
	Keys      []byte                `json:"keys,omitempty"`
}

// NewSessions returns the sessions of a cluster with a secret, of users whose passwords these are.
func NewSessions(secret ClusterSecret, passwords *Passwords, elsewhere EndedSessions) *Sessions {
	return &Sessions{secret: secret, passwords: passwords, elsewhere: elsewhere, ended: map[string]time.Time{}}
}

// key signs cookies. It signs nothing else.
func (s *Sessions) key() ([]byte, error) {
	if key := s.secret.key("cookie"); key != nil {
		return key, nil
	}
	return nil, ErrNoSecret
}

// OfPassword begins a session of a client that has just proved to know a password. It returns the
// value of the cookie, or ErrNoSecret.
func (s *Sessions) OfPassword(p Proof) (cookie string, session Session, err error) {
	key, err := s.key()
	if err != nil {
		return "", session, err
	}
	return s.begin(Session{User: p.User, Until: time.Now().Add(SessionTime), mechanism: p.mechanism,
		keys: keysMAC(key, p.User, p.mechanism, p.keys)})
}

// OfToken begins a session of a client that has just shown a token.
func (s *Sessions) OfToken(p TokenProof) (cookie string, session Session, err error) {
	until := time.Now().Add(SessionTime)
	if p.Until.Before(until) {
		until = p.Until
	}
	return s.begin(Session{User: p.User, Until: until})
}

func (s *Sessions) begin(session Session) (string, Session, error) {
	key, err := s.key()
	if err != nil {
		return "", session, err
	}
	session.ID, session.Until = rand.Text(), session.Until.Truncate(time.Second)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: sessionSignature, Key: key}, nil)
	if err != nil {
		return "", session, err
	}
	cookie, err := jwt.Signed(signer).
		Claims(jwt.Claims{Subject: session.User, ID: session.ID, Expiry: jwt.NewNumericDate(session.Until)}).
		Claims(sessionClaims{session.mechanism, session.keys}).Serialize()
	return cookie, session, err
}

// Check finds the session that a cookie stands for. It returns ErrSession if there is none, and
// ErrNoSecret while this node cannot tell.
func (s *Sessions) Check(cookie string) (Session, error) {
	key, err := s.key()
	if err != nil {
		return Session{}, err
	}
	if len(cookie) > maxSessionBytes {
		return Session{}, ErrSession
	}
	signed, err := jwt.ParseSigned(cookie, []jose.SignatureAlgorithm{sessionSignature})
	if err != nil {
		return Session{}, ErrSession
	}
	var claims jwt.Claims
	var more sessionClaims
	if signed.Claims(key, &claims, &more) != nil || claims.Expiry == nil {
		return Session{}, ErrSession
	}
	session := Session{User: claims.Subject, ID: claims.ID, Until: claims.Expiry.Time(),
		mechanism: more.Mechanism, keys: more.Keys}
	if !s.Holds(session) {
		return Session{}, ErrSession
	}
	return session, nil
}

// Holds says whether a session still goes on.
func (s *Sessions) Holds(session Session) bool {
	s.mu.Lock()
	_, ended := s.ended[session.ID]
	s.mu.Unlock()
	if ended || s.elsewhere.Ended(session) || !time.Now().Before(session.Until) {
		return false
	}
	if session.mechanism == 0 {
		return true
	}
	key, err := s.key()
	keys, exists := s.passwords.users.ScramKeys(session.User, session.mechanism)
	return err == nil && exists && hmac.Equal(session.keys, keysMAC(key, session.User, session.mechanism, keys))
}

// End ends a session on this node, at once and whatever becomes of the others. Of sessions that are
// ended within an hour the last ten thousand or so are remembered.
func (s *Sessions) End(session Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) >= maxEndedSessions {
		for id, until := range s.ended {
			if time.Now().After(until) {
				delete(s.ended, id)
			}
		}
		dropOne(s.ended, maxEndedSessions)
	}
	s.ended[session.ID] = session.Until
}

// keysMAC stands for the keys of a user in a cookie, which everybody who has it can read.
func keysMAC(key []byte, user string, m access.ScramMechanism, keys access.ScramKeys) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{"keys", user, m.String(), string(keys.StoredKey), string(keys.ServerKey)} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}
