package s3api

import (
	"strings"
	"testing"
)

// TestParseURLKeepsSecrets never repeats what it cannot read.
func TestParseURLKeepsSecrets(t *testing.T) {
	for _, raw := range []string{"minio://key:hush%zz@host/bucket", "minio://key:hu sh@host/",
		"minio://key:hush/1@host/bucket", "minio://key:hush\x7f@host", "minio://[hush"} {
		if u, err := ParseURL(raw); err == nil || strings.Contains(err.Error(), "hu") {
			t.Errorf("%v, %v", u, err)
		}
	}
}

func TestPrefix(t *testing.T) {
	for path, want := range map[string]string{"": "", "/": "", "/a": "a/", "/a/b/": "a/b/"} {
		if got, err := Prefix(path); err != nil || got != want {
			t.Errorf("Prefix(%q) = %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"/a//b", "/a b", "/..", "/" + strings.Repeat("x/", 300)} {
		if got, err := Prefix(path); err == nil {
			t.Errorf("Prefix(%q) = %q", path, got)
		}
	}
}
