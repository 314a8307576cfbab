// Command groups has members of one consumer group, on clients that other people wrote and in
// processes of their own, come, go and be killed while a node is killed as well, and judges what
// they did with every record. See README.md for what it showed.
//
//	go run ./test/groups --firn bin/firn
//	go run ./test/groups --firn bin/firn --only shares
//	go run ./test/groups --firn bin/firn --only streams
//	go run ./test/groups --firn bin/firn --only mixed --clients java,confluent \
//	  --protocol consumer --assignor range
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"firn.dev/test/process"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{out: os.Stdout}
	flag.StringVar(&o.firn, "firn", "bin/firn", "the firn binary")
	flag.StringVar(&o.here, "here", "test/groups", "where this program's sources are")
	flag.StringVar(&o.only, "only", "mixed,chain,replay",
		"what to run: mixed, chain, replay; shares; streams, connect, mirror, flink")
	flag.StringVar(&o.clients, "clients", "", "of mixed groups, separated by commas; empty: all that know the assignor")
	flag.StringVar(&o.protocol, "protocol", "", "of mixed groups: classic, consumer, upgrade; empty: each")
	flag.StringVar(&o.assignor, "assignor", "", "of mixed groups; empty: each that several clients know")
	flag.IntVar(&o.strikes, "strikes", 6, "kill -9 of members and nodes in each mixed group")
	flag.IntVar(&o.nodes, "nodes", 3, "1: on a directory; more: on MinIO and Redis")
	flag.IntVar(&o.records, "records", 500_000, "that pass the chain")
	flag.IntVar(&o.tasks, "tasks", 1_000_000, "records that a share group works through")
	flag.IntVar(&o.words, "words", 20_000, "that Kafka Streams counts, and numbers that the others copy")
	flag.StringVar(&o.naming, "naming", "INCREMENTING", "of Flink's transactions: INCREMENTING or POOLING")
	flag.Parse()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "groups:", err)
		os.Exit(1)
	}
}

type options struct {
	firn, here, only            string
	clients, protocol, assignor string
	naming                      string
	strikes, nodes              int
	records, words, tasks       int
	out                         io.Writer
}

func (o options) wants(what string) bool { return slices.Contains(strings.Split(o.only, ","), what) }

func (o options) run(ctx context.Context) error {
	dir, remove, err := temporary()
	if err != nil {
		return err
	}
	defer remove()
	c, err := startCluster(ctx, o.firn, dir, o.nodes)
	defer c.stop()
	if err != nil {
		return err
	}
	if o.wants("replay") {
		if err := replay(ctx, c, o.firn, 3000); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		fmt.Fprintln(o.out, "replay: two groups read independently; reset to a time, a group reads exactly the records "+
			"from then on")
	}
	if o.wants("chain") {
		if err := o.chains(ctx, c); err != nil {
			return err
		}
	}
	if o.wants("shares") {
		if err := o.shares(ctx, c); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pipelines)) {
		if !o.wants(name) {
			continue
		}
		if err := o.pipeline(ctx, name, c, dir); err != nil {
			return err
		}
	}
	if o.wants("mixed") {
		worker, err := process.Build(ctx, dir, "firn.dev/test/groups/worker")
		if err != nil {
			return err
		}
		return o.mixedGroups(ctx, c, worker)
	}
	return nil
}

func (o options) chains(ctx context.Context, c *cluster) error {
	for _, balance := range []string{"range", "roundrobin", "sticky", "cooperative-sticky", "consumer protocol"} {
		one := &chain{cluster: c, balance: balance, records: o.records}
		took, err := one.run(ctx)
		if err != nil {
			return fmt.Errorf("chain, %s: %w", balance, err)
		}
		fmt.Fprintf(o.out, "chain, %s: %d records through %d stages in %v, partitions given %d times; each record once "+
			"and in order\n",
			balance, o.records, stages, took.Round(100*time.Millisecond), one.moves.Load())
	}
	return nil
}

// kinds are the mixed groups: the protocol and the assignor that members name.
var kinds = [][2]string{{"classic", "range"}, {"classic", "roundrobin"}, {"classic", "cooperative-sticky"},
	{"consumer", "uniform"}, {"consumer", "range"}, {"upgrade", "range"}}

func (o options) mixedGroups(ctx context.Context, c *cluster, worker string) error {
	here, err := filepath.Abs(o.here)
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if o.protocol != "" && o.protocol != kind[0] || o.assignor != "" && o.assignor != kind[1] {
			continue
		}
		for _, strikes := range slices.Compact([]int{0, o.strikes}) {
			m := &mixed{cluster: c, protocol: kind[0], assignor: kind[1], strikes: strikes, log: o.out,
				random: rand.New(rand.NewPCG(1, uint64(strikes)))}
			m.choose(allClients(worker, here), o.clients)
			if err := m.judged(ctx, o.out); err != nil {
				return err
			}
		}
	}
	return nil
}
