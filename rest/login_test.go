package rest_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
	"firn.dev/rest"
)

// people are users whom a test may change.
type people struct {
	mu   sync.Mutex
	keys map[string]access.ScramKeys
}

func (p *people) set(t testing.TB, user, password string) {
	t.Helper()
	keys, err := access.NewScramKeys(access.ScramSHA512, password, access.DefaultScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[string]access.ScramKeys{}
	}
	p.keys[user] = keys
}

func (p *people) remove(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, user)
}

// ScramKeys implements access.Users.
func (p *people) ScramKeys(user string, m access.ScramMechanism) (access.ScramKeys, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, is := p.keys[user]
	return k, is && m == access.ScramSHA512
}

// only allows everything to one principal.
type only string

func (o only) Allows(client access.Client, _ access.Operation, _ access.Resource) bool {
	return client.Principal.String() == string(o)
}

// startWithLogins starts nodes on which alice may do everything, and others nothing.
func startWithLogins(t testing.TB, n int) ([]*firn, *people) {
	t.Helper()
	users := &people{}
	users.set(t, "alice", "pencil")
	users.set(t, "bob", "crayon")
	return startFirn(t, n, func(o *rest.Options) {
		o.Authorizer = only("User:alice")
		o.Logins = &rest.Logins{Passwords: login.NewPasswords(users), Required: true}
	}), users
}

func TestBasic(t *testing.T) {
	t.Parallel()
	nodes, _ := startWithLogins(t, 1)
	f := nodes[0]
	f.makeTopic(t, "orders", 1)
	const basic = `Basic realm="firn", charset="UTF-8"`
	for _, c := range []struct {
		name, path, from string
		set              func(*http.Request)
		want             int
		challenge, says  string
	}{
		{"right", "/v1/topics/orders", "127.0.0.1:1", as("alice", "pencil"), 200, "", `"orders"`},
		{"allowed nothing", "/v1/topics/orders", "127.0.0.1:1", as("bob", "crayon"), 403, "", "User:bob has no permission"},
		{"none", "/v1/topics/orders", "127.0.0.1:1", nil, 401, basic, "log in"},
		{"none, list", "/v1/topics", "127.0.0.1:1", nil, 401, basic, "log in"},
		{"wrong", "/v1/topics/orders", "127.0.0.1:1", as("alice", "guess"), 401, basic, "invalid user name or password"},
		{"nobody", "/v1/topics/orders", "127.0.0.1:1", as("mallory", "pencil"), 401, basic, "invalid user name or password"},
		{"scheme", "/v1/topics/orders", "127.0.0.1:1", header("Digest x"), 401, basic, "none of the schemes"},
		{"malformed", "/v1/topics/orders", "127.0.0.1:1", header("Basic ?"), 401, basic, "invalid user name or password"},
		{"by the network", "/v1/topics/orders", "192.0.2.1:1", as("alice", "pencil"), 403, "", "Logins.Plaintext"},
		{"none, by the network", "/v1/topics/orders", "192.0.2.1:1", nil, 403, "", "https"},
		{"probe", "/healthz", "192.0.2.1:1", as("alice", "guess"), 200, "", ""},
		{"metrics", "/metrics", "127.0.0.1:1", nil, 401, basic, "log in"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", c.path, nil)
		r.RemoteAddr = c.from
		if c.set != nil {
			c.set(r)
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != c.want || w.Header().Get("WWW-Authenticate") != c.challenge || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d, %q, %s", c.name, w.Code, w.Header().Get("WWW-Authenticate"), body)
		}
		if strings.Contains(body, "pencil") || strings.Contains(body, "guess") {
			t.Errorf("%s: the answer tells a password", c.name)
		}
		if p := (problem{}); w.Code >= 400 && (json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Status != c.want) {
			t.Errorf("%s: no problem: %s", c.name, body)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	w := httptest.NewRecorder()
	const failed = `firn_http_logins_total{result="failed",scheme="basic"} 3`
	if f.Admin().ServeHTTP(w, r); w.Code != 200 || !strings.Contains(w.Body.String(), failed) {
		t.Errorf("metrics of the listener for them: %d", w.Code)
	}
}

func as(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func header(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", text) }
}

// A certificate is a login, and what a request says for itself comes before it. A client that need
// not log in is anonymous.
func TestCertificatesAndAnonymous(t *testing.T) {
	t.Parallel()
	users, who := &people{}, &lastClient{}
	users.set(t, "alice", "pencil")
	logins := &rest.Logins{Passwords: login.NewPasswords(users)}
	f := startFirn(t, 1, func(o *rest.Options) { o.Authorizer, o.Logins = who, logins })[0]
	certificate := logintest.NewAuthority(t).Issue(pkix.Name{CommonName: "carol", Organization: []string{"Example"}})
	with := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{certificate.Leaf}}}
	for _, c := range []struct {
		name     string
		required bool
		tls      *tls.ConnectionState
		set      func(*http.Request)
		want     string // empty: 401
	}{
		{"nothing", false, nil, nil, "User:ANONYMOUS"},
		{"nothing, required", true, nil, nil, ""},
		{"TLS alone, required", true, &tls.ConnectionState{}, nil, ""},
		{"certificate", true, with, nil, "User:CN=carol,O=Example"},
		{"certificate and password", true, with, as("alice", "pencil"), "User:alice"},
		{"certificate and wrong password", false, with, as("alice", "wrong"), ""},
		{"wrong password", false, nil, as("alice", "wrong"), ""},
	} {
		logins.Required = c.required
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/cluster", nil)
		r.RemoteAddr, r.TLS = "127.0.0.1:1", c.tls
		if c.set != nil {
			c.set(r)
		}
		who.last = access.Client{}
		status, body := serve(f.Server, r)
		got := who.last.Principal.String()
		if c.want != "" && (status != 200 || got != c.want) || c.want == "" && status != 401 {
			t.Errorf("%s: %d as %s, want %s: %s", c.name, status, got, c.want, body)
		}
	}
}

// lastClient allows everything, and remembers to whom.
type lastClient struct{ last access.Client }

func (l *lastClient) Allows(client access.Client, _ access.Operation, _ access.Resource) bool {
	l.last = client
	return true
}

// get asks for a path as a user; the caller closes the body.
func (f *firn) get(t *testing.T, path, user, password string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", f.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// A tail of a user that is deleted ends before records that come a second later.
func TestTailEndsWithTheLogin(t *testing.T) {
	t.Parallel()
	nodes, users := startWithLogins(t, 1)
	f := nodes[0]
	topic := f.makeTopic(t, "orders", 1)
	resp := f.get(t, "/v1/topics/orders/tail?from=earliest", "alice", "pencil")
	lines := bufio.NewScanner(resp.Body)
	await := func(what string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), what) {
				return
			}
		}
		t.Fatalf("no line has %s: %v", what, lines.Err())
	}
	f.writeValues(t, topic, 0, "before")
	await("before")
	users.remove("alice")
	gone := time.Now()
	for time.Since(gone) < time.Second { // what comes within it may still be given out
		f.writeValues(t, topic, 0, "meanwhile")
	}
	f.writeValues(t, topic, 0, "after")
	await("event: end")
	await("the login is over")
	for lines.Scan() {
		if strings.Contains(lines.Text(), "after") {
			t.Error("the tail goes on")
		}
	}
	if again := f.get(t, "/v1/topics/orders", "alice", "pencil"); again.StatusCode != 401 {
		t.Errorf("a user that is gone: %s", again.Status)
	}
}

// A login whose password was right before costs little: a core checks tens of thousands a second.
func BenchmarkBasic(b *testing.B) {
	users := &people{}
	users.set(b, "alice", "pencil")
	f := startFirn(b, 1, func(o *rest.Options) {
		o.Logins = &rest.Logins{Passwords: login.NewPasswords(users), Required: true}
	})[0]
	r := httptest.NewRequestWithContext(b.Context(), "GET", "/v1/cluster", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.SetBasicAuth("alice", "pencil")
	for b.Loop() {
		if err := f.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	issuer := logintest.NewIssuer(t)
	tokens, err := login.NewTokens(t.Context(), issuer.Options(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := startFirn(t, 1, func(o *rest.Options) {
		o.Authorizer = only("User:alice")
		o.Logins = &rest.Logins{Passwords: login.NewPasswords(&people{}), Tokens: tokens, Required: true}
	})[0]
	expired := issuer.Claims("alice")
	expired["exp"] = time.Now().Add(-time.Hour).Unix()
	for _, c := range []struct {
		authorization string
		status        int
		says          string
	}{
		{"Bearer " + issuer.Token("alice"), 200, "cluster_id"},
		{"bearer " + issuer.Token("alice"), 200, "cluster_id"},
		{"Bearer " + issuer.Token("bob"), 403, "User:bob"},
		{"Bearer " + issuer.Sign("RS256", "RS256", expired), 401, "it has expired"},
		{"Bearer x", 401, "no JSON Web Token"},
		{"Bearer", 401, "no JSON Web Token"},
	} {
		status, body := f.send(t, "GET", "/v1/cluster", "", header(c.authorization))
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%.20s: %d %s", c.authorization, status, body)
		}
	}
}
