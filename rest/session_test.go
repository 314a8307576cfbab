package rest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/rest"
)

// startWithSessions starts two nodes on which alice may do everything, whose pages log in.
func startWithSessions(t *testing.T, more ...func(*rest.Options)) ([]*firn, *people) {
	t.Helper()
	users := &people{}
	users.set(t, "alice", "pencil")
	users.set(t, "bob", "crayon")
	return startFirn(t, 2, func(o *rest.Options) {
		passwords := login.NewPasswords(users)
		secret := func() []byte { return bytes.Repeat([]byte("s"), login.MinSecretBytes) }
		o.Authorizer = only("User:alice")
		sessions := login.NewSessions(secret, passwords, security.EndedSessions{View: o.Node.View()})
		o.Logins = &rest.Logins{Passwords: passwords, Sessions: sessions, Required: true}
		for _, change := range more {
			change(o)
		}
	}), users
}

// answerTo has a node answer a request of this machine.
func answerTo(t *testing.T, f *firn, method, path string, change ...func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

func with(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }

func field(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// logIn begins a session and returns its cookie.
func logIn(t *testing.T, f *firn, change ...func(*http.Request)) *http.Cookie {
	t.Helper()
	resp := answerTo(t, f, "POST", "/v1/session", append(change, as("alice", "pencil"))...)
	cookies := resp.Cookies()
	if resp.StatusCode != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("logging in: %s, %v", resp.Status, cookies)
	}
	return cookies[0]
}

// A session's cookie is a login on each node, until it is ended or the user has another password.
func TestSession(t *testing.T) {
	t.Parallel()
	nodes, users := startWithSessions(t)
	f := nodes[0]
	c := logIn(t, f)
	if c.Name != "firn-session" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" ||
		c.Domain != "" || c.MaxAge <= 0 || time.Duration(c.MaxAge)*time.Second > login.SessionTime {
		t.Errorf("the cookie is %v", c)
	}
	for _, node := range nodes {
		if resp := answerTo(t, node, "GET", "/v1/cluster", with(c)); resp.StatusCode != http.StatusOK {
			t.Errorf("with the cookie: %s", resp.Status)
		}
	}
	var state sessionState
	resp := answerTo(t, f, "GET", "/v1/session", with(c))
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil || state.Principal != "User:alice" || !state.Logins ||
		state.Until == nil || time.Until(*state.Until) > login.SessionTime {
		t.Errorf("the session is %+v, %v", state, err)
	}
	if resp := answerTo(t, f, "POST", "/v1/session", with(c)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session prolongs itself: %s", resp.Status)
	}

	resp = answerTo(t, f, "DELETE", "/v1/session", with(c))
	if gone := resp.Cookies(); resp.StatusCode != http.StatusNoContent || len(gone) != 1 || gone[0].MaxAge >= 0 ||
		gone[0].Name != c.Name {
		t.Errorf("logging out: %s, %v", resp.Status, gone)
	}
	for _, node := range nodes { // somebody may have copied the cookie
		if err := node.node.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if resp := answerTo(t, node, "GET", "/v1/cluster", with(c)); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("after logging out, on node %d: %s", node.node.Info().ID, resp.Status)
		}
	}
	c = logIn(t, f)
	users.set(t, "alice", "another")
	if resp := answerTo(t, nodes[1], "GET", "/v1/cluster", with(c)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after another password: %s", resp.Status)
	}
	resp = answerTo(t, f, "POST", "/v1/session", as("bob", "wrong"), field("X-Requested-With", "fetch"))
	if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized ||
		strings.Contains(challenge, "Basic") || len(resp.Cookies()) > 0 {
		t.Errorf("a wrong password: %s, %s, %v", resp.Status, challenge, resp.Cookies())
	}
}

// cutOff is a node that can change nothing.
type cutOff struct{ rest.Node }

func (cutOff) Change(context.Context, coordinator.Change) (coordinator.Fact, error) {
	return coordinator.Fact{}, coordinator.ErrUnavailable
}

// A node that cannot tell the others ends the session for itself, and says until when they take it.
func TestSessionEndsHereWhateverHappens(t *testing.T) {
	t.Parallel()
	nodes, _ := startWithSessions(t, func(o *rest.Options) { o.Node = cutOff{o.Node} })
	f := nodes[0]
	c := logIn(t, f)
	resp := answerTo(t, f, "DELETE", "/v1/session", with(c))
	text, err := io.ReadAll(resp.Body)
	if gone := resp.Cookies(); err != nil || resp.StatusCode != http.StatusServiceUnavailable || len(gone) != 1 ||
		gone[0].MaxAge >= 0 || !strings.Contains(string(text), "could not tell the others") {
		t.Errorf("logging out: %s, %v, %s, %v", resp.Status, gone, text, err)
	}
	if resp := answerTo(t, f, "GET", "/v1/cluster", with(c)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after logging out: %s", resp.Status)
	}
}

// Pages of other origins get nothing by the cookie, whatever the browser sends.
func TestSessionOfOthersPages(t *testing.T) {
	t.Parallel()
	nodes, _ := startWithSessions(t)
	f := nodes[0]
	c := logIn(t, f)
	for _, method := range []string{"GET", "DELETE"} {
		for _, r := range []struct {
			name, value string
			want        int
		}{
			{"Sec-Fetch-Site", "cross-site", 403}, {"Sec-Fetch-Site", "same-site", 403}, {"Sec-Fetch-Site", "?", 403},
			{"Origin", "http://localhost:81", 403}, {"Origin", "http://evil.example", 403}, {"Origin", "null", 403},
			{"Sec-Fetch-Site", "none", 404}, {"Sec-Fetch-Site", "same-origin", 404}, {"Origin", "http://localhost", 404},
		} {
			resp := answerTo(t, f, method, "/v1/topics/nope", with(c), field(r.name, r.value))
			if resp.StatusCode != r.want {
				t.Errorf("%s with %s %s: %s, want %d", method, r.name, r.value, resp.Status, r.want)
			}
		}
	}
}

// Over https, and behind a proxy that ends it, the cookie is for https alone.
func TestSessionOverTLS(t *testing.T) {
	t.Parallel()
	nodes, _ := startWithSessions(t)
	f := nodes[0]
	secure := func(r *http.Request) { r.TLS, r.RemoteAddr = &tls.ConnectionState{}, "192.0.2.1:1" }
	for name, how := range map[string]func(*http.Request){"TLS": secure, "proxy": field("Origin", "https://localhost")} {
		c := logIn(t, f, how)
		if c.Name != "__Host-firn-session" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
			t.Errorf("%s: the cookie is %v", name, c)
		}
		if resp := answerTo(t, f, "GET", "/v1/cluster", with(c), how); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	plain := logIn(t, f)
	if resp := answerTo(t, f, "GET", "/v1/cluster", with(plain), secure); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a cookie that did not come over https: %s", resp.Status)
	}
	network := func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }
	if resp := answerTo(t, f, "GET", "/v1/cluster", with(plain), network); resp.StatusCode != http.StatusForbidden {
		t.Errorf("over a network that can read it: %s", resp.Status)
	}
}

// The page itself is open: it has the form, and nothing of what there is.
func TestPageIsOpen(t *testing.T) {
	t.Parallel()
	nodes, _ := startWithSessions(t)
	resp := answerTo(t, nodes[0], "GET", "/", field("Accept", "text/html"))
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page: %s, %s", resp.Status, resp.Header)
	}
	if resp := answerTo(t, nodes[0], "GET", "/"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the list: %s", resp.Status)
	}
	without := startFirn(t, 1, nil)[0]
	if resp := answerTo(t, without, "POST", "/v1/session", as("alice", "pencil")); resp.StatusCode != http.StatusConflict {
		t.Errorf("where nobody logs in: %s", resp.Status)
	}
}
