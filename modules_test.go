package firn_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestModulesStandAlone holds that go.work changes nothing: each module can be built and tested by
// itself, of the same versions of other people's modules. So `go install` and a release build what
// the tests have seen, and the root needs nothing that only deploy/ or test/ need.
func TestModulesStandAlone(t *testing.T) {
	of := []string{"list", "-deps", "-test", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", "./..."}
	ours := func(module string) bool { return strings.HasPrefix(module, "firn.dev") }
	for _, dir := range []string{".", "deploy", "test"} {
		together := slices.DeleteFunc(modules(t, dir, "", of...), ours)
		alone := slices.DeleteFunc(modules(t, dir, "off", of...), ours)
		if !slices.Equal(together, alone) {
			t.Errorf("%s: with go.work it is built of\n%q\nand without of\n%q\nrun 'go work sync', then 'go mod tidy' in it",
				dir, together, alone)
		}
	}
}

// testTools are the modules that only tests of the root module import. They are small. A test that
// needs a heavy one, such as another client, belongs into test/ or deploy/, which are modules of
// their own: whoever imports Firn gets what the root's go.mod requires.
var testTools = []string{"github.com/rogpeppe/go-internal", "pgregory.net/rapid"}

func TestModulesOfTestsAreFew(t *testing.T) {
	required := modules(t, ".", "off", "list", "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all")
	built := modules(t, ".", "off", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...")
	onlyTests := slices.DeleteFunc(required, func(m string) bool { return slices.Contains(built, m) })
	if !slices.Equal(onlyTests, testTools) {
		t.Errorf("only tests of the root module import %q; allowed are %q", onlyTests, testTools)
	}
}

// modules runs go in a folder and returns the lines that it prints, sorted, each once.
func modules(t *testing.T, dir, goWork string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "GOWORK="+goWork), t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: go %s, with GOWORK=%q: %v", dir, strings.Join(args, " "), goWork, err)
	}
	lines := strings.Fields(strings.ReplaceAll(string(out), " ", "@"))
	slices.Sort(lines)
	return slices.Compact(lines)
}
