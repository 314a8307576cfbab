package localstack

import (
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var out Tail
	for range 3 {
		out.Write([]byte(strings.Repeat("x", tailBytes-3)))
	}
	out.Write([]byte("the end"))
	if s := out.String(); len(s) != tailBytes || !strings.HasSuffix(s, "xthe end") {
		t.Errorf("kept %d bytes, ending in %q", len(s), s[len(s)-10:])
	}
}
