package login_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/access"
	"firn.dev/access/login"
)

var from = netip.MustParseAddr("192.0.2.1")

// one is a single user with a password, under every name given.
type one map[string]access.ScramKeys

func (o one) ScramKeys(user string, m access.ScramMechanism) (access.ScramKeys, bool) {
	keys, is := o[user]
	return keys, is && m == access.ScramSHA512
}

func withUser(t testing.TB, name, password string) one {
	t.Helper()
	keys, err := access.NewScramKeys(access.ScramSHA512, password, access.DefaultScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	return one{name: keys}
}

func TestPlain(t *testing.T) {
	users := withUser(t, "alice", "pencil")
	p := login.NewPasswords(users)
	for message, good := range map[string]bool{
		"\x00alice\x00pencil": true, "alice\x00alice\x00pencil": true, "bob\x00alice\x00pencil": false,
		"\x00alice\x00Pencil": false, "\x00alice\x00": false, "\x00\x00pencil": false, "\x00bob\x00pencil": false,
		"\x00alice\x00pencil\x00": false, "alice\x00pencil": false, "": false,
		"\x00alice\x00" + strings.Repeat("x", 10_000): false,
	} {
		proof, err := p.Plain(t.Context(), from, []byte(message))
		if good != (err == nil) || err != nil && !errors.Is(err, login.ErrFailed) {
			t.Errorf("%.40q: %v", message, err)
		}
		if err != nil && strings.Contains(err.Error(), "encil") {
			t.Errorf("the error tells the password: %v", err)
		}
		if good && (proof.User != "alice" || !p.Holds(proof)) {
			t.Errorf("%q proves %+v", message, proof)
		}
	}
	proof, err := p.Plain(t.Context(), from, []byte("\x00alice\x00pencil"))
	if err != nil {
		t.Fatal(err)
	}
	users["alice"] = withUser(t, "alice", "other")["alice"]
	if p.Holds(proof) {
		t.Error("a login outlives its password")
	}
	if _, err := p.Plain(t.Context(), from, []byte("\x00alice\x00pencil")); err == nil {
		t.Error("a password that was right once is right for ever")
	}
}

// A thousand guesses from one address cost a few checks, and a client whose password was right
// before does not wait behind them.
func TestGuessesAreSlow(t *testing.T) {
	p := login.NewPasswords(withUser(t, "alice", "pencil"))
	if _, err := p.Check(t.Context(), from, "alice", "pencil"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	checked := 0
	for range 1000 {
		if _, err := p.Check(ctx, from, "alice", "guess"); errors.Is(err, login.ErrFailed) {
			checked++
		}
	}
	if checked > 150 {
		t.Errorf("%d guesses were checked in two seconds", checked)
	}
	cancel() // whoever has to wait fails now
	if _, err := p.Check(ctx, from, "alice", "pencil"); err != nil {
		t.Errorf("an honest client had to wait: %v", err)
	}
}

// Guesses of one address that wait for a core keep a client of another address waiting for one of
// them, even if its password was never right before.
func TestGuessesWaitForOneAnother(t *testing.T) {
	const guesses = 40
	synctest.Test(t, func(t *testing.T) {
		p := login.NewPasswords(withUser(t, "alice", "pencil"))
		free := p.OneCore()
		var running sync.WaitGroup
		var checked atomic.Int32
		for range guesses {
			running.Go(func() {
				if _, err := p.Check(t.Context(), from, "alice", "guess"); !errors.Is(err, login.ErrFailed) {
					t.Error(err)
				}
				checked.Add(1)
			})
		}
		synctest.Wait() // all of them wait
		running.Go(func() {
			if _, err := p.Check(t.Context(), netip.MustParseAddr("192.0.2.2"), "alice", "pencil"); err != nil {
				t.Error(err)
			}
			if before := checked.Load(); before > guesses/2 {
				t.Errorf("a client of another address waited for %d of %d guesses", before, guesses)
			}
		})
		synctest.Wait()
		free()
		running.Wait()
	})
}

// FuzzScram holds that nothing but the right password proves anything, and that no message makes an
// exchange fail in any other way than ErrFailed.
func FuzzScram(f *testing.F) {
	p := login.NewPasswords(withUser(f, "alice", "pencil"))
	f.Add("n,,n=alice,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("y,a=alice,n=alice,r=abc,tokenauth=true", "c=biws,r=abc,p=")
	f.Add("p=tls-unique,,n=alice,r=abc", ",p=")
	f.Add("n,,n=a=2Cb=3D,r=~", "c=biws")
	f.Fuzz(func(t *testing.T, first, final string) {
		s := p.Scram(access.ScramSHA512)
		answer, done, err := s.Step([]byte(first))
		if done || err != nil && !errors.Is(err, login.ErrFailed) {
			t.Fatalf("first message: done %v, %v", done, err)
		}
		if err != nil {
			return
		}
		nonce, _, _ := strings.Cut(string(answer), ",")
		final = strings.Replace(final, "r=abc", nonce, 1)
		if answer, done, err := s.Step([]byte(final)); done || err == nil || answer != nil {
			t.Fatalf("the last message proved something: %q, %v", answer, err)
		}
	})
}

// FuzzPlain holds that no message of PLAIN proves anything but that of a user with the password, as
// itself.
func FuzzPlain(f *testing.F) {
	p := login.NewPasswords(withUser(f, "alice", "pencil"))
	for _, message := range []string{"\x00alice\x00pencil", "alice\x00alice\x00pencil", "bob\x00alice\x00pencil",
		"\x00alice\x00pencil\x00", "\x00", "\x00\x00", "alice", strings.Repeat("\x00", 5000)} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		sum := sha256.Sum256(message) // an address may make few guesses a second
		proof, err := p.Plain(t.Context(), netip.AddrFrom4([4]byte(sum[:4])), message)
		own := string(message) == "\x00alice\x00pencil" || string(message) == "alice\x00alice\x00pencil"
		if own != (err == nil) || own != (proof.User == "alice") || !own && !errors.Is(err, login.ErrFailed) {
			t.Errorf("%q: %+v, %v", message, proof, err)
		}
	})
}

func TestUsersFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := func(user, password string) string {
		return login.FormatUser(user, access.ScramSHA512, withUser(t, user, password)[user]) + "\n"
	}
	odd := `CN=Zoë "x", O=\y` + "\u00a0"
	write("# users\n\n" + line("alice", "pencil") + line(odd, "crayon"))
	users, err := login.LoadUsers(name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	users.LookEachTime()
	p := login.NewPasswords(users)
	good := func(user, password string, want bool) {
		t.Helper()
		if _, err := p.Check(t.Context(), from, user, password); want != (err == nil) {
			t.Errorf("%s with %s: %v", user, password, err)
		}
	}
	good("alice", "pencil", true)
	good(odd, "crayon", true)
	write(line("alice", "new password"))
	good("alice", "pencil", false)
	good("alice", "new password", true)
	good(odd, "crayon", false)
	write("nonsense")
	good("alice", "new password", true)
	for _, wrong := range []string{"alice pencil", `"alice" PLAIN pencil`, line("a", "b") + line("a", "c"),
		`"alice" SCRAM-SHA-512 salt=AAAA,iterations=1`} {
		write(wrong)
		if _, err := login.LoadUsers(name, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q is accepted", wrong)
		} else if strings.Contains(err.Error(), "pencil") || !strings.Contains(err.Error(), "line ") {
			t.Errorf("the error names no line, or tells what it contains: %v", err)
		}
	}
}
