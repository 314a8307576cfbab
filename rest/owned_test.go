package rest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"firn.dev/access/login"
	"firn.dev/rest"
)

// send sends a request as somebody, and returns the status and body of the answer.
func (f *firn) send(t *testing.T, method, path, body string, set ...func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", typeJSON)
	for _, s := range set {
		s(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// startWithTenants starts a node on which alice and bob may do everything, and strangers as well.
func startWithTenants(t *testing.T) *firn {
	t.Helper()
	users := &people{}
	users.set(t, "alice", "pencil")
	users.set(t, "bob", "crayon")
	f := startFirn(t, 1, func(o *rest.Options) { o.Logins = &rest.Logins{Passwords: login.NewPasswords(users)} })[0]
	f.makeTopic(t, "orders", 2)
	return f
}

// One tenant's key answers no other tenant, and keeps none from writing; each gets its own answer
// again.
func TestKeysBelongToAPrincipal(t *testing.T) {
	t.Parallel()
	f := startWithTenants(t)
	key := func(r *http.Request) { r.Header.Set(idempotencyHeader, `"k"`) }
	offsets := map[string]bool{}
	for name, who := range map[string]func(*http.Request){
		"alice": as("alice", "pencil"), "bob": as("bob", "crayon"), "nobody": func(*http.Request) {},
	} {
		body := `{"value": "of ` + name + `", "partition": 0}`
		status, first := f.send(t, "POST", "/v1/topics/orders/records", body, key, who)
		if status != 200 || offsets[first] {
			t.Errorf("%s: %d %s", name, status, first)
		}
		offsets[first] = true
		if status, again := f.send(t, "POST", "/v1/topics/orders/records", body, key, who); status != 200 || again != first {
			t.Errorf("%s, again: %d %s, first %s", name, status, again, first)
		}
	}
}

// One tenant's claim cannot be renewed, committed or released by another that knows its holder and
// epoch, and is not given to it.
func TestClaimsBelongToAPrincipal(t *testing.T) {
	t.Parallel()
	f := startWithTenants(t)
	alice, bob := as("alice", "pencil"), as("bob", "crayon")
	const claims = "/v1/groups/g/claims"
	claim := func(who func(*http.Request)) (list claimList) {
		t.Helper()
		status, body := f.send(t, "POST", claims, `{"holder": "worker", "topics": ["orders"]}`, who)
		if status != 200 || json.Unmarshal([]byte(body), &list) != nil {
			t.Fatalf("%d %s", status, body)
		}
		return list
	}
	first := claim(alice).Claims
	if len(first) != 1 || first[0].Holder != "worker" {
		t.Fatalf("%+v", first)
	}
	held, err := json.Marshal(heldClaims{Holder: "worker", Claims: []heldClaim{
		{partitionName: first[0].partitionName, Epoch: first[0].Epoch, Offset: new(int64(0))}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/renew", "/commit", "/release"} {
		for name, who := range map[string]func(*http.Request){"bob": bob, "nobody": func(*http.Request) {}} {
			if status, body := f.send(t, "POST", claims+path, string(held), who); status != 409 {
				t.Errorf("%s %s: %d %s", name, path, status, body)
			}
		}
		if status, body := f.send(t, "POST", claims+path, string(held), alice); status != 200 {
			t.Errorf("alice %s: %d %s", path, status, body)
		}
	}
	of := map[int32]bool{claim(alice).Claims[0].Partition: true}
	if second := claim(bob).Claims; len(second) != 1 || of[second[0].Partition] {
		t.Errorf("bob has %+v, and alice %v", second, of)
	}
	status, body := f.send(t, "POST", claims, `{"holder": "`+`\u0000worker", "topics": ["orders"]}`)
	if status != 400 || !strings.Contains(body, "zero bytes") {
		t.Errorf("a holder with a zero byte: %d %s", status, body)
	}
}
