package cleanup

import (
	"context"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// work is what is to be done in one partition.
type work struct {
	topic  *coordinator.Topic
	at     segments.Partition
	config topicconfig.Config
	now    time.Time // by the coordinator's clock, when it was looked at

	compact bool               // there may be something to compact
	archive bool               // there may be spans to put into an index object
	merge   []coordinator.Span // are to become one; may be empty
	after   uint64             // see coordinator.View.Plan
	failed  *atomic.Bool       // of the idleState
}

// any says whether there is something to do.
func (w *work) any() bool { return w.compact || w.archive || len(w.merge) > 0 }

// idleState is a partition as it was when there was nothing to do in it: until it looks
// different, or time has passed, nobody needs to look again.
type idleState struct {
	topic  *coordinator.Topic // changed topics are others
	info   coordinator.PartitionInfo
	after  uint64
	until  time.Time
	failed *atomic.Bool // what was tried, since then, so that it is not tried again at once
	behind backlog
}

// longestIdle is how long at most a partition is not looked at.
const longestIdle = 10 * time.Minute

// planWindow is how many spans are looked at together.
const planWindow = 8 << 10

// look goes through this node's partitions and says what is to be done in them, and where the logs
// of which are to start.
func (c *Cleaner) look(ctx context.Context, now time.Time) ([]work, map[segments.Partition]int64) {
	nodes := c.opts.Node.Nodes()
	looked := make(map[segments.Partition]idleState, len(c.looked))
	var all []work
	starts := map[segments.Partition]int64{}
	total := &backlog{}
	for _, t := range c.view.Topics() {
		config, _ := topicconfig.Parse(t.Configs) // what is wrong has its default
		for i := range t.Partitions {
			at := segments.Partition{Topic: t.ID, Index: i}
			if !c.mine(nodes, at) {
				continue
			}
			w, g := c.lookAt(ctx, work{topic: t, at: at, config: config, now: now}, c.looked[at], starts, now)
			looked[at] = g
			total.add(g.behind)
			if w.any() {
				all = append(all, w)
			}
		}
	}
	c.looked = looked
	c.metrics.backlog.Store(total)
	return all, starts
}

func (b *backlog) add(other backlog) {
	b.bytes += other.bytes
	if b.oldest.IsZero() || !other.oldest.IsZero() && other.oldest.Before(b.oldest) {
		b.oldest = other.oldest
	}
}

// lookAt says what is to be done in a partition. Where its log is to start goes into starts, if
// that is due.
func (c *Cleaner) lookAt(ctx context.Context, w work, before idleState, starts map[segments.Partition]int64,
	now time.Time) (work, idleState) {
	info, _ := c.view.Partition(w.at)
	_, after := c.view.Plan(w.at, math.MaxInt64, 0)
	same := before.topic == w.topic && before.info == info && before.after == after
	if now.Before(before.until) && (same || before.failed.Load()) {
		return w, before
	}
	g := idleState{topic: w.topic, info: info, after: after, until: now.Add(longestIdle), failed: &atomic.Bool{}}
	w.failed = g.failed
	start, err := c.expired(ctx, w.at, w.config, now)
	if err != nil {
		c.failed(ctx, "looking for expired records", err, "topic", w.topic.Name, "partition", w.at.Index)
	}
	if start > info.LogStart {
		if again := c.retained.Add(c.opts.Retain); again.After(now) {
			g.until = again
		} else {
			starts[w.at] = start
			g.until = now.Add(afterFailure * c.opts.Interval)
		}
	}
	if w.config.Compact && c.opts.Pace != nil {
		var next time.Time
		if _, w.compact, next = c.compactionOf(w.at, w.config, now); !w.compact && next.After(now) && next.Before(g.until) {
			g.until = next
		}
	}
	c.search(&w, &g, max(start, info.LogStart), now)
	if w.any() {
		g.until = now.Add(afterFailure * c.opts.Interval)
		g.info = coordinator.PartitionInfo{} // looked at again in any case, unless it fails
	}
	return w, g
}

// search looks for spans to merge, a window of them at a time, and for when to look again.
func (c *Cleaner) search(w *work, g *idleState, start int64, now time.Time) {
	ripeness := c.opts.ripeness()
	l := c.limits(w.config, now)
	highest := int64(math.MinInt64)
	merged := 0
	for {
		window, after := c.view.Plan(w.at, start, planWindow)
		if len(window) == 0 {
			return
		}
		c.note(g, window, w.config, now, ripeness)
		if len(w.merge) == 0 && c.opts.Pace != nil && !w.compact {
			if from, to := plan(window, highest, l); to > from {
				w.merge, w.after = window[from:to], after
			}
		}
		for i := range window {
			if plain(&window[i]) {
				merged++
			}
		}
		w.archive = merged >= c.opts.ArchiveBatch+c.opts.ArchiveKeep && !w.config.Compact
		if len(window) < planWindow {
			return
		}
		next := planWindow / 2 // so that what is cut by the end of this window is whole in the next
		for i := range window[:next] {
			highest = max(highest, window[i].MaxTimestamp)
		}
		start = window[next].Base
	}
}

// note adds what a window has to say about the backlog and about when to look again.
func (c *Cleaner) note(g *idleState, window []coordinator.Span, config topicconfig.Config, now time.Time,
	ripeness time.Duration) {
	sooner := func(t time.Time) {
		if t.After(now) && t.Before(g.until) {
			g.until = t
		}
	}
	if config.Delete && config.RetentionMillis >= 0 && window[0].MaxTimestamp < math.MaxInt64-config.RetentionMillis {
		sooner(time.UnixMilli(window[0].MaxTimestamp + config.RetentionMillis + 1))
	}
	for i := range window {
		s := &window[i]
		if s.Version > 0 {
			continue
		}
		sealed := s.Segment.Time()
		g.behind.bytes += s.Length
		sooner(sealed.Add(ripeness + time.Millisecond))
		sooner(sealed.Add(c.opts.Stale + time.Millisecond))
		if ripe := sealed.Add(ripeness); ripe.Before(now) && (g.behind.oldest.IsZero() || sealed.Before(g.behind.oldest)) {
			g.behind.oldest = sealed
		}
	}
}

// limits are those of a topic.
func (c *Cleaner) limits(config topicconfig.Config, now time.Time) limits {
	l := limits{target: c.opts.TargetBytes, ripe: now.Add(-c.opts.ripeness()), stale: now.Add(-c.opts.Stale)}
	if pace := c.opts.Pace; pace != nil { // a merge that takes too long is refused
		deadline := coordinator.MergeDeadline(c.opts.CommitDeadline)
		l.target = min(l.target, int64(pace.most*deadline.Seconds()/slowestMerge))
	}
	if config.Delete && config.RetentionBytes >= 0 {
		l.target = min(l.target, config.RetentionBytes/retainedIn)
	}
	l.reach = retentionReach(config)
	if config.Compact {
		l.records = min(maxRecords, keysIn(c.opts.MapBytes)) // so that a compaction has room for the keys of each
		for _, lag := range []int64{config.MinCompactionLagMillis, config.MaxCompactionLagMillis} {
			if lag > 0 && lag < math.MaxInt64 && (l.reach == 0 || lag/compactedIn < l.reach.Milliseconds()) {
				l.reach = time.Duration(min(max(lag/compactedIn, 1), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
			}
		}
	}
	l.target = max(min(l.target, int64(config.SegmentBytes)), leastTarget)
	return l
}

// retentionReach is how far timestamps in one segment may lie apart for retention's sake; 0: any
// distance.
func retentionReach(config topicconfig.Config) time.Duration {
	if !config.Delete || config.RetentionMillis < 0 {
		return 0
	}
	return time.Duration(min(config.RetentionMillis/retainedIn, int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
}

const (
	// retainedIn is in how many parts at least retention takes away what it keeps.
	retainedIn = 8
	// compactedIn is in how many parts at least what waits for compaction may be merged: what lies in
	// one segment is compacted together.
	compactedIn = 8
	// slowestMerge is which part of its deadline a merge may take at the full rate. Beside much
	// traffic it is slower.
	slowestMerge = 8
)

// expired is where the log of a partition is to start by now.
func (c *Cleaner) expired(ctx context.Context, at segments.Partition, config topicconfig.Config,
	now time.Time) (int64, error) {
	info, _ := c.view.Partition(at)
	if config.RetentionBytes >= 0 {
		gone, err := c.goneBytes(ctx, at, info.LogStart)
		if err != nil {
			return info.LogStart, err
		}
		info.Bytes -= gone
	}
	return expired(c.spansFrom(ctx, at, info.LogStart), info, config, now, now.Add(-c.opts.ripeness()))
}

// goneBytes counts the bytes below the log start in the index object that the log starts in. The
// view counts such a span as a whole until nothing of it is left.
func (c *Cleaner) goneBytes(ctx context.Context, at segments.Partition, start int64) (gone int64, err error) {
	for _, head := range c.view.Spans(at, start, 1) {
		if head.Listed == 0 || head.Base >= start {
			continue
		}
		inside, err := coordinator.ReadIndex(ctx, c.opts.Store, at, &head)
		if err != nil {
			return 0, err
		}
		for i := range inside {
			if inside[i].Last < start {
				gone += inside[i].Length
			}
		}
	}
	return gone, nil
}

// spansFrom yields the spans of a partition from an offset on, also those that lie in index
// objects.
func (c *Cleaner) spansFrom(ctx context.Context, at segments.Partition, offset int64) iter.Seq2[coordinator.Span,
	error] {
	return func(yield func(coordinator.Span, error) bool) {
		for n := 1; ; n = min(8*n, planWindow) { // mostly the first is the last that matters
			some := c.view.Spans(at, offset, n)
			for s, err := range coordinator.Expand(ctx, c.opts.Store, at, some, offset) {
				if !yield(s, err) || err != nil {
					return
				}
			}
			if len(some) < n {
				return
			}
			offset = some[len(some)-1].Last + 1
		}
	}
}
