package cloud

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"testing"
	"time"
)

var (
	long = flag.Bool("cloud.long", false, "run all settings, and print a table")
	only = flag.String("cloud.only", "", "of all settings, those whose store, load, nodes, producers and budget match")
	even = flag.Bool("cloud.even", false, "records come at even intervals, not at random ones")
	data = flag.String("cloud.json", "", "write the results to a file")
	plot = flag.String("cloud.svg", "", "draw latency against dollars into a file")
)

// TestBench runs the settings of the bench.
func TestBench(t *testing.T) {
	if !*long {
		t.Run("short", short)
		return
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	var results []Result
	for _, s := range Settings() {
		if s = s.withDefaults(); !chosen.MatchString(s.String()) {
			continue
		}
		s.Even = *even
		begun := time.Now()
		r := Run(t, s)
		t.Logf("%s: p50 %.0f ms, p99 %.0f ms, %.2f puts/s, in %v", s.String(), r.P50, r.P99, r.PutsSecond, time.Since(begun))
		results = append(results, r)
	}
	var table bytes.Buffer
	if err := WriteTable(&table, results); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", table.String())
	write(t, *data, func(f *os.File) error {
		e := json.NewEncoder(f)
		e.SetIndent("", "  ")
		return e.Encode(results)
	})
	write(t, *plot, func(f *os.File) error { return WritePlot(f, results) })
}

func write(t *testing.T, name string, content func(*os.File) error) {
	if name == "" {
		return
	}
	f, err := os.Create(name)
	if err != nil {
		t.Error(err)
		return
	}
	if err := content(f); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// short is the bench in seconds: what holds whatever is drawn.
func short(t *testing.T) {
	for _, s := range []Setting{
		{Name: "lone", Records: 1, Budget: defaultBudget},
		{Name: "busy", Records: 100, Budget: defaultBudget, For: 20 * time.Second},
		{Name: "busy, no budget", Records: 100, For: 20 * time.Second},
		{Name: "bad day", Profile: &BadDay, Records: 20, Budget: defaultBudget, For: 20 * time.Second},
		{Name: "three nodes", Profile: &Express, Nodes: 3, Producers: 4, Records: 20, Budget: defaultBudget,
			For: 20 * time.Second},
	} {
		r := Run(t, s)
		if r.Failed > 0 || r.Records < int(s.Records*r.Seconds/2) {
			t.Errorf("%s: of about %.0f records %d were written, %d failed", s.Name, s.Records*r.Seconds, r.Records, r.Failed)
		}
		// Puts that are tried again, or beside a slow one, are over the budget for a moment.
		if most := 1.25 * s.Budget * float64(r.Nodes); s.Budget > 0 && r.PutsSecond > most {
			t.Errorf("%s: %.2f puts a second, with a budget of %.2f", s.Name, r.PutsSecond, most)
		}
		if r.P50 <= 0 || r.P99 < r.P50 || r.P999 < r.P99 || r.DollarsMonth <= 0 {
			t.Errorf("%s: %+v", s.Name, r)
		}
	}
}

// TestPlotAndTable draws and writes what has no records as well.
func TestPlotAndTable(t *testing.T) {
	results := []Result{
		{Setting: "idle", Profile: "standard", Nodes: 3, Producers: 1, InFlight: 5},
		{Setting: "1 MiB/s", Profile: "standard", Nodes: 1, Producers: 1, InFlight: 5, RecordsSecond: 1 << 10,
			Records: 5000, P50: 1, P99: 2, P999: 3, DollarsGiB: 0.04},
	}
	var table, picture bytes.Buffer
	if err := WriteTable(&table, results); err != nil {
		t.Error(err)
	}
	if err := WritePlot(&picture, results); err != nil {
		t.Error(err)
	}
	if !bytes.Contains(table.Bytes(), []byte("| 0.040")) || !bytes.Contains(picture.Bytes(), []byte("<circle")) {
		t.Errorf("%s\n%s", table.String(), picture.String())
	}
}
