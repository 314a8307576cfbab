package cleanup

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/retry"
	"firn.dev/segments"
)

// Cleaner is one node's part of keeping the bucket tidy.
type Cleaner struct {
	opts     Options
	view     *coordinator.View
	reader   *spans.Reader
	metrics  *metrics
	maps     *mapMemory
	failures rate.Sometimes // of which much is said

	ahead  atomic.Int64 // nanoseconds by which the coordinator's clock is ahead of this node's
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	// Of the loop alone.
	looked   map[segments.Partition]idleState
	retained time.Time // when retention last moved log starts
}

// New begins to clean.
func New(opts Options) (*Cleaner, error) {
	c, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	c.tasks.Go(func() { c.run(ctx) })
	c.tasks.Go(func() { (&collector{c: c}).run(ctx) })
	return c, nil
}

// prepare returns a Cleaner that does nothing yet.
func prepare(opts Options) (*Cleaner, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer, opts.Pace)
	if err != nil {
		return nil, err
	}
	c := &Cleaner{opts: opts, view: opts.Node.View(), metrics: m, maps: newMapMemory(opts.MapBytes),
		failures: rate.Sometimes{First: 3, Interval: 10 * time.Second},
		looked:   map[segments.Partition]idleState{}}
	c.reader = &spans.Reader{Store: opts.Store}
	return c, nil
}

// Close ends the jobs under way, without leaving anything half done, and hands the leases back.
func (c *Cleaner) Close(ctx context.Context) error {
	c.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.tasks.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run makes one round after another.
func (c *Cleaner) run(ctx context.Context) {
	for {
		if c.round(ctx) && ctx.Err() == nil {
			continue // there may be more of the same
		}
		if retry.Pause(ctx, c.opts.Interval) != nil {
			return
		}
	}
}

// round does what is to be done in each of this node's partitions, once. It says whether anything
// was. The coordinator's clock says how old records are: this node's clock may be wrong, and would
// remove records that have to be kept.
func (c *Cleaner) round(ctx context.Context) bool {
	now, err := c.opts.Node.CoordinatorTime(ctx)
	if err != nil {
		c.failed(ctx, "asking the coordinator for the time", err)
		return false
	}
	c.ahead.Store(int64(now.Sub(c.opts.Node.Now())))
	if now.Before(c.retained) { // the coordinator's clock went back, as when another Redis took over
		c.looked, c.retained = map[segments.Partition]idleState{}, time.Time{}
	}
	work, starts := c.look(ctx, now)
	if len(starts) > 0 {
		c.retained = now
		c.retain(ctx, starts)
	}
	groups := c.groups(work)
	var done atomic.Bool
	g := errgroup.Group{}
	g.SetLimit(c.opts.jobs())
	for _, group := range groups {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if c.doTogether(ctx, group) {
				done.Store(true)
			}
			return nil
		})
	}
	_ = g.Wait()
	return done.Load()
}

// newID draws the id of a segment, by the coordinator's clock: one of a wrong clock would be
// refused as too old, or be collected as late as that clock is ahead.
func (c *Cleaner) newID() segments.ID {
	return segments.NewID(c.opts.Node.Now().Add(time.Duration(c.ahead.Load())))
}

// afterFailure is how many intervals a partition is left alone in which something failed.
const afterFailure = 6

// do is one piece of work. It says whether all of it was done.
func (c *Cleaner) do(ctx context.Context, w work) bool {
	progress, err := c.attempt(ctx, w)
	switch {
	case err != nil:
		c.tell(ctx, w, err)
	case !progress:
		w.failed.Store(true)
	}
	return err == nil && progress
}

// tell tells of work that failed, and sees to it that it is not tried again at once.
func (c *Cleaner) tell(ctx context.Context, w work, err error) {
	c.failed(ctx, "cleaning up a partition", err, "topic", w.topic.Name, "partition", w.at.Index)
	w.failed.Store(true)
}

// attempt says whether anything has changed by it.
func (c *Cleaner) attempt(ctx context.Context, w work) (progress bool, err error) {
	h, err := c.take(ctx, leaseOf(w.at))
	if err != nil {
		return false, err
	}
	defer h.letGo()
	j := &job{hold: h, at: w.at, topic: w.topic, config: w.config, looked: w.now}
	switch {
	case w.compact:
		return j.compact()
	case len(w.merge) > 0:
		return true, j.merge(w.merge, w.after)
	case w.archive:
		return j.archive()
	}
	return false, nil
}

// archive puts the oldest merged spans into an index object, if there are that many, so that nobody
// has to keep them in memory.
func (j *job) archive() (bool, error) {
	archived, err := j.c.opts.Node.Archive(j.ctx, j.lease.Lease, j.at,
		coordinator.ArchiveOptions{Batch: j.c.opts.ArchiveBatch, Keep: j.c.opts.ArchiveKeep})
	if archived {
		j.c.metrics.archived.Inc()
	}
	return archived, err
}

// blockOf is how many partitions of a topic stay together: they lie side by side in mixed segments,
// so that one node reads them together.
const blockOf = 16

// mine says whether a partition is this node's to tend.
func (c *Cleaner) mine(nodes []coordinator.NodeInfo, at segments.Partition) bool {
	key := append([]byte("cleanup/"), at.Topic[:]...)
	owner, any := coordinator.Rendezvous(nodes, binary.BigEndian.AppendUint32(key, uint32(at.Index/blockOf)))
	return any && owner.ID == c.opts.Node.Info().ID
}
