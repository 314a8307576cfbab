package login

import (
	"io"
	"strings"
	"testing"
)

// comments is a file of so many bytes in comment lines.
type comments struct{ left int }

func (c *comments) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, strings.Repeat("#23456789012345\n", min(c.left, len(p), 64<<10)/16))
	c.left -= n
	return n, nil
}

// A file that is too large is an error, also where the limit falls on the end of a line: users
// behind it would be missing, and nobody would know.
func TestUsersFileTooLarge(t *testing.T) {
	if _, err := parseUsers(&comments{left: maxUsersFile}); err != nil {
		t.Errorf("a file of the largest size: %v", err)
	}
	if _, err := parseUsers(&comments{left: maxUsersFile + 16}); err == nil || !strings.Contains(err.Error(), "firn user set") {
		t.Errorf("a line more: %v", err)
	}
}
