// Merge measures what merging does: it writes Go's own source again and again until so many bytes
// of it are in the log, has a node merge it while a lone producer and a consumer at the tail go on,
// and reads every partition back. What is compared is the order and the bytes of every record; what
// is measured is how many objects and how much index there are before and after, how long it takes,
// and what the producer and the consumer notice.
//
//	go run ./test/bench/merge -firn bin/firn -gib 20
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

	"firn.dev/localstack"
	"firn.dev/test/process"
)

func main() {
	var o options
	flag.StringVar(&o.firn, "firn", "bin/firn", "the firn to measure")
	flag.Float64Var(&o.gib, "gib", 20, "GiB of records to write")
	flag.DurationVar(&o.quiet, "quiet", 30*time.Second, "how long the lone producer is measured before and after")
	flag.StringVar(&o.rate, "merge-rate", "auto", "--merge-rate of the node while it merges")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "merge:", err)
		os.Exit(1)
	}
}

type options struct {
	firn  string
	gib   float64
	quiet time.Duration
	rate  string
}

const (
	topic      = "source"
	partitions = 16
	deadline   = 20 * time.Second // for commits: what is older is merged
	grace      = time.Second
	patience   = 30 * time.Minute // for all of it to be merged and collected
)

// measurement is one run.
type measurement struct {
	options
	dir    string
	node   *process.Process
	pieces []piece
}

func run(ctx context.Context, o options) error {
	dir, err := localstack.TempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m := &measurement{options: o, dir: filepath.Join(dir, "bucket")}
	if m.pieces, err = goSource(ctx); err != nil {
		return err
	}
	defer m.stop()
	if err := m.measure(ctx); err != nil {
		if m.node != nil {
			err = fmt.Errorf("%w\n%s", err, m.node.Output())
		}
		return err
	}
	return nil
}

// start begins a node that merges at that rate.
func (m *measurement) start(ctx context.Context, rate string) error {
	m.stop()
	command := append(process.Firn(m.firn), "--merge-rate", rate, "--commit-deadline", deadline.String(), "--gc-grace",
		grace.String())
	spec, err := process.NewSpec(command, m.dir)
	if err != nil {
		return err
	}
	if m.node, err = process.Start(spec); err != nil {
		return err
	}
	_, err = m.node.Ready(ctx)
	return err
}

func (m *measurement) stop() {
	if m.node != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = m.node.Terminate(ctx)
		m.node = nil
	}
}

// measure writes, merges, reads, and says what it sees.
func (m *measurement) measure(ctx context.Context) error {
	if err := m.start(ctx, "none"); err != nil {
		return err
	}
	began := time.Now()
	wrote, bytes, err := m.write(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d records, %.1f GiB in %s\n\n", wrote.records(), float64(bytes)/(1<<30),
		time.Since(began).Round(time.Second))
	before, err := m.look(ctx)
	if err != nil {
		return err
	}
	fmt.Println("before:", before)
	if err := m.probeFor(ctx, "merging is off", m.quiet); err != nil {
		return err
	}
	if err := m.start(ctx, m.rate); err != nil {
		return err
	}
	if err := m.merge(ctx); err != nil {
		return err
	}
	after, err := m.look(ctx)
	if err != nil {
		return err
	}
	fmt.Println("after: ", after)
	if err := m.probeFor(ctx, "all is merged", m.quiet); err != nil {
		return err
	}
	began = time.Now()
	if err := m.compare(ctx, wrote); err != nil {
		return err
	}
	fmt.Printf("every partition was read back, record by record as it was written, in %s\n",
		time.Since(began).Round(time.Second))
	return nil
}
