package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"firn.dev/test/torture/history"
)

// Table says of each kind of strike what it did. Tables of several runs can be added up.
type Table struct {
	Rows  map[Strike]*Row
	Seeds []uint64 // of the runs
}

// Row is one kind of strike.
type Row struct {
	Injected     int
	Acknowledged int64 // between such a strike and the next one
	Read         int64
	Faults       map[history.Kind]int `json:",omitempty"` // of records that were acknowledged then
	Felt         []Felt               `json:",omitempty"` // each time
	Notes        map[string]int       `json:",omitempty"` // what it did in particular, or why it did not, and how often
}

func newTable(seed uint64) Table { return Table{Rows: map[Strike]*Row{}, Seeds: []uint64{seed}} }

func (t Table) row(kind Strike) *Row {
	r := t.Rows[kind]
	if r == nil {
		r = &Row{Faults: map[history.Kind]int{}, Notes: map[string]int{}}
		t.Rows[kind] = r
	}
	return r
}

// judge puts a judgement into the table.
func (t Table) judge(report history.Report) {
	for name, phase := range report.Phases {
		kind := Strike(name)
		if name == "" {
			kind = Calm
		}
		row := t.row(kind)
		row.Acknowledged += phase.Acknowledged
		row.Read += phase.Read
		for fault, n := range phase.Faults {
			row.Faults[fault] += n
		}
	}
}

// add adds another run's.
func (t *Table) add(other Table) {
	t.Seeds = append(t.Seeds, other.Seeds...)
	for kind, from := range other.Rows {
		to := t.row(kind)
		to.Injected += from.Injected
		to.Acknowledged += from.Acknowledged
		to.Read += from.Read
		to.Felt = append(to.Felt, from.Felt...)
		for fault, n := range from.Faults {
			to.Faults[fault] += n
		}
		for note, n := range from.Notes {
			to.Notes[note] += n
		}
	}
}

// count is how many faults of these kinds there are.
func (r *Row) count(kinds ...history.Kind) (n int) {
	for fault, times := range r.Faults {
		if slices.Contains(kinds, fault) {
			n += times
		}
	}
	return n
}

var columns = []history.Kind{history.Lost, history.Duplicate, history.Moved}

func (t Table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\tinjected\tacknowledged\tread\tlost\tdoubled\tmoved\tother\tno produce: p50\tlongest\tonce "+
		"back\tof anybody\tno fetch: p50\tlongest\tonce back\t")
	total := Row{Faults: map[history.Kind]int{}}
	kinds := slices.Sorted(maps.Keys(t.Rows))
	for _, kind := range kinds {
		r := t.Rows[kind]
		r.write(w, string(kind))
		if kind != Together { // they have been counted
			total.Injected += r.Injected
		}
		total.Acknowledged += r.Acknowledged
		total.Read += r.Read
		total.Felt = append(total.Felt, r.Felt...)
		for fault, n := range r.Faults {
			total.Faults[fault] += n
		}
	}
	total.write(w, "all")
	w.Flush()
	for _, kind := range kinds {
		for _, note := range slices.Sorted(maps.Keys(t.Rows[kind].Notes)) {
			fmt.Fprintf(&b, "%s: %s: %d\n", kind, note, t.Rows[kind].Notes[note])
		}
	}
	return b.String()
}

func (r *Row) write(w io.Writer, name string) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t", name, r.Injected, r.Acknowledged, r.Read)
	other := 0
	for _, n := range r.Faults {
		other += n
	}
	for _, kind := range columns {
		n := r.count(kind)
		other -= n
		fmt.Fprintf(w, "%d\t", n)
	}
	fmt.Fprintf(w, "%d\t", other)
	for i, of := range []func(Felt) time.Duration{
		func(f Felt) time.Duration {
			return f.Produce
		}, func(f Felt) time.Duration { return f.ProduceAfter }, func(f Felt) time.Duration { return f.Any },
		func(f Felt) time.Duration { return f.Fetch }, func(f Felt) time.Duration { return f.FetchAfter },
	} {
		var all []time.Duration
		for _, f := range r.Felt {
			all = append(all, of(f))
		}
		slices.Sort(all)
		if i == 0 || i == 3 {
			fmt.Fprintf(w, "%s\t", seconds(all, len(all)/2))
		}
		fmt.Fprintf(w, "%s\t", seconds(all, len(all)-1))
	}
	fmt.Fprintln(w)
}

// seconds is one of several durations; a kind that only fell together with others has none.
func seconds(all []time.Duration, i int) string {
	if len(all) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fs", all[i].Seconds())
}

// Err says whether anything is wrong, or nil.
func (t Table) Err() error {
	var wrong []error
	for kind, r := range t.Rows {
		for fault, n := range r.Faults {
			wrong = append(wrong, fmt.Errorf("%s: %d %s", kind, n, fault))
		}
	}
	return errors.Join(wrong...)
}

// save writes the table to a file, if one is named.
func (t Table) save(path string) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// sum adds up the tables in files.
func sum(paths []string) (Table, error) {
	total := Table{Rows: map[Strike]*Row{}}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return total, err
		}
		var t Table
		if err := json.Unmarshal(b, &t); err != nil {
			return total, fmt.Errorf("%s is not what --json writes: %w", path, err)
		}
		total.add(t)
	}
	return total, nil
}
