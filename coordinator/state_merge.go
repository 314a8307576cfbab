package coordinator

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
	"time"

	"firn.dev/segments"
)

// Merge replaces the spans of one partition in [Base, Last] with those of one merged
// segment, with none where nothing survived compaction, or with one that stands for just
// those spans and is Listed.
//
// The merges of a partition are numbered 1, 2, 3, … and decided one after the other. Each is
// planned on a view that shows all merges before it, and is refused if another one was decided
// meanwhile. So each replaces spans exactly as its planner saw them. A State applies merges in the
// order of their versions and keeps one that comes too early until those before it have come, so it
// needs to remember nothing of what was replaced. No merge can stay away: one is decided only when
// those before it are in the journal.
type Merge struct {
	Partition  segments.Partition
	Version    uint64 // 1 for the first merge of the partition, then 2, 3, …
	Base, Last int64  // whole spans, as they stood when the merge was planned
	Spans      []Span // in offset order in [Base, Last], with this Version; where compaction removed records, holes remain
}

// ProposeMerge asks for a merge, under a lease: it is refused with ErrLeaseLost if that lease is
// not held with that epoch now, by the coordinator's clock. It is refused with ErrMergedMeanwhile
// if After is not the version of the partition's newest decided merge, with ErrTooOld if the new
// object is older than MergeDeadline, because a collector may have deleted it, with ErrTooYoung if
// Youngest is younger than MergeAge, and with ErrOffsetRange beyond the high watermark.
//
// A segment that may still be committed again is known, after a recovery, by its spans
// (State.Young): without them its records would be given offsets a second time. So no span of a
// segment is merged before the coordinator, by the same clock by which it takes commits, takes that
// segment no more. Planners leave such spans alone for as long by their own clocks.
type ProposeMerge struct {
	Lease   string
	Epoch   uint64
	After   uint64      // version of the newest merge of the partition that the planner's view showed: View.Plan
	Segment segments.ID // the new object, a segment or an index object; not looked at if there are no spans
	Merge   Merge       // its Version, and that of its spans, is given by the coordinator

	Youngest segments.ID // of the segments that were committed and whose spans give way; zero if there are none
}

// DefaultCommitDeadline is how old a segment may be when it is committed, unless an option says
// otherwise. All nodes and coordinators of a cluster have to use the same value.
const DefaultCommitDeadline = 5 * time.Minute

// MergeDeadline is how old a merged segment may be when its merge is decided, given the commit
// deadline: it takes longer to write.
func MergeDeadline(commit time.Duration) time.Duration { return 12 * commit }

// MergeAge is how old a segment has to be whose spans are merged, by the commit deadline: more than
// that, so that a coordinator whose clock is a little behind the one before it does not take it
// again.
func MergeAge(commit time.Duration) time.Duration { return commit + commit/10 }

// TooOld says why a segment is not committed.
func TooOld(segment segments.ID, age, allowed time.Duration) error {
	if age <= allowed && age >= -allowed {
		return fmt.Errorf("%w: the coordinator's clock was ahead, and commits as old as segment %s are forgotten",
			ErrTooOld, segment)
	}
	return fmt.Errorf("%w: segment %s is %s old, allowed is %s", ErrTooOld, segment, age, allowed)
}

// Youngest is the newest of the segments that spans were committed with; zero if all of them are of
// merges.
func Youngest(spans []Span) (newest segments.ID) {
	for i := range spans {
		if s := &spans[i]; s.Version == 0 && s.Segment.Time().After(newest.Time()) {
			newest = s.Segment
		}
	}
	return newest
}

// Validate refuses what no merge can be.
func (p *ProposeMerge) Validate() error {
	m := &p.Merge
	if m.Base < 0 || m.Last < m.Base || m.Last == math.MaxInt64 {
		return fmt.Errorf("%w: merge of %s over offsets %d-%d", ErrMalformed, m.Partition, m.Base, m.Last)
	}
	next := m.Base
	for i := range m.Spans {
		s := &m.Spans[i]
		if s.Segment != p.Segment || s.Base < next || s.Last < s.Base || s.Last > m.Last || s.Position < 0 || s.Length < 1 ||
			s.Position > math.MaxInt64-s.Length {
			return fmt.Errorf("%w: span %d of a merge of %s over offsets %d-%d: %+v",
				ErrMalformed, i, m.Partition, m.Base, m.Last, *s)
		}
		if err := s.kindError(); err != nil {
			return fmt.Errorf("%w: merge of %s: %w", ErrMalformed, m.Partition, err)
		}
		if s.Listed > 0 && len(m.Spans) > 1 {
			return fmt.Errorf("%w: a merge of %s into %d spans, and one of them stands for others",
				ErrMalformed, m.Partition, len(m.Spans))
		}
		next = s.Last + 1
	}
	return nil
}

// Fact is the fact that the proposal becomes.
func (p *ProposeMerge) Fact(in Incarnation) *Fact {
	m := p.Merge
	m.Version = p.After + 1
	m.Spans = slices.Clone(m.Spans)
	for i := range m.Spans {
		m.Spans[i].Version = m.Version
	}
	return &Fact{Incarnation: in, Merge: &m}
}

// applyMerge applies a merge: at once if it is the next one of its partition and its offsets are in
// the prefix, otherwise when both hold.
func (s *State) applyMerge(m *Merge) {
	p := s.partition(m.Partition)
	if p == nil || m.Version <= p.merges {
		return
	}
	at := sort.Search(len(p.waiting), func(i int) bool { return p.waiting[i].Version >= m.Version })
	if at < len(p.waiting) && p.waiting[at].Version == m.Version {
		return
	}
	p.waiting = slices.Insert(p.waiting, at, m)
	p.merge(!s.bare)
}

// merge applies the merges whose time has come.
func (p *partition) merge(keepSpans bool) {
	for len(p.waiting) > 0 && p.waiting[0].Version == p.merges+1 && p.waiting[0].Last < p.end {
		if keepSpans {
			p.replace(p.waiting[0])
		}
		p.merges++
		p.waiting = p.waiting[1:]
	}
	if len(p.waiting) == 0 {
		p.waiting = nil
	}
}

// replace puts the spans of m in the place of those that it covers. What lies wholly below the log
// start is dropped before and after, and a span that reaches beyond it stays whole; so the order of
// a merge and a move of the log start does not matter.
func (p *partition) replace(m *Merge) {
	from := find(p.spans, m.Base)
	to := from + sort.Search(len(p.spans)-from, func(i int) bool { return p.spans[from+i].Base > m.Last })
	added := m.Spans
	for len(added) > 0 && added[0].Last < p.logStart {
		added = added[1:]
	}
	if from == to && len(added) == 0 {
		return
	}
	spans := make([]placed, 0, len(p.spans)-(to-from)+len(added)) // readers hold the old ones
	spans = append(spans, p.spans[:from]...)
	runningMax := int64(math.MinInt64)
	if from > 0 {
		runningMax = spans[from-1].runningMax
	}
	for _, s := range p.spans[from:to] {
		p.bytes -= s.Length
	}
	for _, s := range added {
		runningMax = max(runningMax, s.MaxTimestamp)
		spans = append(spans, placed{s, runningMax})
		p.bytes += s.Length
	}
	p.spans = appendPlaced(spans, p.spans[to:], runningMax)
}

// appendPlaced appends spans behind others whose largest timestamp is runningMax. From the first
// span on whose running maximum stays the same, nothing changes.
func appendPlaced(dst, rest []placed, runningMax int64) []placed {
	for i := range rest {
		runningMax = max(runningMax, rest[i].MaxTimestamp)
		if runningMax == rest[i].runningMax {
			return append(dst, rest[i:]...)
		}
		dst = append(dst, placed{rest[i].Span, runningMax})
	}
	return dst
}

// Plan returns what the planner of a merge needs, both of one moment: up to n spans of a
// partition, beginning with the one that holds offset or the first behind it, and the version
// of the newest merge.
func (v *View) Plan(at segments.Partition, offset int64, n int) (spans []Span, after uint64) {
	v.mu.RLock()
	p := v.state.partitions[at]
	if p == nil {
		v.mu.RUnlock()
		return nil, 0
	}
	all, after := p.spans, p.merges
	v.mu.RUnlock()
	return some(all, offset, n), after
}

// allSpans yields the spans of the prefix, and those that wait.
func (p *partition) allSpans() iter.Seq[*Span] {
	return func(yield func(*Span) bool) {
		for i := range p.spans {
			if !yield(&p.spans[i].Span) {
				return
			}
		}
		for i := range p.beyond {
			if !yield(&p.beyond[i].span) {
				return
			}
		}
		for _, m := range p.waiting {
			for i := range m.Spans {
				if !yield(&m.Spans[i]) {
					return
				}
			}
		}
	}
}

// errCuts says that a merge would take the place of a part of a span.
var errCuts = errors.New("a merge covers whole spans")

// mergeable checks a proposal against the view that it was planned with. The coordinator cannot see
// whether a merge cuts a span in two, and then records would be lost. Between this check and the
// moment at which the merge is applied only appended spans and the log start can change: the merge
// is refused if another one came between.
func (v *View) mergeable(c *ProposeMerge) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	p, m := v.state.partitions[c.Merge.Partition], &c.Merge
	if p == nil || p.merges != c.After {
		return fmt.Errorf("%w: %s", ErrMergedMeanwhile, m.Partition)
	}
	from := find(p.spans, m.Base)
	to := find(p.spans, m.Last)
	cutsFirst := from < len(p.spans) && p.spans[from].Base < m.Base
	cutsLast := to < len(p.spans) && p.spans[to].Base <= m.Last && p.spans[to].Last > m.Last
	if cutsFirst || cutsLast {
		return fmt.Errorf("%w: %w: %s, offsets %d-%d", ErrMalformed, errCuts, m.Partition, m.Base, m.Last)
	}
	return nil
}
