package login

import (
	"strings"
	"testing"

	"firn.dev/access"
)

// FuzzUsersFile holds that whatever a file of users contains, each user that is read of it has keys
// that are valid, is written as a line that is read as the same, and that errors do not repeat what
// the file says.
func FuzzUsersFile(f *testing.F) {
	keys, err := access.NewScramKeys(access.ScramSHA256, "pencil", access.DefaultScramIterations)
	if err != nil {
		f.Fatal(err)
	}
	line := FormatUser("alice", access.ScramSHA256, keys)
	f.Add("# users\n\n" + line + "\n")
	f.Add(line + "\n" + line)
	f.Add(strings.Replace(line, "4096", "99999999999999999999", 1))
	f.Add(`"s3cret" SCRAM-SHA-512 salt=,iterations=-1`)
	f.Add("`a` SCRAM-SHA-512\x00")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := parseUsers(strings.NewReader(text))
		if err != nil && len(text) > 40 && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("the error repeats what the file says: %v", err)
		}
		for of, keys := range users {
			if err := keys.Validate(of.mechanism); err != nil {
				t.Errorf("user %q has bad keys: %v", of.name, err)
			}
			again, err := parseUsers(strings.NewReader(FormatUser(of.name, of.mechanism, keys)))
			if err != nil || !again[of].Equal(keys) || again[of].Iterations != keys.Iterations {
				t.Errorf("user %q is written in a way that is read otherwise: %v", of.name, err)
			}
		}
	})
}
