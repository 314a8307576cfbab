package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/test/process"
)

// TestDemo is the demo on a part of Go's source: 40,000 lines or so, through the real kcat and
// kafkajs.
func TestDemo(t *testing.T) {
	firn, err := process.Build(t.Context(), t.TempDir(), "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	source, err := goSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := demo{source: filepath.Join(source, "net"), reader: "../kafkajs", say: t.Logf}
	if err := d.run(t.Context(), process.Firn(firn), filepath.Join(t.TempDir(), "bucket")); err != nil {
		t.Fatal(err)
	}
}

// TestCompareFindsWhatIsWrong: a proof is worth what it would have found.
func TestCompareFindsWhatIsWrong(t *testing.T) {
	type line struct{ key, text string }
	sum := func(lines ...line) digests {
		h := hashes{}
		for _, l := range lines {
			h.add(l.key, []byte(l.text))
		}
		return h.sum()
	}
	want := sum(line{"a", "1"}, line{"a", "2"}, line{"b", ""})
	for name, c := range map[string]struct {
		got   digests
		wrong bool
	}{
		"the same":          {sum(line{"b", ""}, line{"a", "1"}, line{"a", "2"}), false},
		"swapped":           {sum(line{"a", "2"}, line{"a", "1"}, line{"b", ""}), true},
		"lost":              {sum(line{"a", "1"}, line{"b", ""}), true},
		"twice":             {sum(line{"a", "1"}, line{"a", "2"}, line{"a", "2"}, line{"b", ""}), true},
		"joined":            {sum(line{"a", "1\n2"}, line{"b", ""}), true},
		"an empty one lost": {sum(line{"a", "1"}, line{"a", "2"}), true},
		"another key":       {sum(line{"a", "1"}, line{"a", "2"}, line{"b", ""}, line{"c", ""}), true},
	} {
		t.Run(name, func(t *testing.T) {
			err := want.compare(c.got)
			if (err != nil) != c.wrong {
				t.Errorf("compare says %v", err)
			}
		})
	}
}

// TestCopyFileKeepsEveryByte checks the source side of the comparison against files with what tends
// to get lost.
func TestCopyFileKeepsEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd.go")
	if err := os.WriteFile(path, []byte("a\tb\r\n\n\xff\x00\nlast"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	w := newLineWriter(&out, t.Logf)
	if err := w.copyFile("k", path); err != nil {
		t.Fatal(err)
	}
	if err := w.out.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "k\ta\tb\r\nk\t\nk\t\xff\x00\nk\tlast\n"; out.String() != want || w.records != 4 {
		t.Errorf("piped %q, %d records", out.String(), w.records)
	}
}
