package login_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
)

// ended are ids of sessions that another node has ended.
type ended map[string]bool

func (e ended) Ended(s login.Session) bool { return e[s.ID] }

// A session is good on every node of a cluster until it is an hour old, until this node or another
// was told to end it, or until the user has another password.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := withUser(t, "alice", "pencil")
		passwords := login.NewPasswords(users)
		told := ended{}
		here, there := login.NewSessions(secret("a"), passwords, ended{}), login.NewSessions(secret("a"), passwords, told)
		elsewhere := login.NewSessions(secret("b"), passwords, ended{})
		begin := func() string {
			t.Helper()
			proof, err := passwords.Check(t.Context(), from, "alice", "pencil")
			if err != nil {
				t.Fatal(err)
			}
			cookie, session, err := here.OfPassword(proof)
			if err != nil || session.User != "alice" || time.Until(session.Until) > login.SessionTime {
				t.Fatal(session, err)
			}
			return cookie
		}
		good := func(what string, sessions *login.Sessions, cookie string, want bool) {
			t.Helper()
			session, err := sessions.Check(cookie)
			if want && (err != nil || session.User != "alice") || !want && !errors.Is(err, login.ErrSession) {
				t.Errorf("%s: %+v, %v", what, session, err)
			}
		}
		cookie := begin()
		good("on this node", here, cookie, true)
		good("on another", there, cookie, true)
		good("of another cluster", elsewhere, cookie, false)
		good("none", here, "", false)
		good("long", here, cookie+strings.Repeat("A", 4096), false)
		if strings.Contains(cookie, "pencil") {
			t.Error("the cookie tells the password")
		}
		for i := range cookie {
			if changed := cookie[:i] + "~" + cookie[i+1:]; changed != cookie {
				good("changed", here, changed, false)
			}
		}
		key := logintest.NewSigner(t)
		claims := map[string]any{"sub": "alice", "exp": time.Now().Add(time.Minute).Unix()}
		good("signed with a key pair", here, logintest.SignWith(t, jose.EdDSA, "", key, claims), false)
		good("signed with a guess", here, logintest.SignWith(t, jose.HS256, "", make([]byte, 32), claims), false)

		session, err := here.Check(cookie)
		if err != nil {
			t.Fatal(err)
		}
		here.End(session)
		good("ended", here, cookie, false)
		if here.Holds(session) {
			t.Error("a session that was ended holds")
		}
		good("ended where this node cannot know it", there, cookie, true)
		told[session.ID] = true
		good("ended elsewhere", there, cookie, false)
		if there.Holds(session) {
			t.Error("a session that was ended elsewhere holds")
		}

		old := begin()
		time.Sleep(login.SessionTime - 2*time.Second)
		good("almost an hour old", here, old, true)
		time.Sleep(3 * time.Second)
		good("an hour old", there, old, false)

		cookie = begin()
		users["alice"] = withUser(t, "alice", "another")["alice"]
		good("of the password before", there, cookie, false)
		delete(users, "alice")
		good("of nobody", there, cookie, false)

		none := login.NewSessions(func() []byte { return nil }, passwords, ended{})
		if _, err := none.Check(cookie); !errors.Is(err, login.ErrNoSecret) {
			t.Errorf("without a secret: %v", err)
		}
		if _, _, err := none.OfToken(login.TokenProof{}); !errors.Is(err, login.ErrNoSecret) {
			t.Errorf("without a secret: %v", err)
		}
	})
}

// A session of a token ends with the token.
func TestSessionsOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := login.NewSessions(secret("a"), login.NewPasswords(one{}), ended{})
		short, _, err := sessions.OfToken(login.TokenProof{User: "carol", Until: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		long, _, err := sessions.OfToken(login.TokenProof{User: "carol", Until: time.Now().Add(24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after       time.Duration
			short, long bool
		}{{time.Minute - 2*time.Second, true, true}, {3 * time.Second, false, true}, {time.Hour, false, false}} {
			time.Sleep(c.after)
			for cookie, want := range map[string]bool{short: c.short, long: c.long} {
				if _, err := sessions.Check(cookie); want != (err == nil) {
					t.Errorf("after %v: %v, want %v", c.after, err, want)
				}
			}
		}
	})
}

// FuzzSessions holds that no text is a session but one that this cluster has signed.
func FuzzSessions(f *testing.F) {
	passwords := login.NewPasswords(withUser(f, "alice", "pencil"))
	sessions := login.NewSessions(secret("a"), passwords, ended{})
	cookie, _, err := sessions.OfToken(login.TokenProof{User: "alice", Until: time.Now().Add(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	payload := strings.Split(cookie, ".")[1]
	f.Add(cookie)
	f.Add("eyJhbGciOiJub25lIn0." + payload + ".")
	f.Add("eyJhbGciOiJIUzI1NiJ9." + payload + ".AAAA")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		session, err := sessions.Check(text)
		if err == nil && session.User != "alice" || err != nil && !errors.Is(err, login.ErrSession) {
			t.Errorf("%q is %+v, %v", text, session, err)
		}
	})
}
