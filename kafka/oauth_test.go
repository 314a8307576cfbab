package kafka_test

import (
	"context"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"

	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
	"firn.dev/kafka"
	"firn.dev/topics"
)

// startWithTokens starts a server with one listener of SASL_SSL that takes tokens.
func startWithTokens(t *testing.T, opts kafka.Options) (*firn, *logintest.Issuer, *logintest.Authority, string) {
	t.Helper()
	authority, issuer, dir := logintest.NewAuthority(t), logintest.NewIssuer(t), t.TempDir()
	files := authority.Write(dir, authority.Issue(pkix.Name{CommonName: "server"}))
	l := listenAt(t, "sasl", certificates(t, files).Config())
	l.SASL = true
	var err error
	opts.Tokens, err = login.NewTokens(t.Context(), issuer.Options(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	opts.Topics = topics.Options{AutoCreate: true}
	return startFirnBehind(t, opts, l), issuer, authority, dir
}

func TestFranzGoLogsInWithAToken(t *testing.T) {
	who := &whoAsked{}
	f, issuer, authority, _ := startWithTokens(t, kafka.Options{Authorizer: who})
	log := func(token string) *kgo.Client {
		return f.client(t, kgo.DialTLSConfig(authority.Client()), kgo.DefaultProduceTopic("t"),
			kgo.AllowAutoTopicCreation(),
			kgo.SASL(oauth.Auth{Token: token, Extensions: map[string]string{"traceId": "1"}}.AsMechanism()))
	}
	if err := log(issuer.Token("alice")).ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Error(err)
	}
	if got := who.last.Swap(nil); got == nil || got.String() != "User:alice" {
		t.Errorf("the principal is %v", got)
	}
	expired := issuer.Claims("alice")
	expired["exp"] = time.Now().Add(-time.Hour).Unix()
	for _, wrong := range []string{issuer.Sign(jose.RS256, "RS256", expired), "x", issuer.Token("alice") + "x",
		logintest.SignWith(t, jose.EdDSA, "EdDSA", logintest.NewSigner(t), issuer.Claims("alice"))} {
		if err := log(wrong).Ping(t.Context()); !errors.Is(err, kerr.SaslAuthenticationFailed) {
			t.Errorf("%.20s: %v", wrong, err)
		}
	}
}

// kcat is librdkafka, which can make a token that nobody has signed.
func TestKcatsTokenIsRefused(t *testing.T) {
	f, _, _, dir := startWithTokens(t, kafka.Options{})
	run := func(more ...string) (string, error) {
		args := append([]string{"-b", f.address, "-L", "-X", "security.protocol=SASL_SSL",
			"-X", "sasl.mechanisms=OAUTHBEARER", "-X", "ssl.ca.location=" + filepath.Join(dir, "ca.pem")}, more...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "kcat", args...).CombinedOutput()
		return string(out), err
	}
	out, err := run("-m", "3", "-X", "enable.sasl.oauthbearer.unsecure.jwt=true",
		"-X", "sasl.oauthbearer.config=principal=admin")
	if err == nil || !strings.Contains(out, "invalid token") {
		t.Errorf("a token that nobody has signed: %v: %s", err, out)
	}
}

// A session lasts as long as its token (KIP-368): the client is told how long, and requests behind
// that end the connection. A new token of the same user prolongs it.
func TestTokensEndSessions(t *testing.T) {
	f, issuer, authority, _ := startWithTokens(t, kafka.Options{})
	nc := f.dialTLS(t, authority)
	patience := time.Now().Add(2 * time.Minute)
	_ = nc.SetDeadline(patience)
	logIn := func(user string, lasts time.Duration) *kmsg.SASLAuthenticateResponse {
		t.Helper()
		hello := kmsg.NewPtrSASLHandshakeRequest()
		hello.Version, hello.Mechanism = 1, login.Bearer
		answer, err := exchange(t, nc, hello, 1)
		if err != nil || binary.BigEndian.Uint16(answer[4:]) != 0 {
			t.Fatalf("handshake: %x, %v", answer, err)
		}
		claims := issuer.Claims(user)
		claims["exp"] = time.Now().Add(lasts).Unix()
		req := kmsg.NewPtrSASLAuthenticateRequest()
		token := issuer.Sign(jose.ES256, "ES256", claims)
		req.Version, req.SASLAuthBytes = 1, []byte("n,,\x01auth=Bearer "+token+"\x01\x01")
		if answer, err = exchange(t, nc, req, 2); err != nil {
			t.Fatal(err)
		}
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.Version = 1
		if err := resp.ReadFrom(answer[4:]); err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := logIn("alice", time.Hour)
	if lasts := resp.SessionLifetimeMillis; resp.ErrorCode != 0 || lasts < 3000_000 || lasts > 3600_000 {
		t.Errorf("%+v", resp)
	}
	if resp := logIn("alice", 3*time.Second); resp.ErrorCode != 0 || resp.SessionLifetimeMillis > 3000 {
		t.Errorf("a shorter one: %+v", resp)
	}
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 9
	for {
		if _, err := exchange(t, nc, metadata, 3); err != nil {
			break
		}
	}
	if !time.Now().Before(patience) {
		t.Error("the session did not end")
	}
}
