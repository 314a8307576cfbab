package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"firn.dev/test/process"
	"firn.dev/test/torture/history"
)

// Options says what to do to which server. Zero numbers mean their defaults.
type Options struct {
	Command  []string      // of the server: see process.Spec
	Dir      string        // where its data goes
	Duration time.Duration // how long to strike; a minute
	Strikes  int           // stop after that many; 0: go by Duration alone
	Strike   Strike
	Plain    bool // producers without idempotence
	Churn    bool // create, grow and delete topics meanwhile

	Transfers  int // producers of transactions, with a cluster; 0
	Producers  int // 4
	Partitions int // 12
	Tails      int // readers of everything from the start; 2
	Rereaders  int // readers of some of it, from somewhere; 2

	Seed uint64
	Log  io.Writer // progress; nil: none
}

func (o Options) withDefaults() Options {
	o.Duration = orDefault(o.Duration, time.Minute)
	o.Strike = orDefault(o.Strike, Kill)
	o.Producers = orDefault(o.Producers, 4)
	o.Partitions = orDefault(o.Partitions, 12)
	o.Tails = orDefault(o.Tails, 2)
	o.Rereaders = orDefault(o.Rereaders, 2)
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Result is what a torture found out.
type Result struct {
	history.Report
	Strike   Strike
	Strikes  int
	Table    Table
	Linear   Linear
	Restarts []time.Duration // from exec until the first Metadata answer
	Ends     []time.Duration // how long a server took to end by itself, when terminated or fenced
	Churned  int             // topics that were created, grown and deleted meanwhile
}

func (r Result) String() string {
	var b strings.Builder
	b.WriteString(counts(r.Report))
	line := func(name string, value any) { fmt.Fprintf(&b, "%-28s %v\n", name, value) }
	line("strikes ("+string(r.Strike)+")", r.Strikes)
	line("restart p50 / max", spread(r.Restarts))
	if len(r.Ends) > 0 {
		line("end by itself p50 / max", spread(r.Ends))
	}
	if r.Churned > 0 {
		line("topics churned", r.Churned)
	}
	b.WriteString(r.Linear.String())
	b.WriteString(r.Table.String())
	return b.String()
}

// counts is what a history came to, line by line.
func counts(r history.Report) string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%-28s %v\n", name, value) }
	line("acknowledged", r.Acknowledged)
	line("read", r.Read)
	line("there at the end", r.Records)
	line("unanswered, written", r.MaybeWritten)
	line("unanswered, not written", r.MaybeNot)
	line("written twice by plain retries", r.Retried)
	line("duplicates", r.Faults[history.Duplicate])
	line("moved", r.Faults[history.Moved])
	line("lost", r.Faults[history.Lost])
	line("reordered", r.Faults[history.Reordered])
	line("holes", r.Faults[history.Hole])
	line("foreign", r.Faults[history.Foreign])
	line("watermarks gone back", r.Faults[history.Rewound])
	return b.String()
}

func spread(ds []time.Duration) string {
	if len(ds) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(ds))
	return fmt.Sprintf("%v / %v", sorted[len(sorted)/2].Round(time.Millisecond),
		sorted[len(sorted)-1].Round(time.Millisecond))
}

// Torture does it. The error says what is wrong with the history, or why there is none; the result
// holds what is known in either case.
func Torture(ctx context.Context, opts Options) (Result, error) {
	opts = opts.withDefaults()
	result := Result{Strike: opts.Strike, Table: newTable(opts.Seed)}
	t := &target{}
	if opts.Strike == FillDisk {
		if why := whyNoDisk(); why != "" {
			result.Table.row(FillDisk).Notes["not struck, because "+why]++
			return result, nil
		}
	}
	for range 2 {
		spec, err := process.NewSpec(opts.Command, filepath.Join(opts.Dir, "data"))
		if err != nil {
			return result, err
		}
		t.specs = append(t.specs, spec)
		if opts.Strike != Takeover {
			break
		}
	}
	defer t.stop()
	if opts.Strike == FillDisk {
		var err error
		if t.disk, err = newDisk(t.specs[0].Dir); err != nil {
			return result, err
		}
	}
	if err := t.start(ctx); err != nil {
		return result, err
	}
	c := &crowd{opts: opts, addrs: t.addrs(), checker: history.New(opts.Plain),
		stalls: newStalls(opts.Producers, opts.Partitions), trace: newTrace(opts.Plain), errors: map[string]int{},
		tailing: func(int) []kgo.Opt { return nil }}
	if err := c.createTopic(ctx); err != nil {
		return result, err
	}
	ch := newChurn(c)
	err := c.work(ctx, func(ctx context.Context) error { return c.strikeAll(ctx, t, result.Table) }, ch)
	result.Strikes, result.Restarts, result.Ends, result.Churned = t.strikes, t.restarts, t.ends, ch.count()
	c.stalls.fill(result.Table)
	if err != nil {
		result.Report = c.checker.SoFar()
	} else {
		result.Report, err = c.judge(ctx, t, ch)
		result.Linear = c.trace.judge(ctx)
		err = errors.Join(err, result.Linear.Err())
	}
	result.Table.judge(result.Report)
	return result, err
}

func (c *crowd) createTopic(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = kadm.NewClient(client).CreateTopic(ctx, int32(c.opts.Partitions), 1, nil, topic)
	// the client made the call again by itself, because the server was slow
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating the topic: %w", err)
	}
	return nil
}

// work has everybody write and read until strikes are over; further are other writers.
func (c *crowd) work(ctx context.Context, strike func(context.Context) error, ch *churn,
	further ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	writing, stopWriting := context.WithCancel(ctx)
	defer stopWriting()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	for i := range c.opts.Tails {
		group.Go(func() error { return c.tail(reading, fmt.Sprintf("tail %d", i), i == c.opts.Tails-1, c.tailing(i)...) })
	}
	for i := range c.opts.Rereaders {
		group.Go(func() error { return c.reread(reading, fmt.Sprintf("rereader %d", i), 1000+uint64(i)) })
	}
	writers, _ := errgroup.WithContext(ctx)
	for i := range c.opts.Producers {
		writers.Go(func() error { return c.produce(writing, int32(i)) })
	}
	for _, write := range further {
		writers.Go(func() error { return write(writing) })
	}
	if c.opts.Churn {
		writers.Go(func() error { return ch.run(writing) })
	}
	group.Go(func() error {
		defer stopReading()
		err := strike(ctx)
		stopWriting()
		return errors.Join(err, writers.Wait())
	})
	return group.Wait()
}

// strikeAll strikes the server at random moments.
func (c *crowd) strikeAll(ctx context.Context, t *target, table Table) error {
	random := rand.New(rand.NewPCG(c.opts.Seed, 0))
	deadline := time.Now().Add(c.opts.Duration)
	said := time.Now()
	var over <-chan struct{} // closed when clients have recovered from the strike before
	for time.Now().Before(deadline) && (c.opts.Strikes == 0 || t.strikes < c.opts.Strikes) {
		select {
		case <-time.After(time.Duration(random.Int64N(int64(600 * time.Millisecond)))):
		case <-t.live.Done():
			return fmt.Errorf("the server ended before it was struck:\n%s", t.live.Output())
		case <-ctx.Done():
			return ctx.Err()
		}
		over = c.stalls.begin(c.opts.Strike, pending(over))
		c.checker.Begin(string(c.opts.Strike))
		c.checker.Strike()
		if err := t.strike(ctx, c.opts.Strike, random); err != nil {
			return err
		}
		c.checker.Struck()
		c.stalls.back()
		table.row(c.opts.Strike).Injected++
		if c.opts.Strike == FillDisk { // the others strike while the server recovers, too
			select {
			case <-over:
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(comeback):
				return fmt.Errorf("%v after the disk was full, these partitions have acknowledged nothing:%s\n%s", comeback,
					c.stalls.missing(), t.live.Output())
			}
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Fprintf(c.opts.Log, "%d strikes, restart p50 / max %s, %s left\n", t.strikes, spread(t.restarts),
				time.Until(deadline).Round(time.Second))
		}
	}
	return nil
}

// pending says whether a channel is there and not closed.
func pending(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return c != nil
	}
}

// judge has everything read back from a server that was just started, so that nothing comes from
// its memory.
func (c *crowd) judge(ctx context.Context, t *target, ch *churn) (history.Report, error) {
	t.live.Kill()
	t.strikes++
	if err := t.start(ctx); err != nil {
		return history.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(patience, c.opts.Duration))
	defer cancel()
	final, err := c.readBack(ctx)
	if err != nil {
		err = fmt.Errorf("reading everything back: %w", err)
	}
	if final == nil {
		return history.Report{}, err
	}
	report := c.checker.Finish(final)
	err = errors.Join(err, report.Err(), ch.judge(ctx))
	if failures := c.failures(); failures != "" {
		err = errors.Join(err, fmt.Errorf("clients were shown errors:%s", failures))
	}
	return report, err
}
