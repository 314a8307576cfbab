// Command bench measures firn serve beside other Kafka servers that keep every acknowledged record
// on disk: the same client, the same settings, alternating, each server a process of its own on a
// fresh directory. It prints a Markdown table.
//
//	go run ./test/bench
//	go run ./test/bench --kafka test/bench/apache/lib     (Apache Kafka as well: make bench-kafka)
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options says what to measure and for how long.
type options struct {
	firn     string // binary; empty: built
	kafkaLib string // directory of Apache Kafka's jars; empty: not measured
	dir      string // of all data
	profiles string // directory for profiles of firn under load; empty: none
	measures []string
	only     string // part of the names of the peers that are measured; empty: all
	seconds  time.Duration
	rounds   int
	segments int
	log      io.Writer
}

// allMeasures are the parts of the program, in the order of the report.
var allMeasures = []string{"throughput", "latency", "start", "tls", "transactions"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := options{log: os.Stderr}
	flag.StringVar(&opts.firn, "firn", "", "the firn binary; empty: build it")
	flag.StringVar(&opts.kafkaLib, "kafka", "", "`directory` of Apache Kafka's jars, to measure it as well")
	flag.StringVar(&opts.dir, "dir", "", "where data goes while it is measured; empty: a temporary directory")
	flag.DurationVar(&opts.seconds, "for", 3*time.Second, "how long each measure takes")
	flag.IntVar(&opts.rounds, "rounds", 3, "how often each is repeated; the median counts")
	flag.IntVar(&opts.segments, "segments", 10_000, "of 100 records each, for the start on a full directory")
	flag.StringVar(&opts.only, "only", "", "measure only peers with this in their `name`")
	flag.StringVar(&opts.profiles, "profiles", "", "keep profiles of firn under load in this `directory`; they cost "+
		"some speed")
	measures := flag.String("measures", strings.Join(allMeasures, ","), "which")
	flag.Parse()
	opts.measures = strings.Split(*measures, ",")
	if err := run(ctx, opts, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts options, out io.Writer) error {
	for _, m := range opts.measures {
		if !slices.Contains(allMeasures, m) {
			return fmt.Errorf("--measures: %q is none of %v", m, allMeasures)
		}
	}
	dir, err := os.MkdirTemp(opts.dir, "firn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	peers, err := newPeers(ctx, opts, dir)
	if err != nil {
		return err
	}
	r := &report{}
	b := &bench{options: opts, root: filepath.Join(dir, "data"), peers: peers, report: r}
	steps := map[string]func(context.Context) error{"throughput": b.throughput, "latency": b.latency, "start": b.start,
		"tls": b.tls, "transactions": b.transactions}
	for _, m := range opts.measures {
		b.peers = peers
		if m != "throughput" {
			b.peers = slices.DeleteFunc(slices.Clone(peers), func(p peer) bool { return p.variant })
		}
		if err := steps[m](ctx); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	return r.write(ctx, out, opts)
}
