package main

import (
	"errors"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
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
	names := map[string]bool{}
	for i := range mutants {
		m := &mutants[i]
		if names[m.name] || m.rule == "" || len(m.by) == 0 {
			t.Errorf("%s: a mutant needs a name of its own, a rule and a check", m.name)
		}
		names[m.name] = true
		if _, err := m.mutate(filepath.Join("../..", m.file)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	texts, err := weave("../..", mutants)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", exported(t))
	seen := map[string]bool{}
	for name := range texts {
		if dir := path.Dir(name); !seen[dir] {
			seen[dir] = true
			if err := typeCheck(dir, texts, files, imports); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
		}
	}
}

// typeCheck checks a package with texts in the place of its files, or beside them.
func typeCheck(dir string, texts map[string]string, files *token.FileSet, imports types.Importer) error {
	all, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil {
		return err
	}
	var parsed []*ast.File
	add := func(name string, source any) error {
		f, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
		parsed = append(parsed, f)
		return err
	}
	for _, name := range all {
		if texts[path.Join(dir, filepath.Base(name))] == "" && !strings.HasSuffix(name, "_test.go") {
			err = errors.Join(err, add(name, nil))
		}
	}
	for name, text := range texts {
		if path.Dir(name) == dir {
			err = errors.Join(err, add(name, text))
		}
	}
	if err != nil {
		return err
	}
	var found []error
	conf := types.Config{Importer: imports, Error: func(err error) { found = append(found, err) }}
	_, _ = conf.Check(dir, files, parsed, nil)
	return errors.Join(found...)
}

// Functions of every shape can be gone on with in a mutant's copy.
func TestWeave(t *testing.T) {
	const text = `package p

type t[T any] struct{}

func (t[T]) unnamed(int, ...string) bool { return true }

func (x *t[T]) plain(_ int, a, _ string) { println("twice", "once") }
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	texts, err := weave(dir, []mutant{
		{name: "a", file: "p.go", old: "return true", new: "return false"},
		{name: "b-c", file: "p.go", old: `"twice"`, new: `"never"`},
		{name: "d", file: "p.go", old: `"once"`, new: `"always"`},
	})
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, "", texts["p.go"], 0)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, d := range f.Decls[1:] {
		if err := format.Node(&got, files, d); err != nil {
			t.Fatal(err)
		}
		got.WriteString("\n")
	}
	const want = `func (argument1 t[T]) unnamed(argument2 int, argument3 ...string) bool {
	if mutantInForce == "a" {
		return argument1.unnamed_a(argument2, argument3...)
	}
	return true
}
func (x *t[T]) plain(argument1 int, a, argument2 string) {
	if mutantInForce == "b-c" {
		x.plain_b_c(argument1, a, argument2)
		return
	}

	if mutantInForce == "d" {
		x.plain_d(argument1, a, argument2)
		return
	}
	println("twice", "once")
}
func (t[T]) unnamed_a(int, ...string) bool           { return false }
func (x *t[T]) plain_b_c(_ int, a, _ string)         { println("never", "once") }
func (x *t[T]) plain_d(_ int, a, _ string)           { println("twice", "always") }
`
	if squeeze(got.String()) != squeeze(want) {
		t.Errorf("woven is\n%s\nwant\n%s", got.String(), want)
	}
}

// squeeze takes out what only looks different.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

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
