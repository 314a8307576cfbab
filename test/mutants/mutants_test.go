package main

import (
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The words that mutants replace have to be in the code as it is, once, and what becomes of it has
// to compile. Whether the checks find it is for `make mutants` to say.
func TestMutantsFitTheCode(t *testing.T) {
	if len(mutants) < 20 {
		t.Errorf("there are %d mutants", len(mutants))
	}
	names, files := map[string]bool{}, token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", exported(t))
	for i := range mutants {
		m := &mutants[i]
		if names[m.name] || m.rule == "" || len(m.by) == 0 {
			t.Errorf("%s: a mutant needs a name of its own, a rule and a check", m.name)
		}
		names[m.name] = true
		text, err := m.mutate(filepath.Join("../..", m.file))
		if err == nil && strings.HasSuffix(m.file, ".go") {
			err = m.typeCheck(text, files, imports)
		}
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// typeCheck checks the mutant's package with its text in the place of its file.
func (m *mutant) typeCheck(text string, files *token.FileSet, imports types.Importer) error {
	all, err := filepath.Glob(filepath.Join("../..", filepath.Dir(m.file), "*.go"))
	if err != nil {
		return err
	}
	var parsed []*ast.File
	for _, name := range all {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		var source any
		if filepath.Base(name) == filepath.Base(m.file) {
			source = text
		}
		f, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		parsed = append(parsed, f)
	}
	var found []error
	conf := types.Config{Importer: imports, Error: func(err error) { found = append(found, err) }}
	_, _ = conf.Check(filepath.Dir(m.file), files, parsed, nil)
	return errors.Join(found...)
}

// exported finds what the compiler has exported of each package that the mutants' packages import.
func exported(t *testing.T) func(path string) (io.ReadCloser, error) {
	t.Helper()
	dirs := map[string]bool{}
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}
	for i := range mutants {
		if dir := "./" + filepath.Dir(mutants[i].file); !dirs[dir] && strings.HasSuffix(mutants[i].file, ".go") {
			dirs[dir] = true
			args = append(args, dir)
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}
