// Command http measures what a request costs that writes one record: over HTTP, on connections that
// stay and on one for each request, with and without an idempotency key, and beside them a Kafka
// client that waits for each record. One server, a fresh topic for each run, as many clients as
// connections. It prints a Markdown table.
//
//	go run ./test/bench/http
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

const (
	partitions = 12
	valueBytes = 1024
	patience   = time.Minute
)

// options says what to measure and for how long.
type options struct {
	firn        string
	dir         string
	seconds     time.Duration
	connections []int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var opts options
	flag.StringVar(&opts.firn, "firn", "", "the firn binary; empty: build it")
	flag.StringVar(&opts.dir, "dir", "", "where data goes while it is measured; empty: a temporary directory")
	flag.DurationVar(&opts.seconds, "for", 5*time.Second, "how long each run takes")
	connections := flag.String("connections", "1,64,1024", "how many clients at once")
	flag.Parse()
	for n := range strings.SplitSeq(*connections, ",") {
		count, err := strconv.Atoi(n)
		if err != nil || count < 1 {
			fmt.Fprintf(os.Stderr, "bench: --connections: %q is no number of clients\n", n)
			os.Exit(2)
		}
		opts.connections = append(opts.connections, count)
	}
	if err := run(ctx, opts); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts options) (err error) {
	dir, err := os.MkdirTemp(opts.dir, "firn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if opts.firn == "" {
		if opts.firn, err = process.Build(ctx, dir, "firn.dev/cmd/firn"); err != nil {
			return err
		}
	}
	spec, err := process.NewSpec(process.Firn(opts.firn), filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	server, err := process.Start(spec)
	if err != nil {
		return err
	}
	defer server.Kill()
	starting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := server.Ready(starting); err != nil {
		return err
	}
	fmt.Printf("One record of %d bytes for each request, %v each. Clients and server share the machine; CPU is the "+
		"server's, for each request.\n\n", valueBytes, opts.seconds)
	fmt.Println("| connections | | requests/s | p50 | p99 | CPU µs | peak RSS, MiB |")
	fmt.Println("|--:|---|--:|--:|--:|--:|--:|")
	for _, n := range opts.connections {
		for _, d := range doors {
			if err := measure(ctx, server, spec, d, n, opts.seconds); err != nil {
				return fmt.Errorf("%s, %d connections: %w\n%s", d.name, n, err, server.Output())
			}
		}
	}
	return nil
}

// measure has n clients write to a fresh topic, and prints how that went.
func measure(ctx context.Context, server *process.Process, spec process.Spec, d door, n int,
	howLong time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, howLong+patience)
	defer cancel()
	topic := fmt.Sprintf("%s-%d", d.topic, n)
	if err := createTopic(ctx, spec, topic); err != nil {
		return err
	}
	clients := make([]client, n)
	for i := range clients {
		c, err := d.open(spec, topic)
		if err != nil {
			return err
		}
		defer c.close()
		clients[i] = c
	}
	before, err := server.Usage()
	if err != nil {
		return err
	}
	began := time.Now()
	took, err := load(ctx, clients, began.Add(howLong))
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	after, err := server.Usage()
	if err != nil {
		return err
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(10 * time.Microsecond) }
	cpu := (after.CPU - before.CPU) / time.Duration(len(took))
	fmt.Printf("| %d | %s | %.0f | %v | %v | %d | %d |\n", n, d.name, float64(len(took))/elapsed.Seconds(), at(50), at(99),
		cpu.Microseconds(), after.PeakBytes>>20)
	return nil
}

// load has each client write one record after the other until a time, and returns how long each
// took.
func load(ctx context.Context, clients []client, until time.Time) ([]time.Duration, error) {
	var running sync.WaitGroup
	took := make([][]time.Duration, len(clients))
	errs := make([]error, len(clients))
	for i, c := range clients {
		running.Go(func() {
			for errs[i] == nil && time.Now().Before(until) {
				sent := time.Now()
				errs[i] = c.write(ctx)
				took[i] = append(took[i], time.Since(sent))
			}
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return slices.Concat(took...), nil
}

func createTopic(ctx context.Context, spec process.Spec, name string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(spec.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, name)
	return err
}
