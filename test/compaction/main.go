// Command compaction writes many updates of few keys into a compacted topic of a real server,
// deletes some of them, waits until the server has compacted, and compares what is left with the
// rule: of each key the last record, at the offset and with the timestamp that it was written with,
// and of deleted keys nothing once delete.retention.ms has passed, and not before. It reads with
// requests of its own, with franz-go, and with kcat, from the beginning and from offsets that are
// gone; kills the server while it compacts; and lets the producer go on afterwards.
//
//	go run ./test/compaction --firn bin/firn --updates 1000000 --keys 10000
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"firn.dev/test/process"
)

// Options says how much is written.
type Options struct {
	Firn      string // the binary
	Dir       string // for the server's data
	Updates   int
	Keys      int
	Kills     int           // while the server compacts
	Deadline  time.Duration // the server's commit deadline, by which it waits before it compacts
	Retention time.Duration // delete.retention.ms
	Say       func(format string, args ...any)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := Options{Say: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
	flag.StringVar(&o.Firn, "firn", "", "the firn binary; empty: build it")
	flag.IntVar(&o.Updates, "updates", 1_000_000, "records")
	flag.IntVar(&o.Keys, "keys", 10_000, "different keys")
	flag.IntVar(&o.Kills, "kills", 5, "how often the server is killed while it compacts")
	flag.DurationVar(&o.Deadline, "commit-deadline", 1500*time.Millisecond, "the server's")
	flag.DurationVar(&o.Retention, "delete-retention", 20*time.Second, "the topic's")
	flag.Parse()
	if err := temporary(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compaction:", err)
		os.Exit(1)
	}
}

// temporary runs in a temporary directory, which it removes if all is well.
func temporary(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "firn-compaction-")
	if err != nil {
		return err
	}
	if o.Firn == "" {
		if o.Firn, err = process.Build(ctx, dir, "firn.dev/cmd/firn"); err != nil {
			return err
		}
	}
	o.Dir = filepath.Join(dir, "bucket")
	if err := Run(ctx, o); err != nil {
		return fmt.Errorf("%w (data in %s)", err, dir)
	}
	return os.RemoveAll(dir)
}
