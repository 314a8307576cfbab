package rest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOpenAPIListsWhatIsServed: every route is in the document, and the other way round.
// test/openapi holds the document itself against a node.
func TestOpenAPIListsWhatIsServed(t *testing.T) {
	var d struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal(openAPIDocument, &d); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, operations := range d.Paths {
		for method := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range startFirn(t, 1, nil)[0].routeList() {
		served = append(served, r.method+" "+strings.TrimSuffix(r.pattern, "{$}"))
	}
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("served (-) and described (+) differ:\n%s", diff)
	}
}
