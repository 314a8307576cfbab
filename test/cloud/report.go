package cloud

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable writes results as a table of Markdown.
func WriteTable(out io.Writer, results []Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| store\t| load\t| nodes\t| producers\t| put budget\t| p50, ms\t| p99\t| p99.9\t| puts/s\t| gets\t"+
		"| $/GiB\t| $/month\t|")
	fmt.Fprintln(w, "|---\t|---\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|")
	for i := range results {
		r := &results[i]
		fmt.Fprintf(w, "| %s\t| %s\t| %d\t| %s\t| %s\t", r.Profile, r.Setting, r.Nodes, r.producers(), r.budget())
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t", r.latency(r.P50, 0), r.latency(r.P99, 300), r.latency(r.P999, 3000))
		fmt.Fprintf(w, "| %.2f\t| %d\t| %s\t| %.2f\t|\n", r.PutsSecond, r.Gets, r.perGiB(), r.DollarsMonth)
	}
	return w.Flush()
}

func (r *Result) budget() string {
	if r.Budget == 0 {
		return "none"
	}
	return budgetOf(r.Budget, r.Shared)
}

func (r *Result) producers() string {
	if r.InFlight == idempotent {
		return fmt.Sprint(r.Producers)
	}
	return fmt.Sprintf("%d, %d in flight", r.Producers, r.InFlight)
}

// latency is a percentile, if there were enough records for it.
func (r *Result) latency(millis float64, records int) string {
	if r.Records == 0 || r.Records < records {
		return ""
	}
	return fmt.Sprintf("%.0f", millis)
}

func (r *Result) perGiB() string {
	switch {
	case r.Records == 0:
		return ""
	case r.DollarsGiB < 0.01:
		return fmt.Sprintf("%.5f", r.DollarsGiB)
	}
	return fmt.Sprintf("%.3f", r.DollarsGiB)
}
