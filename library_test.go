package firn_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mostModules is how many modules a program gets with ingest and replay, Firn included. It may only
// shrink.
const mostModules = 21

// TestOtherModule builds and runs a program in a module of its own, which has this one by go get
// and a replace directive, at the versions of its dependencies that this one has.
func TestOtherModule(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{"testdata/outsider/main.go": "main.go", "go.sum": "go.sum"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inside := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	program := filepath.Join(dir, "outsider")
	inside("go", "mod", "init", "example.com/outsider")
	inside("go", "mod", "edit", "-require=firn.dev@v0.0.0", "-replace=firn.dev="+root)
	inside("go", "build", "-mod=mod", "-o", program)
	if out := inside(program, filepath.Join(dir, "bucket")); out != "0: a book\n" {
		t.Errorf("the program says %q", out)
	}
	n := strings.Count(inside("go", "version", "-m", program), "\n\tdep\t")
	t.Logf("it is built from %d other modules", n)
	if n > mostModules {
		t.Errorf("a program that writes and replays is built from %d other modules, and %d were enough", n, mostModules)
	}
}
