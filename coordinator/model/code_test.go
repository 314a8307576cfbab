package model

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firn.dev/coordinator"
)

// The model is worth what it has in common with the code. These tests fail when the code gains a
// call of the coordinator, a script, or a put, deletion or listing of the bucket of which the model
// says nothing, and when the model names one that is gone.

func TestModelHasEveryCallOfTheCoordinator(t *testing.T) {
	contract := reflect.TypeFor[coordinator.Coordinator]()
	for m := range contract.Methods() {
		if methods[m.Name] == "" {
			t.Errorf("coordinator.Coordinator has a method %s: model it, and name its step in Methods; "+
				"or say there why it needs none", m.Name)
		}
	}
	for name := range methods {
		if _, there := contract.MethodByName(name); !there {
			t.Errorf("Methods names %s, which coordinator.Coordinator does not have any more", name)
		}
	}
}

func TestModelHasEveryPut(t *testing.T) {
	found := map[string]bool{}
	for _, dir := range []string{"coordinator", "ingest", "cleanup", "groups"} {
		for _, site := range sites(t, filepath.Join("../..", dir)) {
			found[dir+" "+site] = true
		}
	}
	compare(t, found, func(name string) bool { return !strings.HasPrefix(name, "redis ") })
}

func TestModelHasEveryScript(t *testing.T) {
	scripts, err := fs.Glob(os.DirFS("../redis/lua"), "*.lua")
	if err != nil || len(scripts) < 5 {
		t.Fatalf("found %d scripts: %v", len(scripts), err)
	}
	found := map[string]bool{"redis watch": true} // Follow reads the stream without a script
	for _, s := range scripts {
		if name := strings.TrimSuffix(s, ".lua"); name != "prelude" {
			found["redis "+name] = true
		}
	}
	compare(t, found, func(name string) bool { return strings.HasPrefix(name, "redis ") })
}

// compare compares what the code has with what the model says of it.
func compare(t *testing.T, found map[string]bool, concerns func(string) bool) {
	t.Helper()
	said := map[string]bool{}
	for _, all := range code {
		for _, site := range all {
			said[site] = true
		}
	}
	for site := range beyond {
		if said[site] {
			t.Errorf("%q is both a step and beyond the model", site)
		}
		said[site] = true
	}
	for site := range found {
		if !said[site] {
			t.Errorf("the code has gained %q: make it a step of the model and name it in Code, "+
				"or say in Beyond why the model does without", site)
		}
	}
	for site := range said {
		if concerns(site) && !found[site] {
			t.Errorf("the model names %q, which the code does not have any more", site)
		}
	}
}

// sites are the calls of a store in a folder's code: function and method.
func sites(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	var all []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if method := ofStore(call); method != "" {
						all = append(all, function(f)+" "+method)
					}
				}
				return true
			})
		}
	}
	return all
}

// ofStore is the method of a store that is called: by its name, and by what it is called on, which
// everywhere in the project is named after what it is. create and Delete are functions of
// package coordinator that put and delete.
func ofStore(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		if f.Name == "create" && len(call.Args) == 4 || f.Name == "Delete" {
			return f.Name
		}
	case *ast.SelectorExpr:
		if !slices.Contains([]string{"Put", "Create", "Delete", "List"}, f.Sel.Name) {
			return ""
		}
		on := ""
		switch x := f.X.(type) {
		case *ast.Ident:
			if on = x.Name; on == "coordinator" && f.Sel.Name == "Delete" {
				return f.Sel.Name
			}
		case *ast.SelectorExpr:
			on = x.Sel.Name
		}
		if stores.MatchString(on) {
			return f.Sel.Name
		}
	}
	return ""
}

// stores are the names of variables and fields that hold a store.
var stores = regexp.MustCompile(`(?i)store|objects|bucket`)

// function is a function's name, with its receiver's type.
func function(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	return typ.(*ast.Ident).Name + "." + f.Name.Name
}

var simulatedCalls = regexp.MustCompile(`\.(?:call|pausing)\("([^"]*)"`)

func TestSimulationNamesItsCallsAsTheModelDoes(t *testing.T) {
	files, err := filepath.Glob("../sim*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no simulation: %v", err)
	}
	found := map[string]bool{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range simulatedCalls.FindAllStringSubmatch(string(b), -1) {
			found[m[1]] = true
		}
	}
	for name := range found {
		_, step := simulated[name]
		if _, beyond := beyondSimulation[name]; step == beyond {
			t.Errorf("the simulation calls something %q: name its step in Simulated, "+
				"or say in BeyondSimulation why there is none", name)
		}
	}
	for name := range simulated {
		if !found[name] {
			t.Errorf("Simulated names %q, which the simulation does not have any more", name)
		}
	}
}

func TestEveryStepHasAName(t *testing.T) {
	seen := map[string]bool{}
	for s := range steps {
		if names[s] == "" || seen[names[s]] {
			t.Errorf("step %d has no name of its own: %q", s, names[s])
		}
		seen[names[s]] = true
	}
}
