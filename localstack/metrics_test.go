package localstack

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("metrics.update", false, "write the table of docs/operating/metrics.md")

// TestPageListsMetrics: the page about metrics has each that the rooms register, in the words with
// which Prometheus describes it.
func TestPageListsMetrics(t *testing.T) {
	const page, mark = "../docs/operating/metrics.md", "\n| metric | labels | |\n|---|---|---|\n"
	r := wired(t)
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.help)) {
		if strings.HasPrefix(name, "firn_") {
			fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, strings.Join(r.labels[name], ", "), r.help[name])
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), mark)
	if !found {
		t.Fatalf("%s has no table", page)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+mark+table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(table.String(), after); diff != "" {
		t.Errorf("%s is not what there is; go test ./localstack -run PageListsMetrics -metrics.update writes it\n%s",
			page, diff)
	}
}
