package firn_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// deleters are the functions, by package, that delete objects of a store or what uploads have left
// in it, each with the reason why it may.
//
// What a cluster's bucket holds is deleted by coordinator.Delete and coordinator.CleanUploads only,
// because they look first whether the caller judged by the newest incarnation: a node that is cut
// off with an old coordinator would otherwise delete what the others have acknowledged.
var deleters = map[string]string{
	"firn.dev/coordinator Delete":       "looks for a later incarnation first",
	"firn.dev/coordinator CleanUploads": "looks for a later incarnation first",

	"firn.dev/segments Clean":        "is the request itself",
	"firn.dev/segments Delete":       "stores that pass the request on to another",
	"firn.dev/segments Prove":        "deletes the probe that it has put, below a prefix of its own",
	"firn.dev/segments/file Open":    "removes temporary files, of which no Put or Commit has made an object",
	"firn.dev/segments/s3 Delete":    "is the request itself, in whichever way the store takes",
	"firn.dev/segments/minio Delete": "is the request itself, in whichever way the store takes",
	"firn.dev/segments/stores Clean": "a store that passes the request on to another",

	"firn.dev/cmd/firn tidy": "deletes what this probe of the store has put, below a prefix of its own",
	"firn.dev/replay unmark": "takes away the mark of success before more is appended, where the replay writes to",
	"firn.dev/replay resume": "deletes files of a replay that died, where it wrote to: no cluster is there",
}

// suites are packages for tests, whose stores hold nothing that anybody needs.
var suites = []string{"firn.dev/segments/storetest", "firn.dev/test"}

func TestDeleters(t *testing.T) {
	packages, exports := listExports(t)
	found := map[string]token.Position{}
	for _, p := range packages {
		within := func(s string) bool { return p.ImportPath == s || strings.HasPrefix(p.ImportPath, s+"/") }
		if !slices.ContainsFunc(suites, within) {
			deletesIn(t, p, exports, found)
		}
	}
	for where, at := range found {
		if deleters[where] == "" {
			t.Errorf("%s: %s deletes objects and is not among the deleters; delete what a cluster's bucket holds "+
				"with coordinator.Delete, else list the function with its reason", at, where)
		}
	}
	for where := range maps.Keys(deleters) {
		if _, deletes := found[where]; !deletes {
			t.Errorf("%s deletes nothing any more: take it out of the deleters", where)
		}
	}
}

// exported is what go list says of a package that was built.
type exported struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	Module                  *struct{ Main bool }
}

// listExports returns the packages of our modules, and where what each package exports is written,
// by import path.
func listExports(t *testing.T) (ours []exported, exports map[string]string) {
	t.Helper()
	fields := "-json=ImportPath,Dir,Export,GoFiles,Module"
	out, err := exec.Command("go", "list", "-export", "-deps", fields, "work").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	exports = map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p exported
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if p.Module != nil && p.Module.Main {
			ours = append(ours, p)
		}
	}
	return ours, exports
}

// deletesIn notes the functions of a package that name a deleting method or function, whether they
// call it or pass it on.
func deletesIn(t *testing.T, p exported, exports map[string]string, found map[string]token.Position) {
	t.Helper()
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	config := types.Config{Importer: importer.ForCompiler(files, "gc", open)}
	if _, err := config.Check(p.ImportPath, files, parsed, info); err != nil {
		t.Fatalf("%s: %v", p.ImportPath, err)
	}
	for _, file := range parsed {
		for _, d := range file.Decls {
			function := "outside of functions"
			if f, ok := d.(*ast.FuncDecl); ok {
				function = f.Name.Name
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && deletes(info.Uses[id]) {
					found[p.ImportPath+" "+function] = files.Position(id.Pos())
				}
				return true
			})
		}
	}
}

// deletes says whether something is the Delete of a segments.Store or the Clean of a
// segments.Cleaner, of whatever type, or segments.Clean.
func deletes(o types.Object) bool {
	f, ok := o.(*types.Func)
	if !ok {
		return false
	}
	s := f.Signature()
	if s.Recv() == nil {
		return f.FullName() == "firn.dev/segments.Clean"
	}
	var parameters []string
	for v := range s.Params().Variables() {
		parameters = append(parameters, v.Type().String())
	}
	switch f.Name() + " " + strings.Join(parameters, " ") {
	case "Delete context.Context []string", "Clean context.Context time.Time":
		return true
	}
	return false
}
