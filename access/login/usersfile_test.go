package login

import (
	"strings"
	"testing"
)

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
