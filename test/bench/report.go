package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what was measured.
type report struct {
	throughput   []throughputRow
	latency      []latencyRow
	start        []startRow
	tls          []throughputRow
	transactions []transactionRow
}

type throughputRow struct {
	setting string
	peer    string
	samples []sample
}

type transactionRow struct {
	peer    string
	samples []transactionSample
}

type latencyRow struct {
	name     string
	p50, p99 time.Duration
	n        int
}

type startRow struct {
	peer               string
	empty, full, fetch []time.Duration
	filled             time.Duration
	note               string
}

// write writes the tables.
func (r *report) write(ctx context.Context, out io.Writer, opts options) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s\n\nRepeat with `go run ./test/bench %s`.\n", machine(ctx), commandLine(os.Args[1:]))
	if len(r.throughput) > 0 {
		fmt.Fprintf(w, "\n## Throughput\n\nOne franz-go producer (acks=all, idempotent, linger 5 ms) and after it one "+
			"consumer from the start; %d partitions, records of %d bytes;\n"+
			"a fresh server and directory each time, peers in turns, %d rounds of %v, medians. CPU is the server's, for each "+
			"GiB of values. "+
			"Client and server share the machine.\n\n", partitions, valueBytes, opts.rounds, opts.seconds)
		fmt.Fprintln(w, "| codec, payload | server | in, records/s | in, MiB/s | out, records/s | out, MiB/s | CPU s/GiB "+
			"in | CPU s/GiB out | peak RSS, MiB |")
		fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|--:|--:|--:|")
		for _, row := range r.throughput {
			in := median(row.samples, func(s sample) float64 { return s.produced })
			read := median(row.samples, func(s sample) float64 { return s.consumed })
			fmt.Fprintf(w, "| %s | %s | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f | %.0f |\n", row.setting, row.peer,
				in, in*valueBytes/(1<<20), read, read*valueBytes/(1<<20),
				median(row.samples, func(s sample) float64 { return s.produceCPU }),
				median(row.samples, func(s sample) float64 { return s.consumeCPU }),
				median(row.samples, func(s sample) float64 { return s.peakMiB }))
		}
	}
	if len(r.latency) > 0 {
		fmt.Fprintf(w, "\n## A lone producer\n\nOne record of %d bytes at a time, linger 0, acks=all, idempotent, one "+
			"partition; beside it what the same directory asks for.\n\n", valueBytes)
		fmt.Fprintln(w, "| | p50 | p99 | of |\n|---|--:|--:|--:|")
		for _, row := range r.latency {
			fmt.Fprintf(w, "| %s | %v | %v | %d |\n", row.name, row.p50.Round(10*time.Microsecond),
				row.p99.Round(10*time.Microsecond), row.n)
		}
	}
	if len(r.start) > 0 {
		fmt.Fprintf(w, "\n## Start\n\nFrom exec until the first Metadata answer on an empty directory; and after kill -9 "+
			"on one with %d records written in %d flushes,\n"+
			"until the first Metadata answer and until a consumer from the start has its first records. Medians.\n\n",
			opts.segments*recordsPerSegment, opts.segments)
		fmt.Fprintln(w, "| server | empty | full, answers | full, first records | filled in | directory "+
			"|\n|---|--:|--:|--:|--:|---|")
		for _, row := range r.start {
			fmt.Fprintf(w, "| %s | %v | %v | %v | %v | %s |\n", row.peer, milliseconds(row.empty), milliseconds(row.full),
				milliseconds(row.fetch),
				row.filled.Round(100*time.Millisecond), row.note)
		}
	}
	if len(r.tls) > 0 {
		fmt.Fprintf(w, "\n## TLS\n\nAs under Throughput, records of %d bytes that cannot be compressed, through a listener "+
			"without TLS and one with it (TLS 1.3, AES-128-GCM);\n%d rounds of %v, medians, each on a fresh server that has "+
			"taken and given records for as long before.\n\n", valueBytes, opts.rounds, opts.seconds)
		fmt.Fprintln(w, "| server | listener | in, MiB/s | out, MiB/s | CPU s/GiB in | CPU s/GiB out |")
		fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|")
		for _, row := range r.tls {
			fmt.Fprintf(w, "| %s | %s | %.0f | %.0f | %.2f | %.2f |\n", row.peer, row.setting,
				median(row.samples, func(s sample) float64 { return s.produced })*valueBytes/(1<<20),
				median(row.samples, func(s sample) float64 { return s.consumed })*valueBytes/(1<<20),
				median(row.samples, func(s sample) float64 { return s.produceCPU }),
				median(row.samples, func(s sample) float64 { return s.consumeCPU }))
		}
	}
	if len(r.transactions) > 0 {
		fmt.Fprintf(w, "\n## Transactions\n\n%d producers, each with one transaction of %d records of %d bytes after "+
			"the other, linger 0; and the same records without transactions;\n%d rounds of %v, medians. Each rate counts "+
			"rounds of %d records; CPU is the server's.\n\n", transactional, recordsOfTransaction, valueBytes, opts.rounds,
			opts.seconds, recordsOfTransaction)
		fmt.Fprintln(w, "| server | transactions/s | records, p50 | commit, p50 | CPU µs each | without, rounds/s | p50 |")
		fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|")
		for _, row := range r.transactions {
			of := func(value func(transactionSample) time.Duration) time.Duration {
				return median(row.samples, value).Round(10 * time.Microsecond)
			}
			fmt.Fprintf(w, "| %s | %.0f | %v | %v | %.0f | %.0f | %v |\n", row.peer,
				median(row.samples, func(s transactionSample) float64 { return s.transactions }),
				of(func(s transactionSample) time.Duration { return s.write }),
				of(func(s transactionSample) time.Duration { return s.commit }),
				median(row.samples, func(s transactionSample) float64 { return s.cpuMicroseconds }),
				median(row.samples, func(s transactionSample) float64 { return s.plain }),
				of(func(s transactionSample) time.Duration { return s.plainWrite }))
		}
	}
	return w.Flush()
}

func milliseconds(ds []time.Duration) time.Duration { return quantile(ds, 50).Round(time.Millisecond) }

func median[T any, N cmp.Ordered](of []T, value func(T) N) N {
	values := make([]N, len(of))
	for i, o := range of {
		values[i] = value(o)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// machine says what all this was measured on.
func machine(ctx context.Context) string {
	facts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		facts[0] += " of " + model
	}
	if total := field("/proc/meminfo", "MemTotal"); total != "" {
		facts = append(facts, "memory "+total)
	}
	if kernel, err := exec.CommandContext(ctx, "uname", "-sr").Output(); err == nil {
		facts = append(facts, strings.TrimSpace(string(kernel)))
	}
	facts = append(facts, runtime.Version(), time.Now().Format(time.DateOnly))
	return "Measured on " + strings.Join(facts, ", ") + "."
}

// commandLine writes arguments as one types them.
func commandLine(args []string) string {
	typed := make([]string, len(args))
	for i, arg := range args {
		typed[i] = arg
		if strings.Contains(arg, " ") {
			typed[i] = "'" + arg + "'"
		}
	}
	return strings.Join(typed, " ")
}

// field finds the first line "name : value" of a file in /proc.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
