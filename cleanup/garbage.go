package cleanup

import (
	"context"
	"errors"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/retry"
	"firn.dev/segments"
)

// garbageLease is the lease whose holder collects.
const garbageLease = "cleanup/garbage"

const (
	maxCandidates = 200_000 // garbage that is remembered at once: 20 MB at most. The rest is seen later
	maxDeletes    = 20_000  // objects in one round
	deleteAtOnce  = 500
	mostBetween   = 15 * time.Minute // two looks for garbage
	leastBetween  = 250 * time.Millisecond
	looksInAGrace = 4
)

// collector deletes what nothing needs. It remembers what it has seen: an object goes once it was
// garbage twice, a grace apart. Its memory stays right while another node has the lease, because
// garbage stays garbage.
type collector struct {
	c    *Cleaner
	seen map[string]time.Time // by key: when the first look that returned it had ended
}

// between is the time between two looks. A look's findings go a grace after it, so they go at most
// a grace and twice this after they could be found.
func (o *Options) between() time.Duration {
	return min(max(o.Grace/looksInAGrace, leastBetween), mostBetween)
}

// run looks for garbage again and again, while this node has the lease.
func (g *collector) run(ctx context.Context) {
	for {
		if err := retry.Pause(ctx, g.c.opts.between()); err != nil {
			return
		}
		h, err := g.c.take(ctx, garbageLease)
		if err != nil {
			g.c.failed(ctx, "collecting garbage", err)
			continue
		}
		g.hold(ctx, h)
		h.letGo()
	}
}

// hold collects until the lease is lost.
func (g *collector) hold(ctx context.Context, h *hold) {
	for h.ctx.Err() == nil {
		if err := g.collect(h.ctx); err != nil {
			g.c.failed(ctx, "collecting garbage", err)
		}
		if retry.Pause(h.ctx, g.c.opts.between()) != nil {
			return
		}
	}
}

// collect is one look, and the deletion of what earlier ones have seen.
func (g *collector) collect(ctx context.Context) error {
	begun := time.Now()
	found, err := g.c.opts.Node.Unreferenced(ctx, g.c.opts.Grace)
	if err != nil {
		return err
	}
	due := g.sift(found.Objects, begun, time.Now())
	g.c.metrics.garbage.Set(float64(found.Bytes))
	g.c.metrics.segments.Set(float64(found.Listed))
	for some := range slices.Chunk(due, deleteAtOnce) {
		keys := make([]string, len(some))
		for i, o := range some {
			keys[i] = o.Key
		}
		if err := coordinator.Delete(ctx, g.c.opts.Store, found.Incarnation, keys...); err != nil {
			return err
		}
		for _, o := range some {
			delete(g.seen, o.Key)
			g.c.metrics.collected.Inc()
			g.c.metrics.collectedBytes.Add(float64(o.Size))
		}
	}
	if len(due) > 0 {
		g.c.opts.Logger.Debug("deleted objects that nothing needs any more", "objects", len(due))
	}
	if found.Now.IsZero() {
		return nil
	}
	tooOld := found.Now.Add(-coordinator.MergeDeadline(g.c.opts.CommitDeadline) - g.c.opts.Grace)
	uploads, err := coordinator.CleanUploads(ctx, g.c.opts.Store, found.Incarnation, tooOld)
	g.c.metrics.uploads.Add(float64(uploads))
	return err
}

// sift remembers the garbage that a look has found, with the times at which the look began and
// ended. It returns the objects that may be deleted: those that an earlier look had found which
// ended a grace before this one began.
func (g *collector) sift(found []segments.Object, begun, ended time.Time) (due []segments.Object) {
	seen := make(map[string]time.Time, min(len(found), maxCandidates))
	for _, o := range found {
		first, known := g.seen[o.Key]
		if !known {
			first = ended
		}
		if len(seen) < maxCandidates {
			seen[o.Key] = first
		}
		if known && begun.Sub(first) >= g.c.opts.Grace && len(due) < maxDeletes {
			due = append(due, o)
		}
	}
	g.seen = seen
	return due
}

// failed says that something failed which is tried again, unless that is in the nature of things.
func (c *Cleaner) failed(ctx context.Context, what string, err error, args ...any) {
	switch class := coordinator.ClassOf(err); {
	case ctx.Err() != nil || errors.Is(err, coordinator.ErrLeaseHeld):
	case class != coordinator.ClassInDoubt, errors.Is(err, context.Canceled):
		c.opts.Logger.Debug(what+" ended early", append(args, "cause", err)...)
	default:
		c.metrics.failures.Inc()
		c.failures.Do(func() { c.opts.Logger.Warn(what+" failed and is tried again", append(args, "error", err)...) })
	}
}
