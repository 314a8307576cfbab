package firn_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// layers are the top-level folders that hold Go code: code imports its own folder and folders of
// the layers before it.
//
// The reason: the bucket's formats and the promises about them (segments, coordinator) must be
// testable and readable without knowing of any network protocol; the write path, the read path and
// groups must be replaceable without touching each other; a front door must be addable without
// touching what lies behind it. A single import in the wrong direction takes that away and is hard
// to take back.
var layers = [][]string{
	{"retry", "access"},
	{"segments", "budget", "health", "tracing"},
	{"coordinator"},
	{"index", "groups", "ingest", "cleanup", "topics", "transactions"},
	{"kafka", "rest", "replay"},
	{"cmd", "deploy", "localstack"},
	{"test"},
}

// adapters speak to servers. Only programs choose one, so only programs (and tests) import them:
// everything else works on the contract, and does not pull a client library in.
var adapters = []string{"firn.dev/coordinator/redis", "firn.dev/segments/s3", "firn.dev/segments/minio", adapterTable}

// adapterTable is the one package that knows all stores, so that programs need not.
const adapterTable = "firn.dev/segments/stores"

// programs may import adapters.
var programs = []string{"cmd", "deploy", "localstack", "test"}

// drawers are names of packages that have no purpose of their own, and so collect everybody's.
var drawers = []string{"util", "utils", "common", "types", "pkg", "helpers", "misc"}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		folder, layer := layerOf(p.ImportPath)
		if folder == "" {
			continue // the root: this test
		}
		if layer < 0 {
			t.Errorf("%s: folder %q is not in the layout of ARCHITECTURE.md; put a new folder into the layers above",
				p.ImportPath, folder)
			continue
		}
		for _, imported := range p.Imports {
			other, otherLayer := layerOf(imported)
			switch {
			case otherLayer < 0 || other == folder:
			case otherLayer > layer:
				t.Errorf("%s imports %s, which is a layer above it", p.ImportPath, imported)
			case otherLayer == layer:
				t.Errorf("%s imports %s: folders of one layer do not know each other", p.ImportPath, imported)
			}
		}
	}
}

func TestImportsOfAdapters(t *testing.T) {
	for _, p := range listPackages(t) {
		folder, _ := layerOf(p.ImportPath)
		for _, imported := range p.Imports {
			if slices.Contains(adapters, imported) && !slices.Contains(programs, folder) && p.ImportPath != adapterTable {
				t.Errorf("%s imports the adapter %s; only programs and tests choose one", p.ImportPath, imported)
			}
		}
	}
}

// TestImportsOfTemplates keeps templates out of the program, also those that cobra has. With one
// the linker cannot tell which methods are called, keeps every method of every type, and the binary
// is half as large again.
func TestImportsOfTemplates(t *testing.T) {
	for _, p := range listPackages(t) {
		if folder, _ := layerOf(p.ImportPath); slices.Contains(programs, folder) && folder != "cmd" {
			continue
		}
		for _, imported := range p.Imports {
			if imported == "text/template" || imported == "html/template" {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
	for _, file := range filesWith(t, ".go") {
		for i, line := range lines(t, file) {
			if strings.HasPrefix(file, "cmd/") && cobraTemplate.MatchString(line) {
				t.Errorf("%s:%d has a template of cobra's", file, i+1)
			}
		}
	}
}

// cobraTemplate finds the methods of cobra that use templates.
var cobraTemplate = regexp.MustCompile(`\.Set(Help|Usage|Version)Template\(`)

// flagInText finds a flag in a string of a line. "--x-s3", the end of a bucket's name, is none.
var flagInText = regexp.MustCompile("[\"' (]--[a-z]{2}")

// TestPackagesNameNoFlags holds that errors of packages speak of options: a program that imports a
// package has other flags than firn. Commands add theirs, as cmd/firn does in
// rest.Options.Settings.
func TestPackagesNameNoFlags(t *testing.T) {
	for _, file := range filesWith(t, ".go") {
		folder, _, _ := strings.Cut(file, "/")
		if slices.Contains(programs, folder) || strings.HasSuffix(file, "_test.go") ||
			strings.HasPrefix(file, "coordinator/redis/redistest/") { // which starts Redis
			continue
		}
		for i, line := range lines(t, file) {
			if code, _, _ := strings.Cut(line, "//"); flagInText.MatchString(code) {
				t.Errorf("%s:%d names a flag of a command: %s", file, i+1, strings.TrimSpace(line))
			}
		}
	}
}

// groupProtocol is the package of the rules of groups. That it cannot import its host, the compiler
// holds: the host imports it.
const groupProtocol = "firn.dev/groups/internal/protocol"

// groupProtocolImports is everything that it may import: nothing that waits, locks, or asks
// anybody.
var groupProtocolImports = []string{"bytes", "cmp", "encoding/binary", "encoding/json", "errors", "fmt", "maps",
	"regexp", "slices", "strconv", "strings", "time", "firn.dev/coordinator", "firn.dev/segments",
	"github.com/twmb/franz-go/pkg/kerr"}

// hosting finds what only a host of groups may use: clocks, goroutines, channels, and of the
// coordinator more than the values that a group is asked about.
var hosting = regexp.MustCompile(`\btime\.(Now|Since|Until|After|AfterFunc|Sleep|Tick|NewTimer|NewTicker)\b|` +
	`^\s*go |\bchan\b|\bcoordinator\.\w+`)

// groupProtocolValues are those values.
var groupProtocolValues = []string{"coordinator.GroupOffset", "coordinator.Topic"}

func TestImportsOfTheGroupProtocol(t *testing.T) {
	found := false
	for _, p := range listPackages(t) {
		if p.ImportPath != groupProtocol {
			if slices.Contains(p.Imports, groupProtocol) && p.ImportPath != "firn.dev/groups" {
				t.Errorf("%s imports %s: groups has the names for it", p.ImportPath, groupProtocol)
			}
			continue
		}
		found = true
		for _, imported := range p.Imports {
			if !slices.Contains(groupProtocolImports, imported) {
				t.Errorf("%s imports %s", groupProtocol, imported)
			}
		}
	}
	for _, file := range filesWith(t, ".go") {
		if !strings.HasPrefix(file, "groups/internal/protocol/") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for i, line := range lines(t, file) {
			code, _, _ := strings.Cut(line, "//")
			for _, used := range hosting.FindAllString(code, -1) {
				if !slices.Contains(groupProtocolValues, used) {
					t.Errorf("%s:%d uses what only the host of a group may: %s", file, i+1, used)
				}
			}
		}
	}
	if !found {
		t.Errorf("there is no package %s: the test looks at the wrong place", groupProtocol)
	}
}

func TestPackagesAreNamedAfterTheirPurpose(t *testing.T) {
	for _, p := range listPackages(t) {
		if slices.Contains(drawers, path.Base(p.ImportPath)) {
			t.Errorf("%s: a package is named after its purpose", p.ImportPath)
		}
	}
}

// layerOf is the folder of an import path and its layer: "" for the root of the module and for
// other modules, -1 for an unknown folder.
func layerOf(importPath string) (folder string, layer int) {
	rest, ours := strings.CutPrefix(importPath, "firn.dev/")
	if !ours {
		return "", -1
	}
	folder, _, _ = strings.Cut(rest, "/")
	return folder, slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, folder) })
}

// listed is what go list says of a package. Imports are those of its own code, without tests: tests
// may look anywhere.
type listed struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "work").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list knows of %d packages: the test looks at the wrong place", len(packages))
	}
	return packages
}
