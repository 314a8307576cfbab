package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"firn.dev/coordinator"
)

// Coordinator is a coordinator.Coordinator whose state is in Redis. It holds no state itself except
// a name that Redis checks at each call. Close it after use.
type Coordinator struct {
	opts    Options
	dial    dialer
	client  redis.UniversalClient
	process func(context.Context, *redis.Cmd) error // sends a script
	shard   shard
	// known is the generation as it was last seen. Scripts refuse one that is not current, so an old
	// one does no harm.
	known atomic.Pointer[coordinator.Generation]
}

var _ coordinator.Coordinator = (*Coordinator)(nil)

// New connects to Redis, and refuses one that may throw keys away.
func New(ctx context.Context, opts Options) (*Coordinator, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	dial, err := opts.dialer()
	if err != nil {
		return nil, err
	}
	c := &Coordinator{opts: opts, dial: dial, client: opts.connect(opts.PoolSize, dial), shard: newShard(opts.Prefix, 0)}
	c.process = c.processOnce
	if err := c.checkServers(ctx); err != nil {
		return nil, errors.Join(err, c.client.Close())
	}
	return c, nil
}

// Close closes the connections. Calls under way fail.
func (c *Coordinator) Close() error { return c.client.Close() }

// Generation implements coordinator.Log.
func (c *Coordinator) Generation(ctx context.Context) (coordinator.Generation, error) {
	seen, err := c.look(ctx)
	if err != nil {
		return coordinator.Generation{}, err
	}
	if !seen.trusted {
		return coordinator.Generation{}, seen.untrusted()
	}
	g, err := coordinator.ParseGeneration(seen.generation)
	if err != nil {
		return g, err
	}
	if known := c.known.Load(); known != nil && known.Incarnation == g.Incarnation && *known != g {
		return g, fmt.Errorf("%w (%s is open, and %s was before: "+
			"an incarnation was opened twice, so that neither can be gone on with)", coordinator.ErrNotOpen, g, known)
	}
	c.known.Store(&g)
	return g, nil
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
	if now, err := coordinator.ParseGeneration(seen.generation); err != nil || now.Incarnation != in {
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
	return fmt.Errorf("%w (%s was opened on another server, or in another life of this one)",
		coordinator.ErrNotOpen, l.generation)
}

func (c *Coordinator) look(ctx context.Context) (looked, error) {
	answer, err := c.run(ctx, lookScript, []string{c.shard.current()}, "")
	if err != nil {
		return looked{}, err
	}
	r := newReply(answer)
	l := looked{generation: r.string(), cluster: r.string(), trusted: r.int() == 1, server: r.string()}
	l.now = time.UnixMicro(r.int())
	return l, r.err
}

// generation returns the keys of an incarnation.
func (c *Coordinator) generation(ctx context.Context, in coordinator.Incarnation) (generation, error) {
	known := c.known.Load()
	if known == nil || known.Incarnation != in {
		now, err := c.Generation(ctx)
		if err != nil {
			return generation{}, err
		}
		if now.Incarnation != in {
			return generation{}, fmt.Errorf("%w (%d is open)", coordinator.ErrIncarnation, now.Incarnation)
		}
		known = &now
	}
	return c.shard.generation(known.String()), nil
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

// What one call of confirm.lua looks at: partitions of commits, or facts of other kinds.
const confirmAtOnce = 500

// Confirm implements coordinator.Log. Commits of many partitions take several calls.
func (c *Coordinator) Confirm(ctx context.Context, in coordinator.Incarnation, seqs []uint64) error {
	g, err := c.generation(ctx, in)
	if err != nil {
		return err
	}
	keys := []string{
		g.current(), g.counters(), g.usable(), g.settling(), g.stream(), g.pending(), g.order(), g.ends(),
		g.merges(), g.islands(),
	}
	for {
		some := seqs[:min(len(seqs), confirmAtOnce)]
		args := make([]any, 0, 2+len(some))
		args = append(args, g.name, confirmAtOnce)
		for _, seq := range some {
			args = append(args, seq)
		}
		answer, err := c.run(ctx, confirmScript, keys, args...)
		if err != nil {
			return err
		}
		r := newReply([]any{answer})
		done := r.int()
		if r.err != nil || done < 0 || done > int64(len(some)) {
			return fmt.Errorf("redis, confirm: %d of %d facts: %w", done, len(some), r.err)
		}
		if seqs = seqs[done:]; len(seqs) == 0 {
			return nil
		}
	}
}
