package rest_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/rest"
)

// cluster is two nodes with one secret, of which the second owns a group.
func cluster(t *testing.T, change func(*rest.Options)) (other, owner *firn, group string) {
	t.Helper()
	secret := bytes.Repeat([]byte("s"), login.MinSecretBytes)
	nodes := startFirn(t, 2, func(o *rest.Options) {
		o.Peers = login.NewPeers(func() []byte { return secret })
		change(o)
	})
	nodes[0].makeTopic(t, "orders", 1)
	if err := nodes[1].node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		if owner, _ := nodes[0].opts.Groups.Owner(name); owner.ID == 2 {
			return nodes[0], nodes[1], name
		}
	}
	t.Fatal("the second node owns no group")
	return nil, nil, ""
}

// A request about a group that another node owns is asked for there with the principal that it came
// with, and with the address of its client.
func TestForwardedRequestsHaveTheirPrincipal(t *testing.T) {
	t.Parallel()
	users, who := &people{}, &clients{}
	users.set(t, "alice", "pencil")
	other, owner, group := cluster(t, func(o *rest.Options) {
		o.Authorizer, o.Logins = who, &rest.Logins{Passwords: login.NewPasswords(users), Required: true}
	})
	claim := `{"holder": "h", "topics": ["orders"]}`
	path := "/v1/groups/" + group + "/claims"
	alice := as("alice", "pencil")
	if status, body := other.send(t, "POST", path, claim, alice); status != 200 || !strings.Contains(body, `"epoch"`) {
		t.Fatalf("a claim: %d %s", status, body)
	}
	want := access.Client{Principal: access.Principal{Type: "User", Name: "alice"}, Host: "127.0.0.1"}
	if got := who.all(); len(got) != 1 || got[0] != want {
		t.Errorf("asked for %v", got)
	}
	list := ""
	for until := time.Now().Add(time.Minute); !strings.Contains(list, `"`+group+`"`) && time.Now().Before(until); {
		_, list = other.send(t, "GET", "/v1/groups?limit=10", "", alice)
	}
	if strings.Contains(list, "unreachable") || !strings.Contains(list, `"`+group+`"`) {
		t.Errorf("groups of all nodes: %s", list)
	}
	proved := other.proof(t, "POST", path, claim, owner.node.Info().ID)
	for name, c := range map[string]struct {
		set    func(*http.Request)
		body   string
		status int
	}{
		"no proof":     {func(r *http.Request) { r.Header.Set(forwardedField, "1") }, claim, 401},
		"a forged one": {func(r *http.Request) { proved(r); r.Header.Set(forwardedProofField, "v1 1 a a a") }, claim, 503},
		"another body": {proved, `{"holder": "i", "topics": ["orders"]}`, 503},
	} {
		if status, body := owner.send(t, "POST", path, c.body, c.set); status != c.status {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	proved = other.proof(t, "POST", path, claim, owner.node.Info().ID)
	if status, body := owner.send(t, "POST", path, claim, proved); status != 200 {
		t.Errorf("a proof: %d %s", status, body)
	}
	status, body := owner.send(t, "POST", path, claim, proved)
	if status != 503 || !strings.Contains(body, "used before") {
		t.Errorf("used again: %d %s", status, body)
	}
}

// proof is what a node adds to a request that it forwards.
func (f *firn) proof(t *testing.T, method, path, body string, to int32) func(*http.Request) {
	t.Helper()
	made, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	owner := f.node.Info()
	owner.ID = to
	mallory := access.Client{Principal: access.Principal{Type: "User", Name: "mallory"}, Host: "10.0.0.1"}
	if err := f.ProvePeer(made, mallory, owner, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) {
		for _, field := range []string{forwardedField, forwardedClientField, forwardedProofField} {
			r.Header.Set(field, made.Header.Get(field))
		}
	}
}

// While a node does not know the secret it says so, and asks to be asked again.
func TestForwardingWaitsForTheSecret(t *testing.T) {
	t.Parallel()
	other, _, group := cluster(t, func(o *rest.Options) { o.Peers = login.NewPeers(func() []byte { return nil }) })
	var p problem
	resp := other.call(t, "GET", "/v1/groups/"+group, nil, &p)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" ||
		!strings.Contains(p.Detail, login.ErrNoSecret.Error()) {
		t.Errorf("%s: %+v", resp.Status, p)
	}
}

// clients allows everything, and remembers to whom.
type clients struct {
	mu   sync.Mutex
	seen []access.Client
}

// Allows implements access.Authorizer.
func (c *clients) Allows(client access.Client, _ access.Operation, _ access.Resource) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.seen, client) {
		c.seen = append(c.seen, client)
	}
	return true
}

func (c *clients) all() []access.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}
