package main

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The words that mutants replace have to be in the code as it is, once, and what becomes of it has
// to be Go. Whether it compiles, and whether the checks find it, is for `make mutants` to say.
func TestMutantsFitTheCode(t *testing.T) {
	if len(mutants) < 20 {
		t.Errorf("there are %d mutants", len(mutants))
	}
	names := map[string]bool{}
	for i := range mutants {
		m := &mutants[i]
		if names[m.name] || m.rule == "" || len(m.by) == 0 {
			t.Errorf("%s: a mutant needs a name of its own, a rule and a check", m.name)
		}
		names[m.name] = true
		text, err := m.mutate(filepath.Join("../..", m.file))
		if err == nil && strings.HasSuffix(m.file, ".go") {
			_, err = parser.ParseFile(token.NewFileSet(), m.file, text, parser.SkipObjectResolution)
		}
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}
