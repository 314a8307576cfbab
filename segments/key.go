package segments

import (
	"fmt"
	"strings"
)

// MaxKeyLen is the length of the longest key, in bytes.
const MaxKeyLen = 512

// CheckKey returns ErrKey, with the reason, for a key that no Store takes.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKeyLen {
		return fmt.Errorf("%w: %d bytes long", ErrKey, len(key))
	}
	for element := range strings.SplitSeq(key, "/") {
		if !IsKeyElement(element) {
			return fmt.Errorf("%w: %q", ErrKey, key)
		}
	}
	return nil
}

// IsKeyElement says whether s may stand between two slashes of a key.
func IsKeyElement(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}

// CheckPrefix says whether any key can begin with prefix: what stands before its last slash must be
// whole elements of one. Stores that are asked to list anything else have nothing, and some servers
// would refuse to look.
func CheckPrefix(prefix string) bool {
	elements := strings.Split(prefix, "/")
	for _, element := range elements[:len(elements)-1] {
		if !IsKeyElement(element) {
			return false
		}
	}
	return true
}

// Slice turns the offset and length of a Get into those of an object that is size bytes long: a
// start within it, and a count from there that it has. It returns ErrRange if it has not.
func Slice(size, offset, length int64) (start, count int64, err error) {
	switch {
	case offset < 0 && length >= 0:
		return 0, 0, fmt.Errorf("%w: offset %d counts from the end, but length is %d", ErrRange, offset, length)
	case offset < 0:
		start = max(0, size+offset)
		return start, size - start, nil
	case offset > size || length > size-offset:
		return 0, 0, fmt.Errorf("%w: %d bytes at %d of %d", ErrRange, length, offset, size)
	case length < 0:
		return offset, size - offset, nil
	default:
		return offset, length, nil
	}
}
