package login_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/access"
	"firn.dev/access/login"
)

func secret(text string) login.ClusterSecret {
	return func() []byte { return bytes.Repeat([]byte(text), login.MinSecretBytes) }
}

// A proof is good for one request, once, for a minute, with one secret.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, other := login.NewPeers(secret("a")), login.NewPeers(secret("a")), login.NewPeers(secret("b"))
		alice := access.Client{Principal: access.Principal{Type: "User", Name: "alice"}, Host: "10.0.0.1"}
		request := login.Forwarded{Method: "POST", URI: "/v1/groups/g/claims?read=1", BodyHash: [32]byte{1},
			From: 1, To: 2, Client: alice}
		proof := func() string {
			t.Helper()
			p, err := one.Prove(request)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		good := proof()
		got := request
		got.BodyHash = [32]byte{}
		if err := two.Check(&got, good); err != nil || got != request {
			t.Errorf("a good proof: %v, %+v", err, got)
		}
		if err := two.Check(&got, good); !errors.Is(err, login.ErrStale) {
			t.Errorf("used twice: %v", err)
		}
		for name, change := range map[string]func(*login.Forwarded){
			"method":    func(f *login.Forwarded) { f.Method = "GET" },
			"URI":       func(f *login.Forwarded) { f.URI = "/v1/groups/h/claims?read=1" },
			"node":      func(f *login.Forwarded) { f.To = 3 },
			"principal": func(f *login.Forwarded) { f.Client.Principal.Name = "admin" },
			"host":      func(f *login.Forwarded) { f.Client.Host = "10.0.0.2" },
			"boundary":  func(f *login.Forwarded) { f.Method, f.URI = "POST/", "v1/groups/g/claims?read=1" },
		} {
			changed := request
			change(&changed)
			if err := two.Check(&changed, proof()); !errors.Is(err, login.ErrNotOurs) {
				t.Errorf("another %s: %v", name, err)
			}
		}
		parts := strings.Split(proof(), " ")
		for i := range parts {
			for _, text := range []string{"", "AAAA", parts[(i+1)%len(parts)]} {
				changed := append([]string{}, parts...)
				changed[i] = text
				if err := two.Check(&got, strings.Join(changed, " ")); !errors.Is(err, login.ErrNotOurs) {
					t.Errorf("part %d is %q: %v", i, text, err)
				}
			}
		}
		if err := other.Check(&got, proof()); !errors.Is(err, login.ErrNotOurs) {
			t.Errorf("another secret: %v", err)
		}
		old := proof()
		time.Sleep(time.Minute + time.Millisecond)
		if err := two.Check(&got, old); !errors.Is(err, login.ErrStale) {
			t.Errorf("after a minute: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if err := two.Check(&got, proof()); err != nil {
			t.Errorf("much later: %v", err)
		}
		none := login.NewPeers(func() []byte { return nil })
		if err := none.Check(&got, proof()); !errors.Is(err, login.ErrNoSecret) {
			t.Errorf("without a secret: %v", err)
		}
		if _, err := none.Prove(request); !errors.Is(err, login.ErrNoSecret) {
			t.Errorf("without a secret: %v", err)
		}
	})
}

// Nodes with one secret show one salt for a user that does not exist: a client that asks two of
// them cannot tell.
func TestDecoysAreTheClusters(t *testing.T) {
	salt := func(of login.ClusterSecret, user string) string {
		p := login.NewPasswords(one{})
		p.HideBehind(of)
		answer, _, err := p.Scram(access.ScramSHA512).Step([]byte("n,,n=" + user + ",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		_, salt, _ := strings.Cut(string(answer), ",")
		return salt
	}
	if salt(secret("a"), "mallory") != salt(secret("a"), "mallory") {
		t.Error("two nodes show different salts")
	}
	mallory := salt(secret("a"), "mallory")
	if mallory == salt(secret("b"), "mallory") || mallory == salt(secret("a"), "eve") {
		t.Error("salts do not depend on the secret and the name")
	}
}
