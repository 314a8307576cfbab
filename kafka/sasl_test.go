package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
	"firn.dev/kafka"
	"firn.dev/topics"
)

// people are users whom a test may change.
type people struct {
	mu   sync.Mutex
	keys map[string]map[access.ScramMechanism]access.ScramKeys
}

func (p *people) set(t testing.TB, user, password string) {
	t.Helper()
	keys := map[access.ScramMechanism]access.ScramKeys{}
	for _, m := range access.ScramMechanisms {
		k, err := access.NewScramKeys(m, password, access.DefaultScramIterations)
		if err != nil {
			t.Fatal(err)
		}
		keys[m] = k
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[string]map[access.ScramMechanism]access.ScramKeys{}
	}
	p.keys[user] = keys
}

func (p *people) ScramKeys(user string, m access.ScramMechanism) (access.ScramKeys, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, is := p.keys[user][m]
	return k, is
}

// startWithLogin starts a server with one listener of SASL_SSL, and a user alice.
func startWithLogin(t *testing.T, opts kafka.Options) (*firn, *people, *logintest.Authority, string) {
	t.Helper()
	authority, users, dir := logintest.NewAuthority(t), &people{}, t.TempDir()
	users.set(t, "alice", "pencil and = more")
	files := authority.Write(dir, authority.Issue(pkix.Name{CommonName: "server"}))
	l := listenAt(t, "sasl", certificates(t, files).Config())
	l.SASL = true
	opts.Passwords = login.NewPasswords(users)
	return startFirnBehind(t, opts, l), users, authority, dir
}

func mechanisms(user, password string) map[string]sasl.Mechanism {
	return map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: user, Pass: password}.AsMechanism(),
		"SCRAM-SHA-256": scram.Auth{User: user, Pass: password}.AsSha256Mechanism(),
		"SCRAM-SHA-512": scram.Auth{User: user, Pass: password}.AsSha512Mechanism(),
	}
}

func TestFranzGoLogsIn(t *testing.T) {
	who := &whoAsked{}
	f, _, authority, _ := startWithLogin(t, kafka.Options{Topics: topics.Options{AutoCreate: true}, Authorizer: who})
	secure := kgo.DialTLSConfig(authority.Client())
	for name, m := range mechanisms("alice", "pencil and = more") {
		cl := f.client(t, secure, kgo.SASL(m), kgo.DefaultProduceTopic("t-"+name), kgo.AllowAutoTopicCreation())
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := who.last.Swap(nil); got == nil || got.String() != "User:alice" {
			t.Errorf("%s: the principal is %v", name, got)
		}
	}
	for _, wrong := range [][2]string{{"alice", "Pencil"}, {"mallory", "pencil and = more"}} {
		for name, m := range mechanisms(wrong[0], wrong[1]) {
			begun := time.Now()
			err := f.client(t, secure, kgo.SASL(m)).Ping(t.Context())
			if !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("%s as %s: %v", name, wrong[0], err)
			}
			if took := time.Since(begun); took < 100*time.Millisecond {
				t.Errorf("%s: the failure was told after %v", name, took)
			}
		}
	}
}

// kcat is librdkafka, which has an implementation of SCRAM and TLS of its own.
func TestKcatLogsIn(t *testing.T) {
	f, _, _, dir := startWithLogin(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	run := func(mechanism, password, input string, more ...string) (string, error) {
		args := append([]string{"-b", f.address, "-t", "t", "-X", "security.protocol=SASL_SSL", "-X",
			"sasl.mechanisms=" + mechanism,
			"-X", "ssl.ca.location=" + filepath.Join(dir, "ca.pem"), "-X", "sasl.username=alice", "-X",
			"sasl.password=" + password}, more...)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "kcat", args...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, m := range login.Mechanisms() {
		if out, err := run(m, "pencil and = more", m+"\n", "-P"); err != nil {
			t.Errorf("%s: %v: %s", m, err, out)
		}
	}
	out, err := run("SCRAM-SHA-512", "pencil and = more", "", "-C", "-o", "beginning", "-e", "-q")
	if want := strings.Join(login.Mechanisms(), "\n") + "\n"; err != nil || out != want {
		t.Errorf("consumed %q, %v; want %q", out, err, want)
	}
	if out, err := run("SCRAM-SHA-256", "wrong", "", "-L", "-m", "3"); err == nil ||
		!strings.Contains(out, "invalid user name or password") {
		t.Errorf("with a wrong password: %v: %s", err, out)
	}
}

// exchange sends one request over a raw connection, and returns the answer without its length.
func exchange(t *testing.T, nc io.ReadWriter, req kmsg.Request, id int32) ([]byte, error) {
	t.Helper()
	if _, err := nc.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, id)); err != nil {
		return nil, err
	}
	return readAnswer(nc)
}

func readAnswer(nc io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(nc, body)
	return body, err
}

// dialTLS is a raw connection over TLS.
func (f *firn) dialTLS(t *testing.T, authority *logintest.Authority) *tls.Conn {
	t.Helper()
	nc, err := tls.Dial("tcp", f.address, authority.Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// Nothing but ApiVersions and the login itself is answered before the login.
func TestNothingIsServedBeforeTheLogin(t *testing.T) {
	f, _, authority, _ := startWithLogin(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	for _, a := range kafka.APIs() {
		if a.Open {
			continue
		}
		nc := f.dialTLS(t, authority)
		req := kmsg.RequestForKey(int16(a.Key))
		req.SetVersion(a.Max)
		if answer, err := exchange(t, nc, req, 1); err == nil {
			t.Errorf("%s is answered: %x", a.Key.Name(), answer)
		}
	}
	nc := f.dialTLS(t, authority)
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.ClientSoftwareName, versions.ClientSoftwareVersion = "test", "1"
	if _, err := exchange(t, nc, versions, 1); err != nil {
		t.Errorf("ApiVersions: %v", err)
	}
	token := kmsg.NewPtrSASLAuthenticateRequest()
	token.SASLAuthBytes = []byte("\x00alice\x00pencil and = more")
	answer, err := exchange(t, nc, token, 2)
	if err != nil || int16(binary.BigEndian.Uint16(answer[4:])) != kerr.IllegalSaslState.Code {
		t.Errorf("a token before its handshake: %x, %v", answer, err)
	}
	if _, err := exchange(t, nc, versions, 3); err == nil {
		t.Error("the connection goes on after it")
	}
}

// Version 0 of SaslHandshake has messages without headers.
func TestTokensWithoutHeaders(t *testing.T) {
	f, _, authority, _ := startWithLogin(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	for password, good := range map[string]bool{"pencil and = more": true, "wrong": false} {
		nc := f.dialTLS(t, authority)
		handshake := kmsg.NewPtrSASLHandshakeRequest()
		handshake.Mechanism = "PLAIN"
		answer, err := exchange(t, nc, handshake, 1)
		if err != nil || binary.BigEndian.Uint16(answer[4:]) != 0 {
			t.Fatalf("handshake: %x, %v", answer, err)
		}
		message := "\x00alice\x00" + password
		if _, err := nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)); err != nil {
			t.Fatal(err)
		}
		answer, err = readAnswer(nc)
		if good != (err == nil) || good && len(answer) != 0 {
			t.Errorf("password %q: %x, %v", password, answer, err)
		}
		if !good {
			continue
		}
		metadata := kmsg.NewPtrMetadataRequest()
		metadata.Version = 1
		if _, err := exchange(t, nc, metadata, 2); err != nil {
			t.Errorf("after the login: %v", err)
		}
	}
}

// A password that is changed ends connections that were made with the old one.
func TestChangedPasswordEndsConnections(t *testing.T) {
	f, users, authority, _ := startWithLogin(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	nc := f.dialTLS(t, authority)
	logIn(t, nc, "alice", "pencil and = more")
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 1
	if _, err := exchange(t, nc, metadata, 3); err != nil {
		t.Fatal(err)
	}
	users.set(t, "alice", "another")
	for begun, err := time.Now(), error(nil); err == nil; _, err = exchange(t, nc, metadata, 4) {
		if time.Since(begun) > 5*time.Second {
			t.Fatal("the connection is still served")
		}
	}
}

func logIn(t *testing.T, nc io.ReadWriter, user, password string) (lifetime int64, code int16) {
	t.Helper()
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, "PLAIN"
	if answer, err := exchange(t, nc, handshake, 1); err != nil || binary.BigEndian.Uint16(answer[4:]) != 0 {
		t.Fatalf("handshake: %x, %v", answer, err)
	}
	token := kmsg.NewPtrSASLAuthenticateRequest()
	token.Version, token.SASLAuthBytes = 1, []byte("\x00"+user+"\x00"+password)
	answer, err := exchange(t, nc, token, 2)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.Version = 1
	if err := resp.ReadFrom(answer[4:]); err != nil {
		t.Fatal(err)
	}
	return resp.SessionLifetimeMillis, resp.ErrorCode
}

// KIP-368: a client may log in again as the same user, and has to when its time is over.
func TestLoggingInAgain(t *testing.T) {
	f, users, authority, _ := startWithLogin(t, kafka.Options{Topics: topics.Options{AutoCreate: true},
		MaxReauth: time.Second})
	users.set(t, "bob", "crayon")
	nc := f.dialTLS(t, authority)
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 1
	for range 2 {
		if lifetime, code := logIn(t, nc, "alice", "pencil and = more"); code != 0 || lifetime <= 0 || lifetime > 1000 {
			t.Fatalf("error %d, lifetime %d ms", code, lifetime)
		}
		if _, err := exchange(t, nc, metadata, 3); err != nil {
			t.Fatal(err)
		}
	}
	if _, code := logIn(t, nc, "bob", "crayon"); code != kerr.SaslAuthenticationFailed.Code {
		t.Errorf("a client becomes another user: error %d", code)
	}
	nc = f.dialTLS(t, authority)
	logIn(t, nc, "alice", "pencil and = more")
	for begun, err := time.Now(), error(nil); err == nil; _, err = exchange(t, nc, metadata, 3) {
		if time.Since(begun) > 5*time.Second {
			t.Fatal("a login whose time is over is still good")
		}
	}
	cl := f.client(t, kgo.DialTLSConfig(authority.Client()),
		kgo.SASL(mechanisms("alice", "pencil and = more")["SCRAM-SHA-256"]),
		kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation())
	for begun := time.Now(); time.Since(begun) < 3*time.Second; {
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatalf("franz-go logs in again while it produces: %v", err)
		}
	}
}
