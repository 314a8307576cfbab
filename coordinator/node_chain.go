package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"firn.dev/segments"
)

// chain is the journal of one life, as its writer sees it. One goroutine uses it.
type chain struct {
	store      segments.Store
	life       string
	generation Generation
	next       uint64 // number of the next object; 0: the life has not begun
	clock      func() time.Time
	silence    time.Duration // if set: a chain that has been silent for so long is given up, whatever a put says
	shared     bool          // others of this incarnation may seal it when it has been silent: see sealSilent
	hedges     *hedges       // nil: no put is made twice
	proved     time.Time     // when the last successful put began: no recovery had sealed the chain then
}

// sealsSurely is how long a seal certainly exists after it was put. A put that took so long, or
// came so long after the one before, may have missed the seal, so that its success proves nothing:
// then the chain asks which incarnation is the newest.
const sealsSurely = time.Hour

// begin creates object 0 of a new life's chain and reads, only then, the newest incarnation.
// If that is not the life's own then a recovery is under way or has ended, and may not have
// seen this chain: the life must not begin. A life that could not begin may try again: its
// object 0 is created once.
func (c *chain) begin(ctx context.Context, who string) (newest Incarnation, err error) {
	if c.next == 0 {
		if c.proved.IsZero() {
			c.proved = c.clock()
		}
		o := c.empty(journalBegin)
		o.who, o.when = who, c.proved.UnixMilli()
		created, err := create(ctx, c.store, o.key(), o.encode())
		if err != nil {
			return 0, err
		}
		if !created {
			return 0, fmt.Errorf("%w: object 0 of %s is another process's", ErrFenced, c.life)
		}
		c.next = 1
	}
	return newestIncarnation(ctx, c.store, c.generation.Incarnation)
}

// empty is the next object, without its content.
func (c *chain) empty(kind journalKind) journalObject {
	g := c.generation
	return journalObject{kind: kind, incarnation: g.Incarnation, nonce: g.Nonce, life: c.life, n: c.next}
}

// object is the next object with these facts.
func (c *chain) object(facts [][]byte) []byte { return c.carrier(facts, segments.ID{}, nil) }

// carrier is object behind a segment that it carries.
func (c *chain) carrier(facts [][]byte, carries segments.ID, segment []byte) []byte {
	o := journalObject{
		kind: journalFacts, incarnation: c.generation.Incarnation, nonce: c.generation.Nonce,
		life: c.life, n: c.next, facts: facts, carries: carries, segment: segment,
	}
	return o.encode()
}

// put tries once to create the next object. ErrFenced means that there is another object in its
// place, a seal: the life is over. After any other error only the same body may be tried again.
func (c *chain) put(ctx context.Context, body []byte) error {
	begun := c.clock()
	if c.stale(begun) {
		return fmt.Errorf("%w: it has been silent for too long", ErrFenced)
	}
	if err := c.twice(ctx, journalKey(c.life, c.next), body); err != nil {
		return err
	}
	now := c.clock()
	if c.stale(now) {
		return fmt.Errorf("%w: a put came too late to prove anything", ErrFenced)
	}
	if Elapsed(c.proved, now) >= sealsSurely {
		newest, err := newestIncarnation(ctx, c.store, c.generation.Incarnation)
		if err != nil {
			return err
		}
		if newest > c.generation.Incarnation {
			return ErrFenced
		}
		if err := c.connected(ctx); err != nil {
			return err
		}
	}
	c.proved = begun
	c.next++
	return nil
}

// twice is attempt, and a second one beside it if the first is slow. To the store that is a message
// that arrives twice, as after a reply that was lost. Direct writers do without: a function may be
// frozen as soon as it has answered, with the slower one under way.
func (c *chain) twice(ctx context.Context, key string, body []byte) error {
	if c.hedges == nil {
		return c.attempt(ctx, key, body)
	}
	return c.hedges.put(ctx, int64(len(body)), func(ctx context.Context) error { return c.attempt(ctx, key, body) })
}

// hedges makes puts into a node's journal that are slow again beside themselves.
type hedges struct {
	slow     *segments.Slowness
	metrics  *metrics
	attempts chan struct{} // one element for each that is under way: the store may not heed its context
	running  sync.WaitGroup
}

const attemptsAtOnce = 4

func newHedges(m *metrics) *hedges {
	return &hedges{
		slow: segments.NewSlowness(segments.SlowPuts), metrics: m, attempts: make(chan struct{}, attemptsAtOnce),
	}
}

// put is attempt, once or twice.
func (h *hedges) put(ctx context.Context, size int64, attempt func(context.Context) error) error {
	begin := func(ctx context.Context) <-chan error {
		result := make(chan error, 1)
		h.running.Go(func() {
			select {
			case h.attempts <- struct{}{}:
				result <- attempt(ctx)
				<-h.attempts
			case <-ctx.Done():
				result <- ctx.Err()
			}
		})
		return result
	}
	return h.slow.Twice(ctx, size, begin, lifeOver, h.metrics.hedges.Inc)
}

// attempt creates an object, or finds that an earlier attempt has.
func (c *chain) attempt(ctx context.Context, key string, body []byte) error {
	err := c.store.Put(ctx, key, body)
	if !errors.Is(err, segments.ErrExists) {
		return err
	}
	// Perhaps the reply to an earlier attempt was lost. If the object has been deleted since, then the
	// chain is sealed: the last object of a chain that is not sealed is never deleted.
	mine, err := ours(ctx, c.store, key, body)
	if err == nil && !mine {
		return ErrFenced
	}
	return err
}

// connected looks whether the object before the one that was just put is still there. A process
// that deletes the seal of a chain has deleted the objects before it, so this shows whether a seal
// had been in this object's place and is gone again. (The object before may also be gone because a
// snapshot has covered this one already: then a life ends for nothing, which is rare.)
func (c *chain) connected(ctx context.Context) error {
	if !c.shared {
		return nil
	}
	_, err := c.store.Get(ctx, journalKey(c.life, c.next-1), 0, -1)
	if errors.Is(err, segments.ErrNotFound) {
		return fmt.Errorf("%w: its chain was sealed while it was silent", ErrFenced)
	}
	return err
}

// stale says whether the chain has been silent for too long to be gone on with.
func (c *chain) stale(now time.Time) bool {
	return c.silence > 0 && Elapsed(c.proved, now) >= c.silence
}

// Elapsed is the time between two readings of the clock, by the wall clock or the monotonic clock,
// whichever says more: a machine that sleeps may stop the latter.
func Elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// probe looks whether the chain has been sealed, for a node that has had nothing to
// write for a while.
func (c *chain) probe(ctx context.Context) error {
	_, err := c.store.Get(ctx, journalKey(c.life, c.next), 0, -1)
	switch {
	case err == nil:
		return ErrFenced
	case errors.Is(err, segments.ErrNotFound):
		return nil
	}
	return err
}
