package groups

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Groups know nothing of who hosts them: no shard, lease, lock, timer or node. So their files
// (group….go) are a program without the others, and the compiler says so.
func TestGroupsCompileWithoutTheirHost(t *testing.T) {
	files, err := filepath.Glob("group*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	if len(files) < 10 {
		t.Fatalf("found %d files of groups: the test looks at the wrong place", len(files))
	}
	if out, err := exec.Command("go", append([]string{"build", "-o", os.DevNull},
		files...)...).CombinedOutput(); err != nil {
		t.Errorf("a group uses something of its host: %v\n%s", err, out)
	}
}
