package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/torture/history"
)

// ClusterOptions says what to do to a cluster, beyond what Options says of clients and times.
type ClusterOptions struct {
	Options
	Firn     string        // the binary
	Kinds    []Strike      // of strikes; nil: all
	MaxPause time.Duration // of what is frozen, cut off or down; 15 s
	Interval time.Duration // about how long all is well between clients' recovery and the next strike; 1 s
	Preload  int64         // records that are written before the first strike
	Flags    []string      // of nodes, further ones
	Other    string        // the binary of another version, to which RollNodes goes, and back; empty: the same
}

// ClusterResult is what the torture of a cluster found out.
type ClusterResult struct {
	history.Report
	Table     Table
	Linear    Linear
	Churned   int
	Transfers string // what became of them; empty: there were none
}

func (r ClusterResult) String() string {
	var b strings.Builder
	b.WriteString(counts(r.Report))
	if r.Churned > 0 {
		fmt.Fprintf(&b, "%-28s %d\n", "topics churned", r.Churned)
	}
	if r.Transfers != "" {
		fmt.Fprintf(&b, "%-28s %s\n", "transfers", r.Transfers)
	}
	b.WriteString(r.Linear.String())
	b.WriteString(r.Table.String())
	return b.String()
}

// Chaos is the table, for who wants to add it to others.
func (r ClusterResult) Chaos() Table { return r.Table }

// comeback is how long after a strike, when everything runs again, every partition must have
// acknowledged something.
const comeback = 90 * time.Second

// TortureCluster does with a cluster what Torture does with a server, and reads everything back
// through every node.
func TortureCluster(ctx context.Context, opts ClusterOptions) (ClusterResult, error) {
	opts.Options = opts.withDefaults()
	opts.Tails = clusterNodes + 1
	opts.MaxPause = orDefault(opts.MaxPause, 15*time.Second)
	opts.Interval = orDefault(opts.Interval, time.Second)
	if opts.Kinds == nil {
		opts.Kinds = ClusterStrikes
	}
	result := ClusterResult{Table: newTable(opts.Seed)}
	cl, err := startCluster(ctx, plan{firn: opts.Firn, other: opts.Other, dir: opts.Dir, flags: opts.Flags,
		namespaces: slices.Contains(opts.Kinds, Partition) && whyNoNetwork() == ""})
	defer cl.stop()
	if err != nil {
		return result, err
	}
	c := &crowd{opts: opts.Options, addrs: cl.addrs(), checker: history.New(opts.Plain),
		stalls: newStalls(opts.Producers, opts.Partitions), trace: newTrace(opts.Plain), errors: map[string]int{}}
	// Each tail but the last reads through a node of its own, whatever leads; that one goes where
	// Metadata sends it, as clients do.
	c.tailing = func(i int) []kgo.Opt {
		if i == clusterNodes {
			return nil
		}
		return []kgo.Opt{through(c.addrs[i])}
	}
	s, err := newStriker(ctx, cl, c, opts, result.Table)
	if err != nil {
		return result, err
	}
	defer s.close()
	if err := c.createTopic(ctx); err != nil {
		return result, err
	}
	ch, bank := newChurn(c), newTransfers(c)
	further := []func(context.Context) error{func(ctx context.Context) error { return s.guest.write(ctx, c) }}
	if opts.Transfers > 0 {
		further = append(further, bank.run)
	}
	err = c.work(ctx, func(ctx context.Context) error {
		return c.strikeCluster(ctx, s, opts)
	}, ch, further...)
	result.Churned = ch.count()
	c.stalls.fill(result.Table)
	if err != nil {
		result.Report = c.checker.SoFar()
		result.Table.judge(result.Report)
		if failures := c.failures(); failures != "" {
			err = errors.Join(err, fmt.Errorf("clients were shown errors:%s", failures))
		}
		return result, err
	}
	result.Report, err = c.judgeCluster(ctx, cl, ch)
	if opts.Transfers > 0 {
		result.Transfers = bank.String()
		err = errors.Join(err, bank.judge(ctx))
	}
	result.Table.judge(result.Report)
	result.Linear = c.trace.judge(ctx)
	return result, errors.Join(err, result.Linear.Err())
}

// strikeCluster strikes with one kind after another, in an order that is drawn anew each time that
// all have been used. Mostly it waits until clients have recovered from a strike, sometimes it does
// not.
func (c *crowd) strikeCluster(ctx context.Context, s *striker, opts ClusterOptions) error {
	if err := c.preload(ctx, opts.Preload); err != nil {
		return err
	}
	deadline := time.Now().Add(opts.Duration)
	var deck []Strike
	feeling := false // clients have not recovered yet
	for n := 0; time.Now().Before(deadline) && (opts.Strikes == 0 || n < opts.Strikes); n++ {
		if len(deck) == 0 {
			for _, i := range s.random.Perm(len(opts.Kinds)) {
				deck = append(deck, opts.Kinds[i])
			}
		}
		kind := deck[0]
		deck = deck[1:]
		if err := s.rest(ctx, opts.Interval); err != nil {
			return err
		}
		over := c.stalls.begin(kind, feeling)
		c.checker.Begin(string(kind))
		if !feeling {
			c.checker.Strike()
			feeling = true
		}
		fmt.Fprintf(opts.Log, "%s strike %d: %s\n", time.Now().Format("15:04:05.000"), n+1, kind)
		err := s.strike(ctx, kind)
		switch {
		case err == nil:
			s.table.row(kind).Injected++
		case !errors.Is(err, errNothing):
			return fmt.Errorf("strike %d, %s: %w", n+1, kind, err)
		}
		c.stalls.back()
		if s.random.IntN(8) > 0 || n+1 == opts.Strikes {
			if err := c.recovered(ctx, over, s, kind); err != nil {
				return err
			}
			c.checker.Struck()
			feeling = false
		}
		if !s.dumped && slices.Contains(opts.Kinds, RewindRedis) && s.random.IntN(2) == 0 {
			if err := s.dump(); err != nil {
				return err
			}
		}
	}
	return nil
}

// preload waits until that many records are there, of which producers write as many as they can
// meanwhile.
func (c *crowd) preload(ctx context.Context, records int64) error {
	c.hurry.Store(true)
	defer c.hurry.Store(false)
	for c.checker.SoFar().Acknowledged < records {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// recovered waits until every partition has acknowledged something that was sent after the strike.
func (c *crowd) recovered(ctx context.Context, over <-chan struct{}, s *striker, kind Strike) error {
	select {
	case <-over:
		return s.running()
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(comeback):
		return fmt.Errorf("%v after %s, these partitions have acknowledged nothing:%s\n%s", comeback, kind,
			c.stalls.missing(), s.outputs())
	}
}

// judgeCluster has everything read back through each node, when all of them were just started and
// Redis is empty.
func (c *crowd) judgeCluster(ctx context.Context, cl *cluster, ch *churn) (history.Report, error) {
	for _, m := range cl.nodes {
		m.kill()
	}
	if err := errors.Join(cl.tellRedis("FLUSHALL"), cl.startNodes(ctx)); err != nil {
		return history.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(2*patience, c.opts.Duration))
	defer cancel()
	var first *history.Reader
	var faults []error
	for i, addr := range c.addrs {
		final, err := c.readBack(ctx, through(addr))
		if err != nil {
			faults = append(faults, fmt.Errorf("reading everything back through node %d: %w", i+1, err))
			continue
		}
		if first == nil {
			first = final
		}
		for p := range int32(c.opts.Partitions) {
			if first.Next(p) != final.Next(p) {
				faults = append(faults, fmt.Errorf("partition %d ends at %d for node %d, and at %d for the one before", p,
					final.Next(p), i+1, first.Next(p)))
			}
		}
	}
	if first == nil {
		return c.checker.SoFar(), errors.Join(faults...)
	}
	report := c.checker.Finish(first)
	faults = append(faults, report.Err(), ch.judge(ctx))
	if failures := c.failures(); failures != "" {
		faults = append(faults, fmt.Errorf("clients were shown errors:%s", failures))
	}
	return report, errors.Join(faults...)
}
