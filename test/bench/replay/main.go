// Command replay measures replays beside the plain reading of the same ranges: of a directory and
// of MinIO, in one run, alternating. Both sides send the same requests, as many at once; the plain
// side throws the bytes away. It prints a Markdown table of bytes stored read per second.
//
//	go run ./test/bench/replay --firn bin/firn
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"firn.dev/localstack"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/file"
	"firn.dev/segments/minio"
)

type options struct {
	firn       string
	dir        string
	mib        int
	partitions int
	parallel   int
	rounds     int
	memory     int64
	codec      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.firn, "firn", "bin/firn", "the firn binary")
	flag.StringVar(&o.dir, "dir", "", "where data goes; empty: a temporary directory")
	flag.IntVar(&o.mib, "mib", 1024, "bytes stored, in MiB")
	flag.IntVar(&o.partitions, "partitions", 8, "of the topic")
	flag.IntVar(&o.parallel, "parallel", 8, "requests at once")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is repeated; the median counts")
	flag.Int64Var(&o.memory, "memory", 256<<20, "of a replay, in bytes")
	flag.StringVar(&o.codec, "codec", "lz4", "of the batches: none, lz4, zstd")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/replay:", err)
		os.Exit(1)
	}
}

// target is a bucket to measure.
type target struct {
	name  string
	store segments.Store
	url   string
}

func run(ctx context.Context, o options, out io.Writer) error {
	dir, err := os.MkdirTemp(o.dir, "firn-replay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := file.Open(filepath.Join(dir, "files"))
	if err != nil {
		return err
	}
	defer files.Close()
	server, err := localstack.StartMinIO(ctx, localstack.Options{Dir: filepath.Join(dir, "minio")})
	if err != nil {
		return err
	}
	defer server.Kill()
	if err := server.CreateBucket(ctx, "firn"); err != nil {
		return err
	}
	url := fmt.Sprintf("minio://%s/firn/x?secure=false", server.Addr)
	for name, value := range localstack.Environment() {
		os.Setenv(name, value)
	}
	parsed, err := minio.ParseURL(url)
	if err != nil {
		return err
	}
	bucket, err := minio.Open(parsed)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d MiB, %d partitions, batches with %s, %d requests at once; MiB/s of bytes stored, median of %d "+
		"rounds\n\n", o.mib, o.partitions, o.codec, o.parallel, o.rounds)
	fmt.Fprintln(out, "| bucket | segments | plain reads | batches | of plain | records | raw | ndjson | firn replay "+
		"--format raw | of plain |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, p := range []target{{"directory", files, "file://" + filepath.Join(dir, "files")}, {"MinIO", bucket, url}} {
		f, err := fill(ctx, p.store, o)
		if err != nil {
			return fmt.Errorf("fill %s: %w", p.name, err)
		}
		for _, kind := range []string{"mixed", "merged"} {
			if kind == "merged" {
				if err := f.merge(ctx); err != nil {
					return fmt.Errorf("merge %s: %w", p.name, err)
				}
			}
			row, err := measure(ctx, p, o)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.name, kind, err)
			}
			fmt.Fprintf(out, "| %s | %s | %s |\n", p.name, kind, row)
		}
		if err := f.close(); err != nil {
			return err
		}
	}
	return nil
}

// way is one way of reading all.
type way struct {
	name string
	read func(context.Context, *replay.Replay) error
}

// measure measures all ways, alternating, and returns a row of the table.
func measure(ctx context.Context, p target, o options) (string, error) {
	ways := []way{
		{"plain", func(ctx context.Context, r *replay.Replay) error { return plain(ctx, r, p.store, o.parallel) }},
		{"batches", func(ctx context.Context, r *replay.Replay) error {
			for _, err := range r.Batches(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"records", func(ctx context.Context, r *replay.Replay) error {
			for _, err := range r.Records(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"raw", func(ctx context.Context, r *replay.Replay) error { return stream(ctx, r, replay.Raw()) }},
		{"ndjson", func(ctx context.Context, r *replay.Replay) error { return stream(ctx, r, replay.NDJSON(topic)) }},
		{"command", func(ctx context.Context, _ *replay.Replay) error {
			return exec.CommandContext(ctx, o.firn, "replay", topic, "--store", p.url, "--format", "raw", "--parallel",
				fmt.Sprint(o.parallel), "--memory", fmt.Sprint(o.memory)).Run()
		}},
	}
	speeds := map[string][]float64{}
	for round := range o.rounds + 1 {
		for i := range ways {
			w := ways[(i+round)%len(ways)]
			r, err := replay.Open(ctx, replay.Options{Store: p.store, Topic: topic, Parallel: o.parallel, Memory: o.memory})
			if err != nil {
				return "", err
			}
			began := time.Now()
			if err := w.read(ctx, r); err != nil {
				return "", fmt.Errorf("%s: %w", w.name, err)
			}
			if round > 0 { // the first fills the page cache
				speeds[w.name] = append(speeds[w.name], float64(r.Bytes())/(1<<20)/time.Since(began).Seconds())
			}
		}
	}
	median := func(name string) float64 {
		slices.Sort(speeds[name])
		return speeds[name][len(speeds[name])/2]
	}
	base := median("plain")
	cells := []string{fmt.Sprintf("%.0f", base)}
	for _, w := range ways[1:] {
		cells = append(cells, fmt.Sprintf("%.0f", median(w.name)))
		if w.name == "batches" || w.name == "command" {
			cells = append(cells, fmt.Sprintf("%.0f %%", 100*median(w.name)/base))
		}
	}
	return strings.Join(cells, " | "), nil
}

// plain sends the requests of a replay and throws away what comes.
func plain(ctx context.Context, r *replay.Replay, store segments.Store, parallel int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for request, err := range r.Requests(ctx) {
		if err != nil {
			return err
		}
		g.Go(func() error {
			_, err := store.Get(ctx, request.Key, request.Offset, request.Length)
			return err
		})
	}
	return g.Wait()
}

func stream(ctx context.Context, r *replay.Replay, f replay.Format) error {
	s, err := replay.NewStream(io.Discard, f)
	if err != nil {
		return err
	}
	if err := r.Run(ctx, s); err != nil {
		return err
	}
	return s.Close()
}
