// Command torture writes numbered records to a real server while it kills that server at random moments, has readers watch all along, and
// judges what producers and readers were told (package history). It prints counts and ends with status 1 if anything was lost,
// doubled, moved or reordered.
//
//	go run ./test/torture --firn bin/firn --duration 10m
//	go run ./test/torture --firn bin/firn --strike takeover --strikes 50
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"firn/test/process"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := Options{Log: os.Stderr}
	firn := flag.String("firn", "", "the firn binary; empty: build it")
	command := flag.String("command", "", "another server's command line, with {dir}, {kafka} and {http} in it")
	dir := flag.String("dir", "", "where data goes; empty: a temporary directory, removed unless something is wrong")
	flag.DurationVar(&opts.Duration, "duration", time.Minute, "how long to strike")
	flag.IntVar(&opts.Strikes, "strikes", 0, "stop after this many strikes; 0: go by duration alone")
	flag.Var(&opts.Strike, "strike", "kill, terminate or takeover")
	flag.BoolVar(&opts.Plain, "plain", false, "producers without idempotence")
	flag.BoolVar(&opts.Churn, "churn", false, "create, grow and delete topics meanwhile")
	flag.IntVar(&opts.Producers, "producers", 4, "idempotent producers")
	flag.Uint64Var(&opts.Seed, "seed", uint64(time.Now().UnixNano()), "of the random choices")
	flag.Parse()

	if err := run(ctx, opts, *firn, *command, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts Options, firn, command, dir string) error {
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
		bin, err := process.Build(ctx, dir, "firn/cmd/firn")
		if err != nil {
			return err
		}
		opts.Command = process.Firn(bin)
	}
	result, err := Torture(ctx, opts)
	fmt.Print(result)
	if err != nil {
		return fmt.Errorf("%w (seed %d, data in %s)", err, opts.Seed, dir)
	}
	if temporary {
		return os.RemoveAll(dir)
	}
	return nil
}
