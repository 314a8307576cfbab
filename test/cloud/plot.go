package cloud

import (
	"bufio"
	"fmt"
	"io"
	"math"
)

// The plot, in pixels; both axes are logarithmic.
const (
	plotWidth, plotHeight = 900, 520
	plotMargin            = 70
)

// axis maps the powers of ten from least to most on pixels.
type axis struct{ least, most, from, to float64 }

func (a axis) at(v float64) float64 {
	v = min(max(v, a.least), a.most)
	return a.from + (a.to-a.from)*math.Log(v/a.least)/math.Log(a.most/a.least)
}

// colors are of the lines, in the order in which they come.
var colors = []string{"#1f77b4", "#17becf", "#d62728", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#7f7f7f"}

// WritePlot draws latency against dollars as an SVG: a line for each store and put budget, over the
// loads of few producers at one node; the point is p50, the stroke above it reaches to p99.
func WritePlot(out io.Writer, results []Result) error {
	w := bufio.NewWriter(out)
	x := axis{1e-3, 100, plotMargin, plotWidth - 200}
	y := axis{1, 10000, plotHeight - plotMargin, 20}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" `, plotWidth, plotHeight)
	fmt.Fprintln(w, `font-family="sans-serif" font-size="12">`)
	fmt.Fprintf(w, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	for v := x.least; v <= x.most*1.01; v *= 10 {
		fmt.Fprintf(w, `<path d="M%.1f %.1fV%.1f" stroke="#ddd"/>`, x.at(v), y.from, y.to)
		fmt.Fprintf(w, `<text x="%.1f" y="%.1f" text-anchor="middle">$%.4g</text>`+"\n", x.at(v), y.from+18, v)
	}
	for v := y.least; v <= y.most*1.01; v *= 10 {
		fmt.Fprintf(w, `<path d="M%.1f %.1fH%.1f" stroke="#ddd"/>`, x.from, y.at(v), x.to)
		fmt.Fprintf(w, `<text x="%.1f" y="%.1f" text-anchor="end">%g ms</text>`+"\n", x.from-6, y.at(v)+4, v)
	}
	fmt.Fprintf(w, `<text x="%.1f" y="%.1f" text-anchor="middle">dollars of requests for each GiB written</text>`+"\n",
		(x.from+x.to)/2, y.from+42)
	for i, line := range lines(results) {
		color := colors[i%len(colors)]
		fmt.Fprintf(w, `<g stroke="%s" fill="%s"><path fill="none" d="`, color, color)
		for j, r := range line {
			fmt.Fprintf(w, "%c%.1f %.1f", "ML"[min(j, 1)], x.at(r.DollarsGiB), y.at(r.P50))
		}
		fmt.Fprintln(w, `"/>`)
		for _, r := range line {
			px := x.at(r.DollarsGiB)
			fmt.Fprintf(w, `<circle cx="%.1f" cy="%.1f" r="4"/>`, px, y.at(r.P50))
			fmt.Fprintf(w, `<path d="M%.1f %.1fV%.1f" stroke-width="2"/>`, px, y.at(r.P50), y.at(r.P99))
			fmt.Fprintf(w, `<text x="%.1f" y="%.1f" stroke="none" font-size="10">%s</text>`+"\n", px+6, y.at(r.P50)+12,
				r.Setting)
		}
		fmt.Fprintf(w, `<text x="%.1f" y="%d" stroke="none">%s, put budget %s</text></g>`+"\n", x.to+12, 40+18*i,
			line[0].Profile, line[0].budget())
	}
	fmt.Fprintln(w, "</svg>")
	return w.Flush()
}

// lines groups the results of few producers at one node by store and budget.
func lines(results []Result) (all [][]Result) {
	at := map[string]int{}
	for _, r := range results {
		plain := r.Nodes == 1 && r.Producers <= 8 && r.InFlight == idempotent && r.Setting == load(r.RecordsSecond)
		if !plain || r.Records == 0 || r.Budget != 0 && r.Budget != defaultBudget {
			continue
		}
		key := r.Profile + r.budget()
		if _, ok := at[key]; !ok {
			at[key] = len(all)
			all = append(all, nil)
		}
		all[at[key]] = append(all[at[key]], r)
	}
	return all
}
