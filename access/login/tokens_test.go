package login_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
)

func newTokens(t testing.TB, opts login.TokenOptions) *login.Tokens {
	t.Helper()
	tokens, err := login.NewTokens(t.Context(), opts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokens(t *testing.T) {
	issuer := logintest.NewIssuer(t)
	opts := issuer.Options()
	opts.Scopes, opts.ClockSkew = []string{"kafka"}, 30*time.Second
	tokens := newTokens(t, opts)
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA} {
		for name, c := range map[string]struct {
			change map[string]any
			wrong  string // empty: it is good
		}{
			"good":               {nil, ""},
			"several audiences":  {map[string]any{"aud": []string{"x", "firn"}}, ""},
			"scopes as a list":   {map[string]any{"scope": nil, "scp": []string{"kafka"}}, ""},
			"just expired":       {map[string]any{"exp": time.Now().Add(-10 * time.Second).Unix()}, ""},
			"clock ahead":        {map[string]any{"nbf": time.Now().Add(10 * time.Second).Unix()}, ""},
			"another issuer":     {map[string]any{"iss": "https://issuer.example/"}, "issuer"},
			"no issuer":          {map[string]any{"iss": nil}, "issuer"},
			"another audience":   {map[string]any{"aud": "other"}, "audience"},
			"no audience":        {map[string]any{"aud": nil}, "audience"},
			"expired":            {map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, "expired"},
			"for ever":           {map[string]any{"exp": nil}, "exp"},
			"not yet":            {map[string]any{"nbf": time.Now().Add(time.Minute).Unix()}, "not good yet"},
			"from the future":    {map[string]any{"iat": time.Now().Add(time.Minute).Unix()}, "not good yet"},
			"no subject":         {map[string]any{"sub": nil}, "sub"},
			"subject no text":    {map[string]any{"sub": 7}, "invalid token"},
			"subject of 2 lines": {map[string]any{"sub": "a\nb"}, "sub"},
			"no scope":           {map[string]any{"scope": "kafkaesque other"}, "scope"},
			"exp no number":      {map[string]any{"exp": "tomorrow"}, "invalid token"},
		} {
			claims := issuer.Claims("alice")
			claims["scope"] = "openid kafka"
			maps.Copy(claims, c.change)
			maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
			proof, err := tokens.Check(t.Context(), issuer.Sign(algorithm, string(algorithm), claims))
			switch {
			case c.wrong == "" && (err != nil || proof.User != "alice"):
				t.Errorf("%s, %s: %+v, %v", algorithm, name, proof, err)
			case c.wrong != "" && (!errors.Is(err, login.ErrToken) || !strings.Contains(err.Error(), c.wrong)):
				t.Errorf("%s, %s: %v", algorithm, name, err)
			}
		}
	}
}

// What attackers do with tokens: none of it proves anything.
func TestTokensOfAttackers(t *testing.T) {
	issuer := logintest.NewIssuer(t)
	tokens := newTokens(t, issuer.Options())
	claims := issuer.Claims("admin")
	good := strings.Split(issuer.Token("alice"), ".")
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	public, err := x509.MarshalPKIXPublicKey(issuer.Key("RS256"))
	if err != nil {
		t.Fatal(err)
	}
	shared := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	mallory, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := part(`{"iss":"https://issuer.example","aud":"firn","sub":"admin","exp":9999999999}`)
	for name, token := range map[string]string{
		"no signature":                    part(`{"alg":"none"}`) + "." + forged + ".",
		"none, in capitals":               part(`{"alg":"NONE","kid":"ES256"}`) + "." + forged + ".",
		"none, with a signature":          part(`{"alg":"none","kid":"ES256"}`) + "." + forged + "." + good[2],
		"no algorithm":                    part(`{"kid":"ES256"}`) + "." + forged + "." + good[2],
		"a public key as a shared secret": logintest.SignWith(t, jose.HS256, "RS256", shared, claims),
		"a key of its own":                logintest.SignWith(t, jose.RS256, "RS256", mallory, claims),
		"a key that is not there":         logintest.SignWith(t, jose.RS256, "mallory", mallory, claims),
		"another curve":                   logintest.SignWith(t, jose.ES384, "ES256", curve, claims),
		"another hash":                    logintest.SignWith(t, jose.RS512, "RS256", mallory, claims),
		"another key's id":                issuer.Sign(jose.RS256, "PS256", claims)[:20] + issuer.Token("alice")[20:],
		"the key of another algorithm": strings.Replace(issuer.Token("alice"), good[0],
			part(`{"alg":"RS256","kid":"ES256"}`), 1),
		"other claims":       good[0] + "." + forged + "." + good[2],
		"no signature bytes": good[0] + "." + good[1] + ".",
		"two parts":          good[0] + "." + good[1],
		"nothing":            "",
		"JSON":               `{"payload":"` + good[1] + `","protected":"` + good[0] + `","signature":"` + good[2] + `"}`,
		"a long one":         strings.Repeat("a", 1<<20),
	} {
		if proof, err := tokens.Check(t.Context(), token); !errors.Is(err, login.ErrToken) || proof.User != "" {
			t.Errorf("%s: %+v, %v", name, proof, err)
		}
	}
	if _, err := tokens.Check(t.Context(), strings.Join(good, ".")); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// A new key is found when a token names it, and strangers who name keys that are not there do not
// have the issuer asked each time. A key that is withdrawn is good no longer than its set.
func TestKeysRotate(t *testing.T) {
	issuer := logintest.NewIssuer(t)
	tokens := newTokens(t, issuer.Options())
	tokens.PauseFor(0, time.Hour)
	issuer.AddKey("new", jose.EdDSA)
	token := issuer.Sign(jose.EdDSA, "new", issuer.Claims("alice"))
	if _, err := tokens.Check(t.Context(), token); err != nil {
		t.Errorf("a new key: %v", err)
	}
	before := issuer.Asked()
	tokens.PauseFor(time.Hour, time.Hour)
	for range 100 {
		if _, err := tokens.Check(t.Context(), strings.Replace(token, ".", "x.", 1)); err == nil {
			t.Error("a token with another header is good")
		}
		other := logintest.SignWith(t, jose.HS256, "nobody", make([]byte, 32), issuer.Claims("alice"))
		if _, err := tokens.Check(t.Context(), other); err == nil {
			t.Error("a token with a shared secret is good")
		}
		mallory := logintest.NewSigner(t)
		forged := logintest.SignWith(t, jose.EdDSA, "nobody", mallory, issuer.Claims("a"))
		if _, err := tokens.Check(t.Context(), forged); err == nil {
			t.Error("a token with a key that is not there is good")
		}
	}
	if asked := issuer.Asked() - before; asked > 0 {
		t.Errorf("strangers had the issuer asked %d times", asked)
	}
	issuer.RemoveKey("new")
	tokens.PauseFor(0, 0)
	for until := time.Now().Add(time.Minute); ; {
		if _, err := tokens.Check(t.Context(), token); err != nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal("a key that was withdrawn is still good")
		}
	}
}

func TestKeysOfAFile(t *testing.T) {
	issuer := logintest.NewIssuer(t)
	opts := issuer.Options()
	opts.JWKS = filepath.Join(t.TempDir(), "jwks.json")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(opts.JWKS, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, wrong := range []string{"", "{}", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`} {
		write([]byte(wrong))
		if _, err := login.NewTokens(t.Context(), opts, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q is a key set", wrong)
		}
	}
	write(issuer.KeySet())
	tokens := newTokens(t, opts)
	tokens.PauseFor(0, 0)
	if _, err := tokens.Check(t.Context(), issuer.Token("alice")); err != nil {
		t.Error(err)
	}
	issuer.AddKey("new", jose.RS256)
	write(issuer.KeySet())
	if _, err := tokens.Check(t.Context(), issuer.Sign(jose.RS256, "new", issuer.Claims("alice"))); err != nil {
		t.Errorf("a new key: %v", err)
	}
	opts.JWKS = "http://192.0.2.1/keys"
	if _, err := login.NewTokens(t.Context(), opts, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("keys over HTTP without TLS are taken")
	}
}

func TestBearer(t *testing.T) {
	issuer := logintest.NewIssuer(t)
	tokens := newTokens(t, issuer.Options())
	token := issuer.Token("alice")
	for message, good := range map[string]bool{
		"n,,\x01auth=Bearer " + token + "\x01\x01":                     true,
		"n,a=alice,\x01auth=bearer " + token + "\x01traceId=1\x01\x01": true,
		"n,a=bob,\x01auth=Bearer " + token + "\x01\x01":                false,
		"p=x,,\x01auth=Bearer " + token + "\x01\x01":                   false,
		"n,,\x01auth=Basic " + token + "\x01\x01":                      false,
		"n,,\x01auth=Bearer " + token:                                  false,
		"auth=Bearer " + token + "\x01\x01":                            false,
		"n,,\x01\x01":                                                  false,
		"\x00alice\x00" + token:                                        false,
		"\x01":                                                         false,
		"":                                                             false,
	} {
		if proof, err := tokens.Bearer(t.Context(), []byte(message)); good != (err == nil && proof.User == "alice") {
			t.Errorf("%.30q: %+v, %v", message, proof, err)
		}
	}
}

// FuzzTokens holds that no message proves anything but what the issuer has signed, and that all
// others are ErrToken.
func FuzzTokens(f *testing.F) {
	issuer := logintest.NewIssuer(f)
	opts := issuer.Options()
	tokens, err := login.NewTokens(context.Background(), opts, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	tokens.PauseFor(time.Hour, time.Hour)
	for _, id := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		f.Add("n,,\x01auth=Bearer " + issuer.Sign(id, string(id), issuer.Claims("alice")) + "\x01\x01")
	}
	f.Add("n,a=bob,\x01auth=Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.\x01x=y\x01\x01")
	f.Fuzz(func(t *testing.T, message string) {
		proof, err := tokens.Bearer(t.Context(), []byte(message))
		if err != nil && !errors.Is(err, login.ErrToken) || err == nil && proof.User != "alice" {
			t.Fatalf("%+v, %v", proof, err)
		}
	})
}
