package login

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"firn.dev/access"
	"firn.dev/access/reread"
)

// UsersFile is a file of users. Each line is one user's keys for one mechanism, as FormatUser
// writes them; lines that are empty or begin with # say nothing. It is read again when it changes.
type UsersFile struct {
	users *reread.Files[map[userKey]access.ScramKeys]
}

type userKey struct {
	name      string
	mechanism access.ScramMechanism
}

// Bounds of a file of users.
const (
	maxUsersFile = 64 << 20
	maxUserLine  = 4 << 10
)

var _ access.Users = (*UsersFile)(nil)

// LoadUsers reads a file of users.
func LoadUsers(name string, logger *slog.Logger) (*UsersFile, error) {
	users, err := reread.Load(func() (map[userKey]access.ScramKeys, error) { return readUsers(name) },
		func(users map[userKey]access.ScramKeys) []any { return []any{"file", name, "keys", len(users)} },
		logger, "users of the file", name)
	return &UsersFile{users}, err
}

// ScramKeys implements access.Users.
func (f *UsersFile) ScramKeys(user string, mechanism access.ScramMechanism) (access.ScramKeys, bool) {
	keys, is := f.users.Current()[userKey{user, mechanism}]
	return keys, is
}

func readUsers(name string) (map[userKey]access.ScramKeys, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	users, err := parseUsers(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return users, nil
}

// parseUsers reads all lines. Errors name the line's number and never what it contains.
func parseUsers(r io.Reader) (map[userKey]access.ScramKeys, error) {
	users := map[userKey]access.ScramKeys{}
	limited := &io.LimitedReader{R: r, N: maxUsersFile + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxUserLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, keys, err := parseUser(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w; 'firn user hash NAME' writes such lines", n, err)
		}
		if _, twice := users[key]; twice {
			return nil, fmt.Errorf("line %d: this user has %s already", n, key.mechanism)
		}
		users[key] = keys
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("it has more than %d bytes; keep users in the bucket instead: 'firn user set'", maxUsersFile)
	}
	return users, lines.Err()
}

// FormatUser is the line of a user: its name in quotes, the mechanism, and the keys in the form
// that kafka-configs.sh has for them.
func FormatUser(name string, m access.ScramMechanism, k access.ScramKeys) string {
	in := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s %s salt=%s,stored_key=%s,server_key=%s,iterations=%d",
		strconv.QuoteToGraphic(name), m, in(k.Salt), in(k.StoredKey), in(k.ServerKey), k.Iterations)
}

func parseUser(line string) (key userKey, keys access.ScramKeys, err error) {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return key, keys, errors.New("a line begins with the user's name in quotes")
	}
	if key.name, err = strconv.Unquote(quoted); err != nil {
		return key, keys, errors.New("the user's name cannot be read")
	}
	if err := access.CheckUserName(key.name); err != nil {
		return key, keys, err
	}
	fields := strings.Fields(line[len(quoted):])
	if len(fields) != 2 {
		return key, keys, errors.New("a line has a name, a mechanism and keys")
	}
	if key.mechanism = access.ParseScramMechanism(fields[0]); key.mechanism == 0 {
		return key, keys, errors.New("the mechanism is neither SCRAM-SHA-512 nor SCRAM-SHA-256")
	}
	for part := range strings.SplitSeq(fields[1], ",") {
		name, value, _ := strings.Cut(part, "=")
		into := map[string]*[]byte{"salt": &keys.Salt, "stored_key": &keys.StoredKey, "server_key": &keys.ServerKey}[name]
		switch {
		case name == "iterations":
			keys.Iterations, err = strconv.Atoi(value)
		case into != nil:
			*into, err = base64.StdEncoding.DecodeString(value)
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return key, keys, errors.New("the keys are not salt=…,stored_key=…,server_key=…,iterations=…")
		}
	}
	return key, keys, keys.Validate(key.mechanism)
}

// Either is the users of several sources. Of a user whom two of them have, the first counts, for
// all mechanisms: nobody gets in as an administrator of a file by giving the bucket a user of the
// same name.
type Either []access.Users

// ScramKeys implements access.Users.
func (e Either) ScramKeys(user string, mechanism access.ScramMechanism) (access.ScramKeys, bool) {
	for _, users := range e {
		for _, m := range access.ScramMechanisms {
			if _, has := users.ScramKeys(user, m); has {
				return users.ScramKeys(user, mechanism)
			}
		}
	}
	return access.ScramKeys{}, false
}
