// Tail measures what a consumer at the tail notices of a full replay: from the moment at which a
// record was due to be sent until the consumer has it, alone, while clients read the whole history
// through the node, and while firn replay reads it straight from the bucket. MinIO, Redis, the node
// and all clients run on this machine, so they share its CPU.
//
//	go run ./test/bench/tail -firn bin/firn -gib 4
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"firn.dev/localstack"
	"firn.dev/test/process"
)

const (
	bucket     = "firn"
	history    = "history" // the topic that is replayed
	live       = "live"    // the topic whose tail is read
	partitions = 12
	valueBytes = 1024
	// after so long what was written counts as old, and its reads go through the share that replays
	// have
	old = time.Minute
)

type options struct {
	firn    string
	gib     float64
	rounds  int
	readers int
	rate    int // records a second at the tail
	howLong time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.firn, "firn", "bin/firn", "the firn to measure")
	flag.Float64Var(&o.gib, "gib", 4, "GiB of records in the history: more than memory keeps of it")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the table shows all of their records together")
	flag.IntVar(&o.readers, "readers", 4, "clients that read the history at once")
	flag.IntVar(&o.rate, "rate", 200, "records a second at the tail")
	flag.DurationVar(&o.howLong, "for", 15*time.Second, "how long each measure takes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "tail:", err)
		os.Exit(1)
	}
}

// stack is MinIO, Redis and one node.
type stack struct {
	options
	minio localstack.S3
	redis localstack.Redis
	store string // URL of the bucket
	dir   string
	node  *process.Process
}

func run(ctx context.Context, o options) error {
	if err := localstack.Install(ctx, os.Stderr, "minio", "redis"); err != nil {
		return err
	}
	dir, err := localstack.TempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &stack{options: o, dir: dir}
	defer s.stop()
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.measure(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, s.node.Output())
	}
	return nil
}

// start starts everything, and fills the history.
func (s *stack) start(ctx context.Context) (err error) {
	if s.minio, err = localstack.StartMinIO(ctx, localstack.Options{Dir: s.dir + "/minio"}); err != nil {
		return err
	}
	if err := s.minio.CreateBucket(ctx, bucket); err != nil {
		return err
	}
	s.store = s.minio.MinIOURL(bucket, "log")
	if s.redis, err = localstack.StartRedis(ctx, localstack.Options{Dir: s.dir + "/redis"}); err != nil {
		return err
	}
	if err := s.startNode(ctx); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, s.node.Output())
	}
	// A node that starts anew has nothing of the history in memory.
	s.node.Kill()
	return s.startNode(ctx)
}

func (s *stack) startNode(ctx context.Context) error {
	spec, err := process.NewSpec([]string{s.firn, "serve", "--store", s.store, "--coordinator", s.redis.URL(),
		"--merge-rate", "none",
		"--kafka-addr", "{kafka}", "--http-addr", "{http}"}, s.dir+"/firn")
	if err != nil {
		return err
	}
	if s.node, err = process.Start(spec); err != nil {
		return err
	}
	_, err = s.node.Ready(ctx)
	return err
}

func (s *stack) stop() {
	if s.node != nil {
		s.node.Kill()
	}
	if s.redis.Server != nil {
		s.redis.Kill()
	}
	if s.minio.Server != nil {
		s.minio.Kill()
	}
}
