package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firn.dev/access"
)

// TokenOptions say which tokens are good. JWKS, Issuer and Audience are required.
type TokenOptions struct {
	JWKS      string        // where the issuer's keys are: an https URL, or a file
	Issuer    string        // the claim iss has to be this
	Audience  string        // the claim aud has to have this
	Claim     string        // whose value is the principal's name; empty: sub
	Scopes    []string      // the claim scope, or scp, has to have all of these
	ClockSkew time.Duration // how far the issuer's clock may be from this machine's
}

// Tokens checks bearer tokens, for SASL's OAUTHBEARER and for HTTP: JSON Web Tokens (RFC 7519)
// that are signed by a key of a set (RFC 7517). It is safe for concurrent use.
type Tokens struct {
	opts TokenOptions
	keys *keySet

	mu    sync.Mutex
	known map[[sha256.Size]byte]knownToken // tokens that were good
}

// knownToken is what a token has proved with the keys of a version of the set.
type knownToken struct {
	proof   TokenProof
	version uint64
}

// TokenProof is what a token proves: who the client is, and until when.
type TokenProof struct {
	User  string
	Until time.Time
}

// ErrToken is returned for a token that is not good. The text says why, and is about the token
// alone.
var ErrToken = errors.New("invalid token")

const (
	maxTokenBytes  = 16 << 10
	maxKnownTokens = 10_000
	minRSABits     = 2048
)

// algorithms are the signatures that are taken. All are of key pairs: a token that is "signed" with
// none, or with a public key as if it were a shared secret, is refused before any key is looked at.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// NewTokens returns a checker of tokens. A file has to be there; a URL may be out of reach for now.
func NewTokens(ctx context.Context, opts TokenOptions, logger *slog.Logger) (*Tokens, error) {
	if opts.Claim == "" {
		opts.Claim = "sub"
	}
	keys, err := newKeySet(ctx, opts.JWKS, logger)
	if err != nil {
		return nil, err
	}
	return &Tokens{opts: opts, keys: keys, known: map[[sha256.Size]byte]knownToken{}}, nil
}

// Check checks a token.
func (t *Tokens) Check(ctx context.Context, token string) (TokenProof, error) {
	if len(token) > maxTokenBytes {
		return TokenProof{}, fmt.Errorf("%w: it is longer than %d bytes", ErrToken, maxTokenBytes)
	}
	id, version := sha256.Sum256([]byte(token)), t.keys.current().version
	t.mu.Lock()
	known, is := t.known[id]
	t.mu.Unlock()
	if is && known.version == version && time.Now().Before(known.proof.Until) {
		return known.proof, nil
	}
	proof, version, err := t.verify(ctx, token)
	if err != nil {
		return TokenProof{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	dropOne(t.known, maxKnownTokens)
	t.known[id] = knownToken{proof, version}
	return proof, nil
}

// verify checks the signature, and then what the token says.
func (t *Tokens) verify(ctx context.Context, token string) (proof TokenProof, version uint64, err error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return proof, 0, fmt.Errorf("%w: it is no JSON Web Token that is signed with one of %v", ErrToken, algorithms)
	}
	header := parsed.Headers[0]
	key, version := t.keys.find(ctx, header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if key == nil {
		return proof, 0, fmt.Errorf("%w: its key is none of the issuer's", ErrToken)
	}
	var claims jwt.Claims
	more := map[string]any{}
	if err := parsed.Claims(key, &claims, &more); err != nil {
		return proof, 0, fmt.Errorf("%w: its signature is wrong", ErrToken)
	}
	proof, err = t.read(&claims, more)
	return proof, version, err
}

// read says what a token proves whose signature is right.
func (t *Tokens) read(claims *jwt.Claims, more map[string]any) (TokenProof, error) {
	refuse := func(format string, args ...any) (TokenProof, error) {
		return TokenProof{}, fmt.Errorf("%w: "+format, append([]any{ErrToken}, args...)...)
	}
	now, skew := time.Now(), t.opts.ClockSkew
	name, _ := more[t.opts.Claim].(string)
	switch {
	case claims.Issuer != t.opts.Issuer:
		return refuse("its issuer is another")
	case !slices.Contains(claims.Audience, t.opts.Audience):
		return refuse("it is for another audience")
	case claims.Expiry == nil:
		return refuse("it has no time at which it expires (exp)")
	case now.After(claims.Expiry.Time().Add(skew)):
		return refuse("it has expired")
	case claims.NotBefore != nil && now.Add(skew).Before(claims.NotBefore.Time()),
		claims.IssuedAt != nil && now.Add(skew).Before(claims.IssuedAt.Time()):
		return refuse("it is not good yet; do the clocks differ?")
	case access.CheckUserName(name) != nil:
		return refuse("its claim %s has no name", t.opts.Claim)
	}
	granted := slices.Concat(words(more["scope"]), words(more["scp"]))
	for _, scope := range t.opts.Scopes {
		if !slices.Contains(granted, scope) {
			return refuse("it has not the scope %q", scope)
		}
	}
	return TokenProof{User: name, Until: claims.Expiry.Time().Add(skew)}, nil
}

// words are the scopes of a claim: text with spaces between them, or a list.
func words(claim any) (list []string) {
	switch c := claim.(type) {
	case string:
		return strings.Fields(c)
	case []any:
		for _, v := range c {
			if text, is := v.(string); is {
				list = append(list, text)
			}
		}
	}
	return list
}

// Bearer is the name of SASL's mechanism for tokens.
const Bearer = "OAUTHBEARER"

// Bearer checks a message of OAUTHBEARER (RFC 7628), in which ^A is the character 1:
// n,[a=authzid],^Aauth=Bearer TOKEN^A[key=value^A…]^A.
func (t *Tokens) Bearer(ctx context.Context, message []byte) (TokenProof, error) {
	malformed := fmt.Errorf("%w: the message is not one of OAUTHBEARER", ErrToken)
	if len(message) > maxTokenBytes+maxScramMessage {
		return TokenProof{}, malformed
	}
	header, rest, found := strings.Cut(string(message), "\x01")
	if !found || !strings.HasSuffix(rest, "\x01") {
		return TokenProof{}, malformed
	}
	flag, authorization, _ := strings.Cut(header, ",")
	as, isAs := strings.CutPrefix(strings.TrimSuffix(authorization, ","), "a=")
	if flag != "n" && flag != "y" || !strings.HasSuffix(authorization, ",") || !isAs && authorization != "," {
		return TokenProof{}, malformed
	}
	token := ""
	for pair := range strings.SplitSeq(rest, "\x01") {
		scheme, value, _ := strings.Cut(strings.TrimPrefix(pair, "auth="), " ")
		if strings.HasPrefix(pair, "auth=") && strings.EqualFold(scheme, "bearer") && token == "" {
			token = strings.TrimSpace(value)
		}
	}
	proof, err := t.Check(ctx, token)
	if err != nil {
		return TokenProof{}, err
	}
	if name, ok := unescape(as); as != "" && (!ok || name != proof.User) {
		return TokenProof{}, fmt.Errorf("%w: nobody may log in as somebody else", ErrToken)
	}
	return proof, nil
}
