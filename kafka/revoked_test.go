package kafka_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/security"
	"firn.dev/kafka"
	"firn.dev/segments/memory"
)

// usersOf are the users that the view of a node shows which does not run yet.
type usersOf struct {
	node atomic.Pointer[security.Users]
}

func (u *usersOf) ScramKeys(user string, m access.ScramMechanism) (access.ScramKeys, bool) {
	if users := u.node.Load(); users != nil {
		return users.ScramKeys(user, m)
	}
	return access.ScramKeys{}, false
}

// A user that is made at one node logs in at the other, beside those of a file there, and its open
// connection to the other ends when it is deleted. Those of the file go on.
func TestUsersOfAllNodes(t *testing.T) {
	keys, err := access.NewScramKeys(access.ScramSHA512, "pencil", access.DefaultScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(login.FormatUser("carol", access.ScramSHA512, keys)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, coord := memory.New(), sharedCoordinator{embedded.New(embedded.Options{})}
	start := func(id int32) *firn {
		inFile, err := login.LoadUsers(file, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		users := &usersOf{}
		l := listenAt(t, "sasl", nil)
		l.SASL = true
		f := startAt(t, kafka.Options{Passwords: login.NewPasswords(login.Either{inFile, users})}, store, 0, coord, id, l)
		users.node.Store(&security.Users{View: f.node.View()})
		return f
	}
	one, two := start(1), start(2)
	bob, err := security.Users{View: one.node.View()}.SetUser("bob", access.ScramSHA512, keys)
	if err != nil {
		t.Fatal(err)
	}
	change := func(s coordinator.Setting) {
		t.Helper()
		if _, err := one.node.Change(t.Context(), coordinator.Change{Settings: []coordinator.Setting{s}}); err != nil {
			t.Fatal(err)
		}
	}
	as := func(user string) *kgo.Client {
		return two.client(t, kgo.SASL(plain.Auth{User: user, Pass: "pencil"}.AsMechanism()))
	}
	await := func(cl *kgo.Client, what string, is func(error) bool) {
		t.Helper()
		begun := time.Now()
		for {
			err := cl.Ping(t.Context())
			if is(err) {
				t.Logf("%s after %v", what, time.Since(begun))
				return
			}
			if time.Since(begun) > time.Minute {
				t.Fatalf("%s: not after a minute: %v", what, err)
			}
		}
	}
	known := func(err error) bool { return err == nil }
	refused := func(err error) bool { return errors.Is(err, kerr.SaslAuthenticationFailed) }
	ofFile, ofBucket := as("carol"), as("bob")
	await(ofFile, "the user of the file logs in", known)
	await(ofBucket, "a user that is not there yet is refused", refused)
	change(bob)
	await(ofBucket, "a user that was made at another node logs in", known)
	change(security.Users{}.DeleteUser("bob", access.ScramSHA512))
	await(ofBucket, "a user that was deleted at another node is refused", refused)
	if err := ofFile.Ping(t.Context()); err != nil {
		t.Errorf("the user of the file: %v", err)
	}
}
