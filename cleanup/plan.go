package cleanup

import (
	"cmp"
	"math"
	"time"

	"firn.dev/coordinator"
)

// Merging goes in tiers, so that few bytes are written often. Mixed spans become a merged segment
// once there is a 256th of the target of them, and merged segments become a larger one when those
// below a tier's limit come, side by side, to the next tier's. So every byte is written at most
// once for each tier that it begins below: three times for a partition that fills the lowest of
// them within Options.Stale, less for a busier one. Of a slower one a 4096th of the target is a
// tier as well, and maxTiny side by side are merged however small they are, so that its segments
// stay few: its bytes are written up to five times, or a few more, and are few.

// tiers are what is merged with what, the largest first: runs of segments below a size, in parts of
// the target, that together have another size.
var tiers = [...]struct{ below, together int64 }{{2, 1}, {16, 16}, {256, 256}, {4096, 4096}}

// maxTiny is how many segments of the lowest tier stay side by side.
const maxTiny = 128

// mixedPart is the part of the target that mixed spans have to have together before they are
// merged.
const mixedPart = 256

// maxRecords is how many records a merged segment is made of at most: its index, which stays in
// memory until its end, grows with the batches.
const maxRecords = 8 << 20

// limits is what a plan goes by.
type limits struct {
	target  int64         // bytes
	reach   time.Duration // how far timestamps in one merged segment may lie apart, about; 0: any distance
	records int64         // that one merged segment is made of at most; maxRecords
	ripe    time.Time     // mixed segments from then on are left alone
	stale   time.Time     // mixed segments from before are merged, however little there is
}

// plan returns which spans are merged next: spans[from:to], adjacent ones, in the order of their
// offsets. It returns none if nothing is worth it. highest is the largest timestamp of the spans
// before.
func plan(spans []coordinator.Span, highest int64, l limits) (from, to int) {
	slots := l.slots(spans, highest)
	if from, to = l.mixed(spans, slots); to > from {
		return from, to
	}
	for i, tier := range tiers {
		t := tierRule{below: l.target / tier.below, together: l.target / tier.together, most: math.MaxInt,
			closed: i == 0 && l.reach > 0}
		if i == len(tiers)-1 {
			t.most = maxTiny
		}
		if from, to = l.tier(spans, slots, t); to > from {
			return from, to
		}
	}
	return 0, 0
}

// tierRule says which merged segments are merged.
type tierRule struct {
	below    int64 // those smaller than this,
	together int64 // if they have so many bytes together,
	most     int   // or are so many,
	closed   bool  // or will never come to more, because the stretch of time that they lie in is over
}

// slots says in which stretch of time each span lies, by the largest timestamp up to it: those are
// in order. No merged segment is of two of them, so that retention by time can let go of them one
// by one.
func (l *limits) slots(spans []coordinator.Span, highest int64) []int64 {
	slots := make([]int64, len(spans))
	reach := l.reach.Milliseconds()
	for i := range spans {
		highest = max(highest, spans[i].MaxTimestamp)
		if reach > 0 {
			slots[i] = highest / reach
		}
	}
	return slots
}

// run is spans that might be merged.
type run struct {
	from, to int
	bytes    int64
}

// fits says whether span i may join the run.
func (l *limits) fits(r *run, spans []coordinator.Span, slots []int64, i int) bool {
	return r.from == r.to || slots[r.from] == slots[i] && spans[i].Last-spans[r.from].Base < cmp.Or(l.records, maxRecords)
}

// mixed plans the first merge of records.
func (l *limits) mixed(spans []coordinator.Span, slots []int64) (from, to int) {
	r, stale := run{}, false
	worth := func() bool { return r.to > r.from && (stale || r.bytes >= l.target/mixedPart) }
	for i := range spans {
		s := &spans[i]
		eligible := s.Version == 0 && s.Segment.Time().Before(l.ripe)
		if !eligible || !l.fits(&r, spans, slots, i) {
			if worth() {
				return r.from, r.to
			}
			r, stale = run{from: i, to: i}, false
		}
		if !eligible {
			r = run{from: i + 1, to: i + 1}
			continue
		}
		r.to, r.bytes = i+1, r.bytes+s.Length
		stale = stale || s.Segment.Time().Before(l.stale)
		if r.bytes >= l.target {
			return r.from, r.to
		}
	}
	if worth() {
		return r.from, r.to
	}
	return 0, 0
}

// tier plans a merge of merged segments, by one rule.
func (l *limits) tier(spans []coordinator.Span, slots []int64, t tierRule) (from, to int) {
	r := run{}
	for i := range spans {
		s := &spans[i]
		eligible := plain(s) && s.Length < t.below
		fits := l.fits(&r, spans, slots, i)
		if t.closed && r.to-r.from > 1 && slots[r.from] != slots[i] {
			return r.from, r.to
		}
		if !eligible {
			r = run{from: i + 1, to: i + 1}
			continue
		}
		if !fits {
			r = run{from: i, to: i}
		}
		r.to, r.bytes = i+1, r.bytes+s.Length
		if r.bytes >= t.together && r.to-r.from > 1 || r.to-r.from >= t.most {
			return r.from, r.to
		}
	}
	return 0, 0
}

// plain says whether a span is a merged segment that plain merging may take up.
func plain(s *coordinator.Span) bool { return s.Version > 0 && s.Listed == 0 && !s.Compacted }
