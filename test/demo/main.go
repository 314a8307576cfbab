// Command demo takes real input through a real server: every line of every .go file of Go's own
// source, keyed by file path, is written by kcat into a freshly started firn, and read back by two
// clients that share no code with it or with each other, kafkajs and franz-go. For every key the
// lines have to come back complete and in order.
//
//	go run ./test/demo -firn bin/firn
//	go run ./test/demo -bootstrap 127.0.0.1:9092    on servers that are there, and have no topic of
//	                                                that name yet
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"firn.dev/test/process"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	firn := flag.String("firn", "", "the firn binary; empty: build it")
	source := flag.String("source", "", "`directory` of .go files; empty: Go's own source")
	bootstrap := flag.String("bootstrap", "", "`host:port` of a server that is there; empty: start one")
	reader := flag.String("kafkajs", "test/kafkajs", "`directory` of the kafkajs reader")
	flag.Parse()
	if err := demonstrate(ctx, *firn, *bootstrap, *source, *reader); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demonstrate runs the demo, on a temporary directory which it removes if all is well, unless it is
// told of a server.
func demonstrate(ctx context.Context, firn, bootstrap, source, reader string) error {
	if source == "" {
		var err error
		if source, err = goSource(ctx); err != nil {
			return err
		}
	}
	d := demo{source: source, reader: reader, say: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
	if bootstrap != "" {
		return d.writeAndRead(ctx, bootstrap, "")
	}
	dir, err := os.MkdirTemp("", "firn-demo-")
	if err != nil {
		return err
	}
	if firn == "" {
		if firn, err = process.Build(ctx, dir, "firn.dev/cmd/firn"); err != nil {
			return err
		}
	}
	if err := d.run(ctx, process.Firn(firn), filepath.Join(dir, "bucket")); err != nil {
		return fmt.Errorf("%w (data in %s)", err, dir)
	}
	return os.RemoveAll(dir)
}

// goSource is where Go's own source lies.
func goSource(ctx context.Context) (string, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(goroot)), "src"), nil
}
