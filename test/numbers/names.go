package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// publicNames counts the names that packages export: constants, variables, types, functions, and
// methods of exported types. Programs, what is internal, and everything that is there for tests
// only have none.
func publicNames(dir string, files []string) ([][2]string, error) {
	counts, all := map[string]int{}, 0
	for _, name := range files {
		folder := path.Dir(name)
		first, _, _ := strings.Cut(folder, "/")
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(folder, "test") || first == "test" ||
			first == "localstack" || strings.Contains(folder, "/internal/") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if f.Name.Name == "main" {
			continue
		}
		for _, d := range f.Decls {
			n := exported(d)
			counts[folder] += n
			all += n
		}
	}
	numbers := [][2]string{{"public names", fmt.Sprint(all)}}
	for _, folder := range slices.Sorted(maps.Keys(counts)) {
		numbers = append(numbers, [2]string{"public names of `" + folder + "`", fmt.Sprint(counts[folder])})
	}
	return numbers, nil
}

// exported counts the exported names of a declaration.
func exported(d ast.Decl) (n int) {
	count := func(id *ast.Ident) {
		if id.IsExported() {
			n++
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || receiver(d).IsExported() {
			count(d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				count(s.Name)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					count(id)
				}
			}
		}
	}
	return n
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) *ast.Ident {
	t := f.Recv.List[0].Type
	for {
		switch at := t.(type) {
		case *ast.StarExpr:
			t = at.X
		case *ast.IndexExpr:
			t = at.X
		case *ast.IndexListExpr:
			t = at.X
		case *ast.Ident:
			return at
		default:
			return ast.NewIdent("_")
		}
	}
}
