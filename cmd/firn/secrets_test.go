package main

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"firn.dev/access/login/logintest"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/localstack"
)

// secretPattern is in each secret of the test: it is nowhere in what a server writes.
const secretPattern = "s3cr3t-p4ttern"

// secretServer is a server with secrets wherever it takes one, and all that it has written.
type secretServer struct {
	kafka, sasl, http string
	env               []string
	dir               string
	redis             *redistest.Server
	written           map[string][]byte // by where it was found
	key               []byte            // of TLS, as it lies in its file
	authority         *logintest.Authority
}

// Secrets that come by environment and by file are not in logs, errors, metrics, profiles, what
// commands print, or process lists; neither while all is well, nor when Redis is gone.
func TestSecretsAreNowhere(t *testing.T) {
	s := newSecretServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	logs, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	server := exec.CommandContext(ctx, "firn", "serve")
	server.Env, server.Stdout, server.Stderr = s.env, logs, logs
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	s.await(ctx, t, ended)

	s.run(ctx, "user set", "user", "set", "bob", "--password-file", s.file(t, "bob", secretPattern+"-bob"))
	s.run(ctx, "user list", "user", "list")
	s.run(ctx, "doctor", "doctor")
	s.logIn(ctx, t, plain.Auth{User: "alice", Pass: secretPattern + "-alice"}.AsMechanism(), true)
	s.logIn(ctx, t, plain.Auth{User: "alice", Pass: secretPattern + "-wrong"}.AsMechanism(), false)
	s.logIn(ctx, t, plain.Auth{User: secretPattern + "-as-user", Pass: "x"}.AsMechanism(), false)
	s.logIn(ctx, t, scram.Auth{User: "bob", Pass: secretPattern + "-bob"}.AsSha512Mechanism(), true)
	s.logIn(ctx, t, scram.Auth{User: "bob", Pass: secretPattern + "-wrong"}.AsSha256Mechanism(), false)
	for _, path := range []string{"/metrics", "/v1/topics", "/v1/cluster", "/debug/pprof/cmdline", "/readyz", "/nowhere",
		"/debug/pprof/goroutine?debug=2"} {
		s.ask(ctx, t, "GET "+path, "-alice", "")
	}
	s.ask(ctx, t, "GET /v1/topics?wrong", "-wrong-over-http", "")
	s.ask(ctx, t, "PUT /v1/users/carol", "-alice", `{"password": "`+secretPattern+`-carol"}`)
	s.ask(ctx, t, "PUT /v1/users/dave", "-alice", `{"password": "`+secretPattern+`-dave", "iterations": 1}`)
	s.ask(ctx, t, "PUT /v1/users/erin", "-alice", `{"password": {"`+secretPattern+`": 1}}`)
	s.ask(ctx, t, "GET /v1/users", "-alice", "")
	s.logIn(ctx, t, scram.Auth{User: "carol", Pass: secretPattern + "-carol"}.AsSha256Mechanism(), true)
	s.keep(t, "arguments", fmt.Sprintf("/proc/%d/cmdline", server.Process.Pid))

	s.redis.Kill()
	s.run(ctx, "topic create without Redis", "topic", "create", "later")
	s.ask(ctx, t, "GET /readyz", "-alice", "")
	s.run(ctx, "doctor without Redis", "doctor")
	s.run(ctx, "a second server without Redis", "serve", "--kafka-addr", "nonsense")
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the server did not end")
	}
	s.keep(t, "log", logs.Name())
	objects, err := filepath.Glob(filepath.Join(s.dir, "bucket", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		s.run(ctx, "inspect "+object, "inspect", object)
	}
	s.check(t)
}

func newSecretServer(t *testing.T) *secretServer {
	t.Helper()
	s := &secretServer{dir: t.TempDir(), written: map[string][]byte{}}
	s.redis = redistest.Start(t)
	s.redis.Do("CONFIG", "SET", "requirepass", secretPattern+"-redis")
	for _, addr := range []*string{&s.kafka, &s.sasl, &s.http} {
		var err error
		if *addr, err = localstack.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	s.authority = logintest.NewAuthority(t)
	files := s.authority.Write(s.dir, s.authority.Issue(pkix.Name{CommonName: "localhost"}))
	var err error
	if s.key, err = os.ReadFile(files.Key); err != nil {
		t.Fatal(err)
	}
	_, users, errs := command(t, "user", "hash", "alice", "--password-file", s.file(t, "alice", secretPattern+"-alice"))
	if users == "" {
		t.Fatal(errs)
	}
	s.env = append(os.Environ(), "GORACE=atexit_sleep_ms=10",
		"FIRN_STORE="+filepath.Join(s.dir, "bucket"),
		"FIRN_COORDINATOR=redis://:"+secretPattern+"-redis@"+s.redis.Addr,
		"FIRN_LISTENER=open=plaintext://"+s.kafka+",login=sasl-ssl://"+s.sasl,
		"FIRN_HTTP_ADDR="+s.http, "FIRN_PPROF=true", "FIRN_LOG_LEVEL=debug",
		"FIRN_TLS_CERT="+files.Certificate, "FIRN_TLS_KEY="+files.Key,
		"FIRN_USERS_FILE="+s.file(t, "users", users), "FIRN_BOOTSTRAP="+s.kafka,
		"AWS_ACCESS_KEY_ID=somebody", "AWS_SECRET_ACCESS_KEY="+secretPattern+"-s3",
		"MINIO_ROOT_USER=somebody", "MINIO_ROOT_PASSWORD="+secretPattern+"-minio")
	return s
}

func (s *secretServer) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// await waits until the server answers.
func (s *secretServer) await(ctx context.Context, t *testing.T, ended <-chan error) {
	t.Helper()
	for {
		cl, err := kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.RequestRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		_, err = kadm.NewClient(cl).BrokerMetadata(ctx)
		cl.Close()
		if err == nil {
			return
		}
		select {
		case err := <-ended:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Fatalf("the server ended: %v: %s", err, text)
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// run keeps what a command prints, whether it does what it should or not.
func (s *secretServer) run(ctx context.Context, what string, args ...string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "firn", args...)
	cmd.Env = s.env
	out, _ := cmd.CombinedOutput()
	s.written[what] = out
}

// logIn logs in, and writes a record if that went well.
func (s *secretServer) logIn(ctx context.Context, t *testing.T, by sasl.Mechanism, well bool) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.sasl), kgo.SASL(by), kgo.RequestRetries(0), kgo.RetryTimeout(time.Second),
		kgo.DialTLSConfig(s.authority.Client()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	_, err = kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
	if well != (err == nil) {
		t.Errorf("logging in with %s: %v", by.Name(), err)
	}
}

// ask keeps the answer to a request over HTTP.
func (s *secretServer) ask(ctx context.Context, t *testing.T, request, password, body string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.http+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("alice", secretPattern+password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.written[request] = answer
}

func (s *secretServer) keep(t *testing.T, what, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.written[what] = text
}

// check looks for secrets in all that was written, and that something was.
func (s *secretServer) check(t *testing.T) {
	t.Helper()
	key := strings.Split(string(s.key), "\n")[1] // Base64, of which a line is enough
	for what, text := range s.written {
		for _, secret := range []string{secretPattern, key} {
			if at := bytes.Index(text, []byte(secret)); at >= 0 {
				t.Errorf("%s has a secret: …%s…", what, text[max(at-100, 0):min(at+len(secret)+20, len(text))])
			}
		}
	}
	for what, has := range map[string]string{
		"log": "login failed", "user list": "bob", "GET /v1/users": "carol", "GET /metrics": "firn_kafka_logins",
		"arguments": "serve", "GET /debug/pprof/goroutine?debug=2": "goroutine"} {
		if !bytes.Contains(s.written[what], []byte(has)) {
			t.Errorf("%s does not have %q: the test looks at the wrong place: %s", what, has, s.written[what])
		}
	}
}
