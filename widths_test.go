package firn_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Widths, in characters; a tab counts as one.
const (
	widestProse   = 120
	widestCode    = 120
	widestComment = 100
)

// TestProseIsNarrow holds pages at a width that a reader can follow, and that diffs show. Rows of
// tables cannot be broken.
func TestProseIsNarrow(t *testing.T) {
	for _, page := range filesWith(t, ".md") {
		for i, line := range lines(t, page) {
			if n := utf8.RuneCountInString(line); n > widestProse && !strings.HasPrefix(strings.TrimSpace(line), "|") {
				t.Errorf("%s:%d has %d characters; wrap it at %d", page, i+1, n, widestProse)
			}
		}
	}
}

// TestGoIsNarrow holds code and comments at theirs.
func TestGoIsNarrow(t *testing.T) {
	for _, file := range filesWith(t, ".go") {
		for i, line := range lines(t, file) {
			if n := tooWide(line); n > 0 {
				t.Errorf("%s:%d has %d characters; wrap code at %d, comments at %d", file, i+1, n, widestCode, widestComment)
			}
		}
	}
}

// tooWide returns the width of a line of Go that is too wide, and otherwise 0.
func tooWide(line string) int {
	limit := widestCode
	if strings.HasPrefix(strings.TrimSpace(line), "//") && !strings.HasPrefix(line, "//go:") {
		limit = widestComment
	}
	if n := utf8.RuneCountInString(line); n > limit {
		return n
	}
	return 0
}

// filesWith returns the files of the repository with an extension, without what others made.
func filesWith(t *testing.T, extension string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(foreign, d.Name()):
			return fs.SkipDir
		case d.Type().IsRegular() && path.Ext(name) == extension:
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 10 {
		t.Fatalf("there are %d files with %s: the test looks at the wrong place", len(names), extension)
	}
	return names
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
