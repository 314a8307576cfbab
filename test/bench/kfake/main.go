// Command kfake serves franz-go's in-memory broker with its data on disk and an fsync for every
// write: the nearest thing in Go to what firn serve does on its file store, and so the peer that it
// is measured beside.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	addr := flag.String("kafka-addr", "127.0.0.1:9092", "where to serve Kafka clients, `HOST:PORT`")
	dir := flag.String("data", "", "`directory` of the data")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "kfake:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, addr, dir string) error {
	_, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(),
		kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(12))
	if err != nil {
		return err
	}
	<-ctx.Done()
	cluster.Close()
	return nil
}
