package firn_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
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

// widths is the file with what is left of earlier, wider times: the number of Go lines of each
// folder that are too wide. A folder that is not in it has none. The numbers may only shrink.
const widths = "testdata/widths"

// shown is how many lines of a folder a failure lists at most.
const shown = 20

var shrink = flag.Bool("widths.shrink", false, "write the numbers that have shrunk into "+widths)

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

// TestGoIsNarrow holds that no folder gets more lines that are too wide than it had.
func TestGoIsNarrow(t *testing.T) {
	wide := map[string][]string{}
	for _, file := range filesWith(t, ".go") {
		for i, line := range lines(t, file) {
			if n := tooWide(line); n > 0 {
				folder := path.Dir(file)
				wide[folder] = append(wide[folder], fmt.Sprintf("%s:%d has %d characters", file, i+1, n))
			}
		}
	}
	allowed := readWidths(t)
	for folder, found := range wide {
		if len(found) > allowed[folder] {
			t.Errorf("%s: %d lines are too wide, and %d were: wrap code at %d, comments at %d\n%s", folder, len(found),
				allowed[folder], widestCode, widestComment, strings.Join(found[:min(len(found), shown)], "\n"))
		}
	}
	if *shrink && !t.Failed() {
		writeWidths(t, wide)
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

func readWidths(t *testing.T) map[string]int {
	t.Helper()
	allowed := map[string]int{}
	for _, line := range lines(t, widths) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var n int
		var folder string
		if _, err := fmt.Sscan(line, &n, &folder); err != nil {
			t.Fatalf("%s: %q: %v", widths, line, err)
		}
		allowed[folder] = n
	}
	return allowed
}

func writeWidths(t *testing.T, wide map[string][]string) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# Go lines that are too wide, for each folder. The numbers may only shrink: make check lowers them.\n")
	for _, folder := range slices.Sorted(maps.Keys(wide)) {
		fmt.Fprintf(&b, "%d %s\n", len(wide[folder]), folder)
	}
	if err := os.WriteFile(widths, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
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
