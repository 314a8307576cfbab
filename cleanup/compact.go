package cleanup

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Compaction leaves of each key the last record, up to the end of what is compacted. The spans of a
// compacted topic's partition are clean ones, which say so (Span.Compacted), and behind them dirty
// ones. A compaction learns the last offset of each key in the dirty spans, all of them or as many
// as there is room for, and then rewrites spans, group by group, in the order of their offsets: the
// clean ones without what the dirty ones replace, and the dirty ones, which become clean. Each
// group is a merge of its own, so that no segment becomes too large; a group that comes to nothing
// leaves a hole.
//
// Between any two of these merges the job may end for good, and others may read. This is right at
// every point, because it holds at every point that
//
//  1. of each key the clean spans together have one record at most, and
//  2. where a tombstone has a delete horizon, there is no older record of its key.
//
// A record goes only if the map has a later offset for its key. That later record lies in a dirty
// span, and the last of its key there stays whatever becomes of the job: so nobody loses a key.
// Clean spans only lose records, which keeps 1. When a dirty group becomes clean, all clean ones
// before it have lost what is older than the group's records, since they went first and the map was
// of all dirty spans; and the group itself has only those records that are the last in all dirty
// spans. So 1 holds with the group among the clean ones, though the dirty spans behind it are still
// to come, and the next compaction, which begins with those, can go by the same rule: it need not
// know that the group was compared with them already. That the dirty groups come last, and in
// order, matters: were a later one first, clean spans would lie behind dirty ones. 2 holds because
// a tombstone gets its horizon only when its group becomes clean. It goes when the horizon has
// passed, at any time after that; readers who were slower than delete.retention.ms may then have
// seen the key and not its end, as in Kafka.
//
// A topic that was not compacted before has dirty spans only, merged or not, since nothing but a
// compaction calls a span Compacted. One that stops being compacted keeps its clean spans, which
// plain merges leave alone, in front of what comes; and if it is compacted again these are what is
// clean. Spans that lie in an index object become one segment, since a merge covers whole spans.
//
// If a single dirty span has more keys than there is room for, it is rewritten several times, each
// time for a share of all keys, and becomes clean with the last. A job that ends before leaves it
// dirty, without some records that were replaced anyway.

// errManyKeys says that even the smallest share of the keys of one span has more than there is room
// for.
var errManyKeys = errors.New("a span has more keys than its compaction has memory for (MapBytes)")

// compacting is one compaction.
type compacting struct {
	*job
	compaction
	compactor
	limits limits // of a group
}

// compactionOf looks whether something is to be compacted in a partition, and else when to look
// again.
func (c *Cleaner) compactionOf(
	at segments.Partition,
	config topicconfig.Config,
	now time.Time,
) (compaction, bool, time.Time) {
	info, _ := c.view.Partition(at)
	spans, after := c.view.Plan(at, info.LogStart, maxCompacted)
	stable := slices.IndexFunc(spans, func(s coordinator.Span) bool { return s.Last >= info.LastStable })
	if stable >= 0 { // what an open transaction has may come to nothing
		spans = spans[:stable]
	}
	l := c.limits(config, now)
	found, due, next := compactable(spans, config, compactLimits{
		now: now, ripe: l.ripe, stale: l.stale, little: l.target / mixedPart, reach: l.reach,
	})
	found.after = after
	return found, due, next
}

// compact compacts the job's partition, if there is reason to, and says whether anything has
// changed by it. It is looked at anew, since the view has gone on.
func (j *job) compact() (bool, error) {
	defer j.c.opts.Pace.begin()()
	begun, now := time.Now(), j.looked
	found, due, _ := j.c.compactionOf(j.at, j.config, now)
	if !due {
		return false, nil
	}
	r := &compacting{
		job:        j,
		compaction: found,
		limits:     limits{target: j.c.limits(j.config, now).target, reach: retentionReach(j.config)},
	}
	r.now, r.limit = now.UnixMilli(), j.c.opts.MaxDecompressed
	r.last = r.spans[len(r.spans)-1].Last
	r.aborted = j.c.view.Aborted(j.at, r.spans[0].Base, r.last+1)
	keys := int64(0)
	for i := range r.spans[r.dirty:] {
		s := &r.spans[r.dirty+i]
		keys += s.Last - s.Base + 1
	}
	latest, release, err := j.c.maps.take(j.ctx, keys)
	if err != nil {
		return false, err
	}
	defer release()
	r.latest = latest
	if r.passed {
		err = r.rewrite(passedGroups(r.spans, r.now, r.limits), true)
	} else {
		err = r.dirtyOnes()
	}
	r.report(begun, err)
	return r.after > found.after, err
}

// dirtyOnes compacts what is dirty, or that part of it whose keys there is room for.
func (r *compacting) dirtyOnes() error {
	mapped, err := r.learnAll()
	if err != nil {
		return err
	}
	if mapped == 0 {
		r.cut(r.dirty + 1)
		return r.inHalves(share{}, true)
	}
	r.cut(r.dirty + mapped)
	return r.rewrite(r.groups(), true)
}

// cut leaves spans from n on to another compaction.
func (r *compacting) cut(n int) {
	r.spans = r.spans[:n]
	r.last = r.spans[n-1].Last
}

// inHalves compacts for the two halves of a share of the keys, of which there were too many, one
// after the other. final: there are no others behind it.
func (r *compacting) inHalves(s share, final bool) error {
	if s.bits == maxShareBits {
		return fmt.Errorf("%w: offsets %d-%d", errManyKeys, r.spans[r.dirty].Base, r.last)
	}
	first, second := s.halves()
	for _, half := range []share{first, second} {
		if err := r.refresh(); err != nil {
			return err
		}
		r.share, r.unreadable = half, false
		mapped, err := r.learnAll()
		if err != nil {
			return err
		}
		last := final && half == second
		if mapped < len(r.spans)-r.dirty {
			err = r.inHalves(half, last)
		} else {
			err = r.rewrite(r.groups(), last)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refresh takes the spans as the last pass has left them.
func (r *compacting) refresh() error {
	spans, after := r.c.view.Plan(r.at, r.spans[0].Base, maxCompacted)
	n := 0
	for n < len(spans) && spans[n].Last <= r.last {
		n++
	}
	dirty := 0
	for dirty < n && spans[dirty].Compacted {
		dirty++
	}
	if dirty == n || after != r.after {
		return fmt.Errorf("%w: %s", coordinator.ErrMergedMeanwhile, r.at)
	}
	r.spans, r.dirty = spans[:n], dirty
	return nil
}

// learnAll fills the map with the keys of the dirty spans. It returns of how many spans all keys
// are in it.
func (r *compacting) learnAll() (spans int, err error) {
	r.latest.clear()
	dirty := r.spans[r.dirty:]
	for b, err := range r.stream(dirty) {
		if err != nil {
			return 0, err
		}
		for baseOf(b) > dirty[spans].Last {
			spans++
		}
		if !r.learn(b) {
			return spans, nil
		}
	}
	return len(dirty), nil
}

// stream streams the batches of spans, also those of spans that stand for others (Span.Listed): a
// topic may have such from the time before it was compacted.
func (r *compacting) stream(spans []coordinator.Span) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(spans) > 0 {
			n := 1
			some := spans[:1]
			if some[0].Listed > 0 {
				var err error
				if some, err = coordinator.ReadIndex(r.ctx, r.c.opts.Store, r.at, &spans[0]); err != nil {
					yield(nil, err)
					return
				}
			} else {
				for n < len(spans) && spans[n].Listed == 0 {
					n++
				}
				some = spans[:n]
			}
			for b, err := range r.batches(some) {
				if !yield(b, err) || err != nil {
					return
				}
			}
			spans = spans[n:]
		}
	}
}

// groups are what is rewritten together.
func (r *compacting) groups() [][]coordinator.Span {
	return append(groups(r.spans[:r.dirty], r.limits), groups(r.spans[r.dirty:], r.limits)...)
}

// passedGroups are the groups of spans with tombstones whose time has come.
func passedGroups(spans []coordinator.Span, now int64, l limits) (all [][]coordinator.Span) {
	for from := 0; from < len(spans); from++ {
		to := from
		for to < len(spans) && spans[to].Horizon != 0 && spans[to].Horizon <= now {
			to++
		}
		if to > from {
			all = append(all, groups(spans[from:to], l)...)
			from = to
		}
	}
	return all
}

// rewrite rewrites groups of spans, one after the other. final: dirty ones are clean after that.
func (r *compacting) rewrite(all [][]coordinator.Span, final bool) error {
	r.horizon = 0
	if final {
		r.horizon = horizonFrom(time.UnixMilli(r.now), r.config.DeleteRetentionMillis)
	}
	for _, group := range all {
		if err := r.one(group, final); err != nil {
			return err
		}
	}
	return nil
}

// one rewrites a group. A clean segment that would come out as it went in stays.
func (r *compacting) one(group []coordinator.Span, final bool) error {
	begun := time.Now()
	clean := group[0].Compacted
	if clean && len(group) == 1 && (group[0].Horizon == 0 || group[0].Horizon > r.now) {
		if changes, err := r.changes(group); err != nil || !changes {
			return err
		}
	}
	r.earliest = 0
	var out *sink
	defer func() {
		if out != nil {
			out.abort()
		}
	}()
	for b, err := range r.stream(group) {
		if err == nil {
			b, _, err = r.clean(b, clean)
		}
		if err == nil && b != nil && out == nil {
			out, err = r.create()
		}
		if err == nil && b != nil {
			err = out.Add(b)
		}
		if err != nil {
			return err
		}
	}
	mark := func(s *coordinator.Span) error {
		s.Compacted, s.Horizon = clean || final, r.earliest
		return nil
	}
	err := r.replace(replacement{spans: group, after: r.after, mark: mark}, out)
	if err != nil {
		return err
	}
	r.after++
	r.c.metrics.merge(len(group), sumLength(group), time.Since(begun))
	return nil
}

// changes says whether rewriting a group of clean spans would change anything. It reads no further
// than up to the first change, and counts nothing of what it reads.
func (r *compacting) changes(group []coordinator.Span) (bool, error) {
	counts, unreadable := r.counts, r.unreadable
	for b, err := range r.stream(group) {
		if err != nil {
			return false, err
		}
		_, changed, err := r.clean(b, true)
		if err != nil || changed {
			r.counts, r.unreadable = counts, unreadable
			return changed, err
		}
	}
	return false, nil
}

// report counts and logs what was done.
func (r *compacting) report(begun time.Time, err error) {
	n := r.counts
	r.c.metrics.compaction(n)
	log := r.c.opts.Logger
	if n.unreadable > 0 {
		log.Warn(
			"record batches could not be read while their topic was compacted, and were left as they are; no tombstones "+
				"behind them are removed",
			"topic",
			r.topic.Name,
			"partition",
			r.at.Index,
			"batches",
			n.unreadable,
			"limit",
			r.limit,
		)
	}
	if err == nil {
		log.Debug(
			"compacted a partition",
			"topic",
			r.topic.Name,
			"partition",
			r.at.Index,
			"to",
			r.last,
			"records",
			n.records,
			"superseded",
			n.superseded,
			"tombstones",
			n.tombstones,
			"keyless",
			n.keyless,
			"took",
			time.Since(begun),
		)
	}
}

// baseOf is the base offset of a batch that was checked.
func baseOf(b []byte) int64 {
	h, err := batch.ReadHeader(b)
	if err != nil {
		return math.MaxInt64
	}
	return h.BaseOffset
}
