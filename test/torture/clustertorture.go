package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn/test/torture/history"
)

// ClusterOptions says what to do to a cluster, beyond what Options says of clients and times.
type ClusterOptions struct {
	Options
	Firn     string        // the binary
	Kinds    []Strike      // of strikes; nil: all
	MaxPause time.Duration // of what is frozen, cut off or down; 15 s
}

// ClusterResult is what the torture of a cluster found out.
type ClusterResult struct {
	history.Report
	Struck  map[Strike]int
	Churned int
	outages *outages
}

func (r ClusterResult) String() string {
	var b strings.Builder
	b.WriteString(counts(r.Report))
	if r.Churned > 0 {
		fmt.Fprintf(&b, "%-28s %d\n", "topics churned", r.Churned)
	}
	for _, kind := range append(slices.Clip(ClusterStrikes), RollNodes) {
		if n := r.Struck[kind]; n > 0 {
			fmt.Fprintf(&b, "%-28s %d\n", "strikes ("+string(kind)+")", n)
		}
	}
	if r.outages != nil {
		b.WriteString(r.outages.String())
	}
	return b.String()
}

// comeback is how long after a strike, when everything runs again, every partition must have acknowledged something.
const comeback = 90 * time.Second

// TortureCluster does with a cluster what Torture does with a server, and reads everything back through every node.
func TortureCluster(ctx context.Context, opts ClusterOptions) (ClusterResult, error) {
	opts.Options = opts.withDefaults()
	opts.Tails = clusterNodes
	opts.MaxPause = orDefault(opts.MaxPause, 15*time.Second)
	if opts.Kinds == nil {
		opts.Kinds = ClusterStrikes
	}
	cl, err := startCluster(ctx, opts.Firn, opts.Dir)
	defer cl.stop()
	if err != nil {
		return ClusterResult{}, err
	}
	c := &crowd{opts: opts.Options, addrs: cl.addrs(), checker: history.New(opts.Plain), outages: newOutages(opts.Partitions), errors: map[string]int{}}
	// Each tail reads through a node of its own, whatever leads.
	c.tailing = func(i int) []kgo.Opt { return []kgo.Opt{through(c.addrs[i])} }
	if err := c.createTopic(ctx); err != nil {
		return ClusterResult{}, err
	}
	result := ClusterResult{Struck: map[Strike]int{}, outages: c.outages}
	ch := newChurn(c)
	s := &striker{cluster: cl, random: rand.New(rand.NewPCG(opts.Seed, 0)), maxPause: opts.MaxPause}
	err = c.work(ctx, func(ctx context.Context) error { return c.strikeCluster(ctx, s, opts, result.Struck) }, ch)
	result.Churned = ch.count()
	if err != nil {
		result.Report = c.checker.SoFar()
		if failures := c.failures(); failures != "" {
			err = errors.Join(err, fmt.Errorf("clients were shown errors:%s", failures))
		}
		return result, err
	}
	result.Report, err = c.judgeCluster(ctx, cl, ch)
	return result, err
}

// strikeCluster strikes with one kind after another, in an order that is drawn anew each time that all have been used. Mostly it waits until
// clients have recovered from a strike, sometimes it does not.
func (c *crowd) strikeCluster(ctx context.Context, s *striker, opts ClusterOptions, struck map[Strike]int) error {
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
		if err := s.wait(ctx); err != nil {
			return err
		}
		over := c.outages.begin(kind)
		if !feeling {
			c.checker.Strike()
			feeling = true
		}
		fmt.Fprintf(opts.Log, "%s strike %d: %s\n", time.Now().Format("15:04:05.000"), n+1, kind)
		if err := s.strike(ctx, kind); err != nil {
			return fmt.Errorf("strike %d, %s: %w", n+1, kind, err)
		}
		struck[kind]++
		if s.random.IntN(4) > 0 || n+1 == opts.Strikes {
			if err := c.recovered(ctx, over, s, kind); err != nil {
				return err
			}
			c.checker.Struck()
			feeling = false
		}
		if !s.dumped && s.random.IntN(2) == 0 {
			if err := s.dump(); err != nil {
				return err
			}
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
		return fmt.Errorf("%v after %s, partitions %v have acknowledged nothing\n%s", comeback, kind, c.outages.missing(), s.outputs())
	}
}

// judgeCluster has everything read back through each node, when all of them were just started and Redis is empty.
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
				faults = append(faults, fmt.Errorf("partition %d ends at %d for node %d, and at %d for the one before", p, final.Next(p), i+1, first.Next(p)))
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
