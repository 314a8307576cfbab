package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"firn.dev/access"
)

// ErrFailed is returned when a client did not prove who it is. It does not say why: clients get
// the same words for a wrong password and for a user that does not exist.
var ErrFailed = errors.New("invalid user name or password")

// errScram is what is wrong with a message of SCRAM. Clients are told ErrFailed.
var errScram = fmt.Errorf("%w: malformed SCRAM message", ErrFailed)

// Bounds of what a client sends.
const (
	maxScramMessage = 4 << 10
	maxNonce        = 256
	nonceBytes      = 24
)

// Scram is the server's side of one SCRAM exchange (RFC 5802), without channel binding, as Kafka's.
type Scram struct {
	users     access.Users
	mechanism access.ScramMechanism
	decoy     []byte

	user    string
	keys    access.ScramKeys
	exists  bool
	client  string // its nonce
	nonce   string // that and ours
	gs2     string // the header of the first message
	bare    string // the rest of it
	first   string // our answer
	proved  bool
	started bool
}

// Keys are those that the client proved to know; they are those of User only after Step said done.
func (s *Scram) Keys() access.ScramKeys { return s.keys }

// Step takes the client's next message and returns the answer to it. After the second message the
// client has proved who it is, or ErrFailed is returned.
func (s *Scram) Step(message []byte) (answer []byte, done bool, err error) {
	if len(message) > maxScramMessage || s.proved {
		return nil, false, errScram
	}
	if !s.started {
		s.started = true
		answer, err = s.begin(string(message))
		return answer, false, err
	}
	answer, err = s.prove(string(message))
	return answer, err == nil, err
}

// begin takes client-first-message: n,[a=authzid],n=user,r=nonce[,extensions].
func (s *Scram) begin(message string) ([]byte, error) {
	flag, rest, ok := strings.Cut(message, ",")
	if !ok || flag != "n" && flag != "y" {
		return nil, errScram
	}
	authorization, rest, ok := strings.Cut(rest, ",")
	if !ok {
		return nil, errScram
	}
	s.gs2, s.bare = flag+","+authorization+",", rest
	name, rest, ok := strings.Cut(rest, ",")
	if !ok || !strings.HasPrefix(name, "n=") {
		return nil, errScram
	}
	nonce, extensions, _ := strings.Cut(rest, ",")
	if !strings.HasPrefix(nonce, "r=") || !printable(nonce[2:]) || len(nonce) > maxNonce {
		return nil, errScram
	}
	if strings.Contains(","+extensions, ",tokenauth=") {
		return nil, fmt.Errorf("%w: there are no delegation tokens", ErrFailed)
	}
	if s.user, ok = unescape(name[2:]); !ok || access.CheckUserName(s.user) != nil {
		return nil, errScram
	}
	if as, given := strings.CutPrefix(authorization, "a="); given {
		if as, ok = unescape(as); !ok || as != s.user {
			return nil, fmt.Errorf("%w: nobody may log in as somebody else", ErrFailed)
		}
	} else if authorization != "" {
		return nil, errScram
	}
	if s.keys, s.exists = s.users.ScramKeys(s.user, s.mechanism); !s.exists {
		s.keys = decoyKeys(s.mechanism, s.decoy, s.user)
	}
	own := make([]byte, nonceBytes)
	rand.Read(own) // never fails
	s.client = nonce[2:]
	s.nonce = s.client + base64.RawStdEncoding.EncodeToString(own)
	s.first = fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString(s.keys.Salt), s.keys.Iterations)
	return []byte(s.first), nil
}

// prove takes client-final-message: c=base64(gs2 header),r=nonce[,extensions],p=base64(proof).
func (s *Scram) prove(message string) ([]byte, error) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return nil, errScram
	}
	bare := message[:at]
	proof, err := base64.StdEncoding.DecodeString(message[at+3:])
	if err != nil || len(proof) != s.mechanism.KeyBytes() {
		return nil, errScram
	}
	binding, rest, _ := strings.Cut(bare, ",")
	nonce, _, _ := strings.Cut(rest, ",")
	// librdkafka before 2.6.1 puts its own nonce before ours once more. All of ours is there.
	if nonce != "r="+s.nonce && nonce != "r="+s.client+s.nonce ||
		binding != "c="+base64.StdEncoding.EncodeToString([]byte(s.gs2)) {
		return nil, errScram
	}
	exchange := s.bare + "," + s.first + "," + bare
	key := make([]byte, len(proof))
	subtle.XORBytes(key, proof, s.sign(s.keys.StoredKey, exchange))
	if right := subtle.ConstantTimeCompare(s.digest(key), s.keys.StoredKey) == 1; !right || !s.exists {
		return nil, ErrFailed
	}
	s.proved = true
	return []byte("v=" + base64.StdEncoding.EncodeToString(s.sign(s.keys.ServerKey, exchange))), nil
}

func (s *Scram) digest(key []byte) []byte {
	if s.mechanism == access.ScramSHA512 {
		sum := sha512.Sum512(key)
		return sum[:]
	}
	sum := sha256.Sum256(key)
	return sum[:]
}

func (s *Scram) sign(key []byte, text string) []byte {
	hash := sha256.New
	if s.mechanism == access.ScramSHA512 {
		hash = sha512.New
	}
	mac := hmac.New(hash, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// decoyKeys are those of a user that does not exist: the same each time, so that nobody can tell by
// the salt. Nothing proves to know them.
func decoyKeys(m access.ScramMechanism, secret []byte, user string) access.ScramKeys {
	mac := hmac.New(sha512.New, secret)
	fmt.Fprintf(mac, "%d %s", m, user)
	sum := mac.Sum(nil)
	return access.ScramKeysOf(m, sum[16:], sum[:16], access.DefaultScramIterations)
}

// printable reports whether a nonce is one: visible ASCII without commas.
func printable(nonce string) bool {
	for _, c := range []byte(nonce) {
		if c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return nonce != ""
}

// unescape reads a saslname, in which =2C stands for a comma and =3D for an equals sign.
func unescape(name string) (string, bool) {
	plain := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
	return plain, strings.Count(name, "=") == strings.Count(name, "=2C")+strings.Count(name, "=3D")
}
