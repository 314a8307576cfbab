package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"firn/coordinator"
)

// Coordinator is a coordinator.Coordinator whose state is in Redis. It holds none itself but a name that Redis checks at each call. Close
// it after use.
type Coordinator struct {
	opts    Options
	client  redis.UniversalClient
	process func(context.Context, *redis.Cmd) error // sends a script
	shard   shard
	known   atomic.Pointer[opened]
}

var _ coordinator.Coordinator = (*Coordinator)(nil)

// opened is an incarnation and its generation, as they were last seen. Scripts refuse a generation that is not the current one, so
// that knowing an old one does no harm.
type opened struct {
	in         coordinator.Incarnation
	generation string
}

// New connects to Redis, and refuses one that may throw keys away.
func New(ctx context.Context, opts Options) (*Coordinator, error) {
	opts = opts.withDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{opts: opts, client: opts.connect(opts.PoolSize, opts.dialer()), shard: newShard(opts.Prefix, 0)}
	c.process = c.processOnce
	if err := c.checkServers(ctx); err != nil {
		return nil, errors.Join(err, c.client.Close())
	}
	return c, nil
}

// Close closes the connections. Calls under way fail.
func (c *Coordinator) Close() error { return c.client.Close() }

// Incarnation implements coordinator.Log.
func (c *Coordinator) Incarnation(ctx context.Context) (coordinator.Incarnation, error) {
	seen, err := c.look(ctx)
	if err != nil {
		return 0, err
	}
	if !seen.trusted {
		return 0, seen.untrusted()
	}
	in, err := parseGeneration(seen.generation)
	if err == nil {
		c.known.Store(&opened{in, seen.generation})
	}
	return in, err
}

// ClusterID is that of the bucket whose state is open: see coordinator.Node.
func (c *Coordinator) ClusterID(ctx context.Context, in coordinator.Incarnation) (string, error) {
	seen, err := c.look(ctx)
	if err != nil {
		return "", err
	}
	if !seen.trusted {
		return "", seen.untrusted()
	}
	if now, err := parseGeneration(seen.generation); err != nil || now != in {
		return "", errors.Join(coordinator.ErrIncarnation, err)
	}
	return seen.cluster, nil
}

// looked is what look.lua saw.
type looked struct {
	generation, cluster string // empty if nothing was ever opened
	trusted             bool
	server              string
	now                 time.Time
}

func (l *looked) untrusted() error {
	if l.generation == "" {
		return fmt.Errorf("%w (nothing was opened here)", coordinator.ErrNotOpen)
	}
	return fmt.Errorf("%w (%s was opened on another server, or in another life of this one)", coordinator.ErrNotOpen, l.generation)
}

func (c *Coordinator) look(ctx context.Context) (looked, error) {
	answer, err := c.run(ctx, lookScript, []string{c.shard.current()}, "")
	if err != nil {
		return looked{}, err
	}
	r := newReply(answer)
	l := looked{generation: r.string(), cluster: r.string(), trusted: r.int() == 1, server: r.string(), now: time.UnixMicro(r.int())}
	return l, r.err
}

// generation returns the keys of an incarnation.
func (c *Coordinator) generation(ctx context.Context, in coordinator.Incarnation) (generation, error) {
	known := c.known.Load()
	if known == nil || known.in != in {
		now, err := c.Incarnation(ctx)
		if err != nil {
			return generation{}, err
		}
		if now != in {
			return generation{}, fmt.Errorf("%w (%d is open)", coordinator.ErrIncarnation, now)
		}
		known = c.known.Load()
		if known.in != in {
			return generation{}, coordinator.ErrIncarnation
		}
	}
	return c.shard.generation(known.generation), nil
}

func parseGeneration(name string) (coordinator.Incarnation, error) {
	number, _, _ := strings.Cut(name, ".")
	in, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("redis: generation %q: %w", name, err)
	}
	return coordinator.Incarnation(in), nil
}

// Settled implements coordinator.Log.
func (c *Coordinator) Settled(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return 0, err
	}
	answer, err := c.run(ctx, settledScript, []string{c.shard.current(), g.counters(), g.order()}, g.name)
	if err != nil {
		return 0, err
	}
	r := newReply([]any{answer})
	return uint64(r.int()), r.err
}

// Latest implements coordinator.Log.
func (c *Coordinator) Latest(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return 0, err
	}
	answer, err := c.run(ctx, latestScript, []string{c.shard.current(), g.counters()}, g.name)
	if err != nil {
		return 0, err
	}
	r := newReply([]any{answer})
	return uint64(r.int()), r.err
}

// Confirm implements coordinator.Log.
func (c *Coordinator) Confirm(ctx context.Context, in coordinator.Incarnation, seqs []uint64) error {
	g, err := c.generation(ctx, in)
	if err != nil {
		return err
	}
	args := make([]any, 0, 2+len(seqs))
	args = append(args, g.name, c.opts.Retain)
	for _, seq := range seqs {
		args = append(args, seq)
	}
	_, err = c.run(ctx, confirmScript, []string{c.shard.current(), g.counters(), g.usable(), g.settling(), g.stream(), g.pending(), g.order(),
		g.commits(), g.commitTimes(), g.changes(), g.changeTimes()}, args...)
	return err
}
