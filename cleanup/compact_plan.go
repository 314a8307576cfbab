package cleanup

import (
	"math"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
)

// compaction is what is to be compacted in a partition, as its spans were at one moment.
type compaction struct {
	// the clean ones, which earlier compactions wrote, and behind them the dirty ones that are
	// compacted now
	spans []coordinator.Span
	dirty int    // where those begin
	after uint64 // see coordinator.View.Plan

	// passed says that it is only about tombstones whose time has come: nothing dirty is compacted.
	passed bool
}

// maxCompacted is how many spans one compaction is about at most. Those behind have their turn
// after it.
const maxCompacted = 64 << 10

// compactLimits is what a compaction is planned by, beside the topic's configs.
type compactLimits struct {
	now    time.Time
	ripe   time.Time // mixed segments from then on are left alone
	stale  time.Time // mixed segments from before are compacted, however little there is
	little int64     // bytes: what is less waits until it is stale
	reach  time.Duration
}

// compactable says what of a partition is to be compacted now; false if nothing is, and then when
// that might change by the time alone. spans are all of the partition's.
//
// As in Kafka, a partition is due when the dirty bytes are more than min.cleanable.dirty.ratio of
// the clean and dirty ones, or the oldest dirty record has waited for max.compaction.lag.ms. A span
// with a record younger than min.compaction.lag.ms counts as neither, and so do all spans behind
// it. Where Kafka has the active segment, which is not compacted either, Firn has what was written
// last: mixed segments that may be committed again (see coordinator.ProposeMerge), and little that
// is young. Tombstones go when their time has come, whatever else there is to do; Kafka waits for
// the next compaction.
func compactable(spans []coordinator.Span, config topicconfig.Config, l compactLimits) (compaction, bool, time.Time) {
	p := compactPlan{l: l, config: config, now: l.now.UnixMilli(), next: math.MaxInt64}
	c := compaction{spans: spans}
	for c.dirty < len(c.spans) && c.spans[c.dirty].Compacted {
		c.dirty++
	}
	c.spans = c.spans[:p.end(c.spans, c.dirty)]
	if p.due(c) {
		return c, true, time.Time{}
	}
	c.passed, c.spans = true, c.spans[:c.dirty]
	for i := range c.spans {
		horizon := c.spans[i].Horizon
		if horizon != 0 && horizon <= p.now {
			return c, true, time.Time{}
		}
		if horizon != 0 {
			p.sooner(horizon)
		}
	}
	if p.next == math.MaxInt64 {
		return compaction{}, false, time.Time{}
	}
	return compaction{}, false, time.UnixMilli(p.next)
}

type compactPlan struct {
	l      compactLimits
	config topicconfig.Config
	now    int64
	next   int64 // when something may change
}

func (p *compactPlan) sooner(at int64) {
	if at > p.now {
		p.next = min(p.next, at)
	}
}

// end is where the spans end that may be compacted.
func (p *compactPlan) end(spans []coordinator.Span, dirty int) int {
	for i := dirty; i < len(spans); i++ {
		s := &spans[i]
		if s.Version == 0 && !s.Segment.Time().Before(p.l.ripe) {
			p.sooner(s.Segment.Time().UnixMilli() + p.l.now.Sub(p.l.ripe).Milliseconds() + 1)
			return i
		}
		if lag := p.config.MinCompactionLagMillis; lag > 0 && s.MaxTimestamp > p.now-lag {
			p.sooner(saturated(s.MaxTimestamp, lag))
			return i
		}
	}
	return len(spans)
}

// due says whether what is dirty is to be compacted.
func (p *compactPlan) due(c compaction) bool {
	clean, dirty := sumLength(c.spans[:c.dirty]), sumLength(c.spans[c.dirty:])
	if dirty == 0 {
		return false
	}
	stale, overdue := false, false
	for i := range c.spans[c.dirty:] {
		s := &c.spans[c.dirty+i]
		waits := s.MaxTimestamp
		if s.Version > 0 {
			waits -= p.l.reach.Milliseconds() // its records may be older than that by so much
			stale = true                      // it was merged when its records were, or there was much
		} else {
			waits = min(waits, s.Segment.Time().UnixMilli())
			stale = stale || s.Segment.Time().Before(p.l.stale)
			p.sooner(s.Segment.Time().UnixMilli() + p.l.now.Sub(p.l.stale).Milliseconds() + 1)
		}
		overdue = overdue || waits < p.now-p.config.MaxCompactionLagMillis
		p.sooner(saturated(waits, p.config.MaxCompactionLagMillis) + 1)
	}
	if overdue {
		return true
	}
	return (stale || dirty >= p.l.little) && float64(dirty) > p.config.MinCleanableDirtyRatio*float64(clean+dirty)
}

// saturated is a time so much later, or the end of all time but one.
func saturated(at, later int64) int64 {
	if at > math.MaxInt64-1-later {
		return math.MaxInt64 - 1
	}
	return at + later
}

// groups cuts adjacent spans into groups, each of which is rewritten into one segment: they have so
// many bytes and so many offsets together, or are a single span. With reach, no group is of two
// stretches of time: see limits.
func groups(spans []coordinator.Span, l limits) (all [][]coordinator.Span) {
	slots := l.slots(spans, math.MinInt64)
	for from := 0; from < len(spans); {
		to, bytes := from+1, spans[from].Length
		for to < len(spans) && bytes+spans[to].Length <= l.target && spans[to].Last-spans[from].Base < maxGroupOffsets &&
			slots[to] == slots[from] {
			bytes += spans[to].Length
			to++
		}
		all = append(all, spans[from:to])
		from = to
	}
	return all
}

// maxGroupOffsets bounds what a group spans, holes included. Kafka's segments span no more than
// 2^31 offsets; the index of one segment is bounded by its bytes.
const maxGroupOffsets = 1 << 31
