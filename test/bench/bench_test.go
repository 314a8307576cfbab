package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestEveryMeasure runs each measure as briefly as it goes, so that the program works on the day
// when somebody wants numbers.
func TestEveryMeasure(t *testing.T) {
	var out bytes.Buffer
	opts := options{dir: t.TempDir(), measures: allMeasures, seconds: 20 * time.Millisecond, rounds: 1, segments: 20,
		log: t.Output()}
	if err := run(t.Context(), opts, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| lz4, random | firn |", "| lz4, random | kfake, SyncWrites |",
		"| the disk: two writes", "with 2000 records written in 20 flushes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not hold %q:\n%s", want, &out)
		}
	}
}

func TestUnknownMeasure(t *testing.T) {
	if err := run(t.Context(), options{measures: []string{"weight"}}, nil); err == nil {
		t.Error("an unknown measure was taken")
	}
}

func TestQuantile(t *testing.T) {
	ds := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[int]time.Duration{0: 1, 50: 3, 99: 5, 100: 5} {
		if got := quantile(ds, q); got != want {
			t.Errorf("quantile(%d) = %d, want %d", q, got, want)
		}
	}
}
