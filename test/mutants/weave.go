package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// variable names the mutant that is in force, in the environment of a test.
const variable = "FIRN_MUTANT"

// weave returns the text of every file that has to stand in for one of the repository, or beside
// those, so that all mutants of Go code are in one program: each is a copy of a function, with its
// words replaced, that the function goes on with when that mutant is in force. So the tests of a
// package are built once for all of them.
func weave(root string, all []mutant) (map[string]string, error) {
	texts, byFile := map[string]string{}, map[string][]*mutant{}
	for i := range all {
		if m := &all[i]; strings.HasSuffix(m.file, ".go") {
			byFile[m.file] = append(byFile[m.file], m)
		}
	}
	for file, some := range byFile {
		text, name, err := weaveFile(filepath.Join(root, file), some)
		if err != nil {
			return nil, err
		}
		texts[file] = text
		texts[path.Join(path.Dir(file), "mutant_in_force.go")] = fmt.Sprintf(
			"package %s\n\nimport \"os\"\n\nvar mutantInForce = os.Getenv(%q)\n", name, variable)
	}
	return texts, nil
}

// edit replaces a part of a text.
type edit struct {
	from, to int
	by       string
}

// woven is a file that mutants are being woven into.
type woven struct {
	text  string
	file  *ast.File
	base  int // of positions
	edits []edit
	tail  strings.Builder // the copies
}

func weaveFile(name string, some []*mutant) (text, pkg string, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", "", err
	}
	files := token.NewFileSet()
	w := &woven{text: string(b)}
	if w.file, err = parser.ParseFile(files, name, b, parser.SkipObjectResolution); err != nil {
		return "", "", err
	}
	w.base = files.File(w.file.FileStart).Base()
	named := map[*ast.FuncDecl]string{}
	for _, m := range some {
		if err := w.add(m, named); err != nil {
			return "", "", fmt.Errorf("%s: %w", m.name, err)
		}
	}
	slices.SortStableFunc(w.edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	at := 0
	for _, e := range w.edits {
		out.WriteString(w.text[at:e.from] + e.by)
		at = e.to
	}
	return out.String() + w.text[at:] + w.tail.String(), w.file.Name.Name, nil
}

func (w *woven) offset(p token.Pos) int { return int(p) - w.base }

// add adds a mutant. named has the calls of functions that were given names for all arguments.
func (w *woven) add(m *mutant, named map[*ast.FuncDecl]string) error {
	from, err := m.find(w.text)
	if err != nil {
		return err
	}
	var f *ast.FuncDecl
	for _, d := range w.file.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && w.offset(d.Pos()) <= from && from+len(m.old) <= w.offset(d.End()) {
			f = d
		}
	}
	if f == nil {
		return fmt.Errorf("its words are in no function of %s", m.file)
	}
	copied, err := m.copyOf(w.text[w.offset(f.Pos()):w.offset(f.End())])
	if err != nil {
		return err
	}
	w.tail.WriteString("\n" + copied + "\n")
	if named[f] == "" {
		named[f] = w.nameArguments(f)
	}
	call := strings.Replace(named[f], f.Name.Name+"(", m.function(f.Name.Name)+"(", 1)
	if f.Type.Results != nil {
		call = "return " + call
	} else {
		call += "\n\t\treturn"
	}
	at := w.offset(f.Body.Lbrace) + 1
	w.edits = append(w.edits, edit{at, at, fmt.Sprintf("\n\tif mutantInForce == %q {\n\t\t%s\n\t}\n", m.name, call)})
	return nil
}

// function is the name of the mutant's copy of a function.
func (m *mutant) function(of string) string { return of + "_" + strings.ReplaceAll(m.name, "-", "_") }

// copyOf is the mutant's copy of a function.
func (m *mutant) copyOf(function string) (string, error) {
	const head = "package p\n"
	text := strings.Replace(function, m.old, m.new, 1)
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", head+text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	name := parsed.Decls[0].(*ast.FuncDecl).Name
	at := files.Position(name.Pos()).Offset - len(head)
	return text[:at] + m.function(name.Name) + text[at+len(name.Name):], nil
}

// nameArguments gives a name to the receiver and the arguments that have none, and returns the call
// with which the function would call itself.
func (w *woven) nameArguments(f *ast.FuncDecl) string {
	n := 0
	name := func(fields *ast.FieldList) (names []string) {
		if fields == nil {
			return nil
		}
		for _, field := range fields.List {
			last := len(names)
			for _, id := range field.Names {
				if id.Name != "_" {
					names = append(names, id.Name)
					continue
				}
				n++
				names = append(names, fmt.Sprint("argument", n))
				w.edits = append(w.edits, edit{w.offset(id.Pos()), w.offset(id.End()), names[len(names)-1]})
			}
			if len(field.Names) == 0 {
				n++
				names = append(names, fmt.Sprint("argument", n))
				at := w.offset(field.Type.Pos())
				w.edits = append(w.edits, edit{at, at, names[last] + " "})
			}
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				names[len(names)-1] += "..."
			}
		}
		return names
	}
	on := ""
	for _, receiver := range name(f.Recv) {
		on = receiver + "."
	}
	return on + f.Name.Name + "(" + strings.Join(name(f.Type.Params), ", ") + ")"
}
