package main

import (
	"strings"
	"testing"

	"firn.dev/segments/stores"
)

// TestPutBudget is a budget where requests are billed, unless somebody says otherwise.
func TestPutBudget(t *testing.T) {
	for _, test := range []struct {
		text, store string
		want        float64
	}{
		{"auto", "s3://bucket", 8},
		{"auto", "minio://host/bucket", 0},
		{"auto", "/dir", 0},
		{"none", "s3://bucket", 0},
		{"2.5", "s3://bucket", 2.5},
		{"2.5", "/dir", 2.5},
		{"2.5/cluster", "/dir", 2.5},
	} {
		at, err := stores.Parse(test.store)
		if err != nil {
			t.Fatal(err)
		}
		var r putRate
		if err := r.Set(test.text); err != nil || r.String() != test.text || r.at(at) != test.want ||
			r.shared != strings.Contains(test.text, "cluster") {
			t.Errorf("--put-budget %s on %s is %v (%v, %v), not %v", test.text, test.store, r.at(at), &r, err, test.want)
		}
	}
	for _, text := range []string{"", "many", "NaN", "Inf", "/cluster", "8/node", "auto/cluster"} {
		if err := new(putRate).Set(text); err == nil {
			t.Errorf("--put-budget %q is taken", text)
		}
	}
}
