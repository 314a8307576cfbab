// Command stack runs MinIO and Redis as ordinary processes on loopback, for development: what `make
// stack` and `make stack-down` call.
//
//	stack up       installs what is missing, starts what is not running, and says what to paste next
//	stack down     stops what up has started; the data stays
//	stack status   says what is running
//	stack install  installs what the tests need: both S3 servers, and Redis
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"firn.dev/localstack"
)

// bucket is the one that up creates.
const bucket = "firn"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

// stack is where the servers listen and where their data is.
type stack struct {
	data, minioAddr, redisAddr string
}

func run(ctx context.Context, args []string) error {
	var s stack
	flags := flag.NewFlagSet("stack", flag.ContinueOnError)
	flags.StringVar(&s.data, "data", "localstack/data", "`directory` for data, logs and process ids")
	flags.StringVar(&s.minioAddr, "minio", "127.0.0.1:9000", "`host:port` of MinIO")
	flags.StringVar(&s.redisAddr, "redis", "127.0.0.1:6379", "`host:port` of Redis")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if s.data, err = filepath.Abs(s.data); err != nil {
		return err
	}
	switch command := flags.Arg(0); command {
	case "up":
		return s.up(ctx)
	case "down":
		return s.down(ctx)
	case "status":
		return s.status()
	case "install":
		return localstack.Install(ctx, os.Stderr, localstack.MinIO, localstack.Versity, localstack.RedisDB)
	default:
		return fmt.Errorf("%q is none of up, down, status, install", command)
	}
}

// services are the servers of the stack, in the order in which they start.
func (s stack) services() []service {
	return []service{
		{name: localstack.MinIO, dir: s.data, addr: s.minioAddr,
			start: func(ctx context.Context, o localstack.Options) (*localstack.Server, error) {
				m, err := localstack.StartMinIO(ctx, o)
				if err == nil {
					err = m.CreateBucket(ctx, bucket)
				}
				return m.Server, err
			}},
		{name: localstack.RedisDB, dir: s.data, addr: s.redisAddr,
			start: func(ctx context.Context, o localstack.Options) (*localstack.Server, error) {
				r, err := localstack.StartRedis(ctx, o)
				return r.Server, err
			}},
	}
}

func (s stack) up(ctx context.Context) error {
	if err := localstack.Install(ctx, os.Stderr, localstack.MinIO, localstack.RedisDB); err != nil {
		return err
	}
	for _, service := range s.services() {
		if err := service.up(ctx); err != nil {
			return err
		}
	}
	fmt.Printf(`
Paste next:

  export MINIO_ROOT_USER=%s MINIO_ROOT_PASSWORD=%s
  export FIRN_STORE='minio://%s/%s?secure=false' FIRN_COORDINATOR=redis://%s
  bin/firn doctor
  bin/firn serve

A second node, in another terminal, with the same exports:

  bin/firn serve --node-id 2 --kafka-addr 127.0.0.1:9093 --http-addr 127.0.0.1:8081

'make stack-down' stops the servers and leaves their data.
`, localstack.AccessKey, localstack.SecretKey, s.minioAddr, bucket, s.redisAddr)
	return nil
}

func (s stack) down(ctx context.Context) error {
	var errs []error
	for _, service := range s.services() {
		errs = append(errs, service.down(ctx))
	}
	return errors.Join(errs...)
}

func (s stack) status() error {
	for _, service := range s.services() {
		if pid, running := service.running(); running {
			fmt.Printf("%-6s runs on %s, process %d\n", service.name, service.addr, pid)
		} else {
			fmt.Printf("%-6s does not run\n", service.name)
		}
	}
	return nil
}
