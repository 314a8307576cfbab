package logintest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firn.dev/access/login"
)

// Issuer signs tokens, and shows its keys.
type Issuer struct {
	URL string // of its keys

	t testing.TB

	mu    sync.Mutex
	keys  map[string]crypto.Signer // by their id
	asked int
}

// NewIssuer makes an issuer with a key for each algorithm, whose ids are the algorithms' names.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t, keys: map[string]crypto.Signer{}}
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA} {
		i.AddKey(string(algorithm), algorithm)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		i.asked++
		i.mu.Unlock()
		_, _ = w.Write(i.KeySet())
	}))
	t.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

// AddKey adds a key, or replaces one.
func (i *Issuer) AddKey(id string, algorithm jose.SignatureAlgorithm) {
	i.t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[id] = key
}

// RemoveKey withdraws a key.
func (i *Issuer) RemoveKey(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.keys, id)
}

// Key is the public part of a key.
func (i *Issuer) Key(id string) crypto.PublicKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[id].Public()
}

// Asked is how often somebody asked for the keys.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// KeySet is the public keys.
func (i *Issuer) KeySet() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	var set jose.JSONWebKeySet
	for id, key := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		i.t.Error(err)
	}
	return text
}

// Options are those of a checker of this issuer's tokens.
func (i *Issuer) Options() login.TokenOptions {
	return login.TokenOptions{JWKS: i.URL, Issuer: "https://issuer.example", Audience: "firn"}
}

// Claims are those of a good token.
func (i *Issuer) Claims(user string) map[string]any {
	return map[string]any{"iss": "https://issuer.example", "aud": "firn", "sub": user,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
}

// Sign makes a token of claims.
func (i *Issuer) Sign(algorithm jose.SignatureAlgorithm, id string, claims any) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.keys[id]
	i.mu.Unlock()
	return SignWith(i.t, algorithm, id, key, claims)
}

// Token is a good token.
func (i *Issuer) Token(user string) string {
	i.t.Helper()
	return i.Sign(jose.ES256, string(jose.ES256), i.Claims(user))
}

// SignWith makes a token with any key.
func SignWith(t testing.TB, algorithm jose.SignatureAlgorithm, id string, key, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// NewSigner is a key that no issuer shows.
func NewSigner(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
