package login

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/access"
)

// someUsers are users with keys of one mechanism.
type someUsers struct {
	names     string
	mechanism access.ScramMechanism
	keys      access.ScramKeys
}

func (s someUsers) ScramKeys(user string, m access.ScramMechanism) (access.ScramKeys, bool) {
	return s.keys, m == s.mechanism && strings.Contains(s.names, user)
}

// Whoever may create users does not get in as an administrator that a file has, by the mechanism
// that the file has no keys of.
func TestUsersOfAFileAreNobodyElses(t *testing.T) {
	keys, err := access.NewScramKeys(access.ScramSHA512, "pencil", access.DefaultScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(name, []byte(FormatUser("admin", access.ScramSHA512, keys)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := LoadUsers(name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	all := Either{file, someUsers{"admin other", access.ScramSHA256, access.ScramKeys{Iterations: 1}}}
	if got, has := all.ScramKeys("admin", access.ScramSHA512); !has || !got.Equal(keys) {
		t.Error("the user of the file is not there")
	}
	if _, has := all.ScramKeys("admin", access.ScramSHA256); has {
		t.Error("a user of the same name gets in")
	}
	if _, has := all.ScramKeys("other", access.ScramSHA256); !has {
		t.Error("another user does not")
	}
}

// A file that is too large is an error, also where the limit falls on the end of a line: users
// behind it would be missing, and nobody would know.
func TestUsersFileTooLarge(t *testing.T) {
	const line = "#23456789012345\n"
	full := strings.Repeat(line, maxUsersFile/len(line))
	if _, err := parseUsers(strings.NewReader(full)); err != nil {
		t.Errorf("a file of the largest size: %v", err)
	}
	_, err := parseUsers(strings.NewReader(full + line))
	if err == nil || !strings.Contains(err.Error(), "firn user set") {
		t.Errorf("a line more: %v", err)
	}
}
