package rest_test

import (
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
	f := startFirn(t, 1, nil)[0]
	f.call(t, "GET", "/openapi.json", nil, &d)
	var described, served []string
	for path, operations := range d.Paths {
		for method := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range f.Routes() {
		served = append(served, r.Method+" "+strings.TrimSuffix(r.Pattern, "{$}"))
	}
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("served (-) and described (+) differ:\n%s", diff)
	}
}
