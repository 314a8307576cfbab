// Command torture writes numbered records to a real server while it kills that server at random
// moments, has readers watch all along, and judges what producers and readers were told (package
// history). It prints counts and ends with status 1 if anything was lost, doubled, moved or
// reordered.
//
//	go run ./test/torture --firn bin/firn --duration 10m
//	go run ./test/torture --firn bin/firn --strike takeover --strikes 50
//
// # Cluster
//
// With --cluster the target is three nodes on one MinIO and one Redis, and every one of those is
// struck (see ClusterStrikes): nodes are killed, drained and frozen, and their clocks set ahead;
// Redis is killed, emptied, frozen, full, brought back with an old dump, and replaced by a replica
// that lags; MinIO is killed and overloaded; nodes are cut off from either, loudly and silently;
// replies of Redis are lost. Each node reaches Redis and MinIO through a proxy of its own (gate),
// and, if this is Linux and root, lives in a network namespace of its own, so that packets can
// vanish. Beside ordinary producers there is a direct writer. One reader follows along on each
// node, others go where Metadata sends them, and in the end everything is read back through every
// node. What it prints is a table: for each kind of strike how often it fell, what was acknowledged
// and read until the next one, what was lost, doubled and moved, and the longest that clients stood
// still. Tables of several runs can be added up.
//
//	go run ./test/torture --cluster --duration 10m --json a.json
//	go run ./test/torture --cluster --only flush-redis,pause-node --strikes 50 \
//	  --interval 300ms --json b.json
//	go run ./test/torture --sum a.json b.json
//
// A firn whose clock can be set is built by the torture itself, from this tree: see clock.go.
//
// # Cleanup
//
// With --cleanup servers are killed while they merge small segments, remove what is old and collect
// garbage, with deadlines of seconds instead of hours. Beside the numbered records there is a topic
// whose records expire. The bucket is audited now and then, and in the end, when there was time:
// nothing is missing, ever, and nothing leaked.
//
//	go run ./test/torture --cleanup --firn bin/firn --strikes 50
//	go run ./test/torture --cleanup --cluster --firn bin/firn --strikes 50
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"firn.dev/localstack"
	"firn.dev/test/process"
)

const firnPackage = "firn.dev/cmd/firn"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := Options{Log: os.Stderr}
	firn := flag.String("firn", "", "the firn binary; empty: build it")
	command := flag.String("command", "", "another server's command line, with {dir}, {kafka} and {http} in it")
	dir := flag.String("dir", "", "where data goes; empty: a temporary directory, removed unless something is wrong")
	flag.DurationVar(&opts.Duration, "duration", time.Minute, "how long to strike")
	flag.IntVar(&opts.Strikes, "strikes", 0, "stop after this many strikes; 0: go by duration alone")
	flag.Var(&opts.Strike, "strike", "kill, terminate, takeover, or fill-disk, which needs root")
	flag.BoolVar(&opts.Plain, "plain", false, "producers without idempotence")
	flag.BoolVar(&opts.Churn, "churn", false, "create, grow and delete topics meanwhile")
	flag.IntVar(&opts.Producers, "producers", 4, "idempotent producers")
	flag.IntVar(&opts.Transfers, "transfers", 2, "with --cluster: producers of transactions")
	flag.IntVar(&opts.Rereaders, "rereaders", 2, "readers of some of it, from somewhere")
	flag.Uint64Var(&opts.Seed, "seed", uint64(time.Now().UnixNano()), "of the random choices")
	cluster := flag.Bool("cluster", false, "torture three nodes on MinIO and Redis")
	pause := flag.Duration("pause", 0, "with --cluster: the longest that something is frozen, cut off or down")
	only := flag.String("only", "", "with --cluster: these strikes alone, separated by commas")
	cleanup := flag.Bool("cleanup", false, "kill while small segments are merged, old records removed and garbage "+
		"collected, all of it in seconds; with --cluster on three nodes")
	interval := flag.Duration("interval", 0, "with --cluster: about how long all is well before the next strike; a second")
	preload := flag.Int64("preload", 0, "with --cluster: how many records are written before the first strike")
	flags := flag.String("flags", "", "with --cluster: further flags of nodes, separated by spaces")
	other := flag.String("other", "", "with --cluster: the firn binary of another version, to which roll-nodes goes, and "+
		"back")
	table := flag.String("json", "", "a file to write the table to")
	add := flag.Bool("sum", false, "instead: add up the tables in the files that are named, and print the result")
	producers := flag.Int("functions", 0, "instead: this many short-lived producers write over HTTP to three "+
		"nodes, of which one is killed")
	deaths := flag.Int("once", 0, "instead: this many functions die that read, write and commit in one transaction")
	flag.Parse()

	var err error
	if *other != "" && (!*cluster || !strings.Contains(*only, string(RollNodes))) {
		fmt.Fprintf(os.Stderr, "torture: --other is for --cluster --only %s\n", RollNodes)
		os.Exit(2)
	}
	if *add {
		err = printSum(flag.Args())
	} else if *producers > 0 {
		err = runFunctions(ctx, *firn, func(bin, dir string) (verdict, error) {
			return Functions(ctx, bin, dir, *producers, os.Stderr)
		})
	} else if *deaths > 0 {
		err = runFunctions(ctx, *firn, func(bin, dir string) (verdict, error) {
			return Once(ctx, bin, dir, *deaths, os.Stderr)
		})
	} else if *cleanup {
		err = runCleanup(ctx, CleanupOptions{Options: opts, Firn: *firn, Cluster: *cluster}, *dir)
	} else if *cluster {
		err = runCluster(ctx, ClusterOptions{Options: opts, Firn: *firn, MaxPause: *pause, Interval: *interval,
			Preload: *preload, Flags: strings.Fields(*flags), Other: *other}, *only, *dir, *table)
	} else {
		err = run(ctx, opts, *firn, *command, *dir, *table)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts Options, firn, command, dir, table string) error {
	temporary := dir == ""
	if temporary {
		var err error
		if dir, err = os.MkdirTemp("", "firn-torture-"); err != nil {
			return err
		}
	}
	opts.Dir = dir
	switch {
	case command != "":
		opts.Command = strings.Fields(command)
	case firn != "":
		opts.Command = process.Firn(firn)
	default:
		bin, err := process.Build(ctx, dir, firnPackage)
		if err != nil {
			return err
		}
		opts.Command = process.Firn(bin)
	}
	result, err := Torture(ctx, opts)
	fmt.Print(result)
	if err = errors.Join(err, result.Table.save(table)); err != nil {
		return fmt.Errorf("%w (seed %d, data in %s)", err, opts.Seed, dir)
	}
	if temporary {
		return os.RemoveAll(dir)
	}
	return nil
}

// printSum prints the sum of tables, and ends badly if anything in them is wrong.
func printSum(paths []string) error {
	total, err := sum(paths)
	if err != nil {
		return err
	}
	fmt.Print(total)
	return total.Err()
}

func runCluster(ctx context.Context, opts ClusterOptions, only, dir, table string) error {
	if only != "" {
		for name := range strings.SplitSeq(only, ",") {
			if !slices.Contains(ClusterStrikes, Strike(name)) && Strike(name) != RollNodes {
				return fmt.Errorf("--only %s: want some of %v, or %s", name, ClusterStrikes, RollNodes)
			}
			opts.Kinds = append(opts.Kinds, Strike(name))
		}
	}
	return inDirectory(ctx, dir, opts.Firn, opts.Seed, func(dir, firn string) (fmt.Stringer, error) {
		opts.Dir, opts.Firn = dir, firn
		if opts.Kinds == nil || slices.Contains(opts.Kinds, JumpClock) {
			var err error
			if opts.Firn, err = buildWithClock(ctx, dir, firnPackage); err != nil {
				return nil, err
			}
		}
		result, err := TortureCluster(ctx, opts)
		return result, errors.Join(err, result.Table.save(table))
	})
}

func runCleanup(ctx context.Context, opts CleanupOptions, dir string) error {
	return inDirectory(ctx, dir, opts.Firn, opts.Seed, func(dir, firn string) (fmt.Stringer, error) {
		opts.Dir, opts.Firn, opts.Churn = dir, firn, true
		return TortureCleanup(ctx, opts)
	})
}

// inDirectory tortures in a directory, by default a temporary one that goes if all is well, a firn
// that is built there if none is named.
func inDirectory(ctx context.Context, dir, firn string, seed uint64,
	torture func(dir, firn string) (fmt.Stringer, error)) (err error) {
	temporary := dir == ""
	if temporary {
		if dir, err = localstack.TempDir(); err != nil {
			return err
		}
	}
	if firn == "" {
		if firn, err = process.Build(ctx, dir, firnPackage); err != nil {
			return err
		}
	}
	result, err := torture(dir, firn)
	if result != nil {
		fmt.Print(result)
	}
	if err != nil {
		return fmt.Errorf("%w (seed %d, data in %s)", err, seed, dir)
	}
	if temporary {
		return os.RemoveAll(dir)
	}
	return nil
}

// verdict is what functions have left, and whether it is what they should have.
type verdict interface {
	fmt.Stringer
	Err() error
}

func runFunctions(ctx context.Context, firn string, run func(bin, dir string) (verdict, error)) error {
	dir, err := localstack.TempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if firn == "" {
		if firn, err = process.Build(ctx, dir, firnPackage); err != nil {
			return err
		}
	}
	result, err := run(firn, dir)
	if err != nil {
		return err
	}
	fmt.Print(result)
	return result.Err()
}
