// Bucket measures firn on MinIO and Redis, everything on this machine, beside a plain uploader that
// puts the same bytes in objects of the same size into the same MinIO; and where the time of a lone
// produce goes. Every measure is bounded, and everything that it starts ends with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"firn.dev/localstack"
	"firn.dev/segments/minio"
	"firn.dev/test/process"
)

const bucket = "firn"

func main() {
	var o options
	flag.StringVar(&o.firn, "firn", "bin/firn", "the firn to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the table shows medians")
	flag.DurationVar(&o.howLong, "for", 8*time.Second, "how long each measure takes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bucket:", err)
		os.Exit(1)
	}
}

type options struct {
	firn    string
	rounds  int
	howLong time.Duration
}

// stack is MinIO, Redis and one node.
type stack struct {
	minio localstack.S3
	redis localstack.Redis
	store *minio.Store // the uploader's
	node  *process.Process
}

func run(ctx context.Context, o options) (err error) {
	if err := localstack.Install(ctx, os.Stderr, "minio", "redis"); err != nil {
		return err
	}
	dir, err := localstack.TempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := start(ctx, o, dir)
	defer s.stop()
	if err != nil {
		return err
	}
	m := &measurement{stack: s, options: o}
	if err := m.measure(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, s.node.Output())
	}
	m.print(os.Stdout)
	return nil
}

func start(ctx context.Context, o options, dir string) (s *stack, err error) {
	s = &stack{}
	if s.minio, err = localstack.StartMinIO(ctx, localstack.Options{Dir: dir + "/minio"}); err != nil {
		return s, err
	}
	if err := s.minio.CreateBucket(ctx, bucket); err != nil {
		return s, err
	}
	if s.redis, err = localstack.StartRedis(ctx, localstack.Options{Dir: dir + "/redis"}); err != nil {
		return s, err
	}
	if s.store, err = open(s.minio.MinIOURL(bucket, "plain")); err != nil {
		return s, err
	}
	spec, err := process.NewSpec([]string{o.firn, "serve", "--store", s.minio.MinIOURL(bucket, "log"), "--coordinator",
		s.redis.URL(),
		"--kafka-addr", "{kafka}", "--http-addr", "{http}"}, dir+"/firn")
	if err != nil {
		return s, err
	}
	if s.node, err = process.Start(spec); err != nil {
		return s, err
	}
	_, err = s.node.Ready(ctx)
	return s, err
}

func open(url string) (*minio.Store, error) {
	o, err := minio.ParseURL(url)
	if err != nil {
		return nil, err
	}
	return minio.Open(o)
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
