package coordinator

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"firn.dev/segments"
)

// Doubt is a span that was given offsets and that others contradict: it is not in the state. That
// can only happen when an incarnation was opened twice. Its records may have been acknowledged.
// Nobody reads them at these offsets, and nobody deletes their segment, until an operator has
// looked and recovers with RecoverOptions.ForgetDoubts.
type Doubt struct {
	Partition  segments.Partition
	Span       Span
	Generation Generation // in which it was decided; its Nonce may be unknown
}

// Records is how many records are in doubt.
func (d *Doubt) Records() int64 { return d.Span.Last - d.Span.Base + 1 }

func (d *Doubt) String() string {
	return fmt.Sprintf("%s offsets %d-%d, in segment %s, decided in %s",
		d.Partition, d.Span.Base, d.Span.Last, d.Span.Segment, d.Generation)
}

func compareDoubts(a, b Doubt) int {
	return cmp.Or(comparePartitions(a.Partition, b.Partition), compareSpans(&a.Span, &b.Span),
		cmp.Compare(a.Generation.Incarnation, b.Generation.Incarnation),
		bytes.Compare(a.Generation.Nonce[:], b.Generation.Nonce[:]))
}

func compareSpans(a, b *Span) int {
	return cmp.Or(cmp.Compare(a.Base, b.Base), compareIDs(a.Segment, b.Segment),
		cmp.Compare(a.Position, b.Position), cmp.Compare(a.Last, b.Last))
}

// Doubts are what contradicts the state: see Doubt. They are ordered by partition and offset.
func (s *State) Doubts() []Doubt { return s.doubts }

// addDoubts takes them in, each once.
func (s *State) addDoubts(doubts []Doubt) {
	if len(doubts) == 0 {
		return
	}
	s.doubts = append(slices.Clip(s.doubts), doubts...)
	slices.SortFunc(s.doubts, compareDoubts)
	s.doubts = slices.CompactFunc(s.doubts, func(a, b Doubt) bool { return compareDoubts(a, b) == 0 })
}

// doubtsNamed is how many of them a log line names.
const doubtsNamed = 20

// reportDoubts logs what is in doubt.
func reportDoubts(logger *slog.Logger, doubts []Doubt) {
	if len(doubts) == 0 {
		return
	}
	records, named := int64(0), make([]string, 0, doubtsNamed)
	for i := range doubts {
		records += doubts[i].Records()
		if i < doubtsNamed {
			named = append(named, doubts[i].String())
		}
	}
	logger.Error("an incarnation was opened twice: records that may have been acknowledged contradict others"+
		" and are left out. Their segments are kept; an audit of the bucket (firn doctor) names them all",
		"records", records, "spans", len(doubts), "first", strings.Join(named, "; "))
}

// candidate is a span that a journal tells of.
type candidate struct {
	CommitSpan
	nonce Nonce
}

// gathered are the commits of journal objects, by partition. All of them are applied together, so
// that the result does not depend on the order in which the objects were read, not even where
// they contradict each other.
type gathered map[segments.Partition][]candidate

func (g gathered) add(f *Fact, nonce Nonce) {
	for i := range f.Commit.Spans {
		s := &f.Commit.Spans[i]
		g[s.Partition] = append(g[s.Partition], candidate{*s, nonce})
	}
}

// all are in doubt.
func (g gathered) all(in Incarnation) (doubts []Doubt) {
	for at, candidates := range g {
		for _, c := range candidates {
			doubts = append(doubts, Doubt{at, c.Span, Generation{in, c.nonce}})
		}
	}
	return doubts
}

// apply applies the commits to a state, and returns those that contradict it or each other. Of two
// spans that overlap, the one with the lower base offset stands; of two with the same base, the one
// whose generation is known, then the one of the older segment. What is in the state's prefix
// already stands above all.
func (g gathered) apply(s *State) (doubts []Doubt) {
	for at, candidates := range g {
		p := s.partition(at)
		if p == nil {
			continue
		}
		before := len(p.keys)
		for _, c := range p.applyAll(candidates, !s.bare) {
			doubts = append(doubts, Doubt{at, c.Span, Generation{s.incarnation, c.nonce}})
		}
		s.keys += len(p.keys) - before
	}
	return doubts
}

// applyAll applies spans, together with those that waited beyond a hole. It returns
// those that contradict others.
func (p *partition) applyAll(candidates []candidate, keepSpans bool) (contradicted []candidate) {
	for _, b := range p.beyond {
		candidates = append(candidates, candidate{CommitSpan: *b.commitSpan()})
	}
	p.beyond = nil
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.Span.Base, b.Span.Base), cmp.Compare(unknown(a.nonce), unknown(b.nonce)),
			compareSpans(&a.Span, &b.Span))
	})
	for _, c := range candidates {
		switch end := p.reach(); {
		case p.has(&c.Span):
		case c.Span.Base < end:
			contradicted = append(contradicted, c)
		case c.Span.Base > p.end:
			p.beyond = append(p.beyond, beyondGap{c.Span, c.Producers, c.Keyed, c.Marker, c.Atomic})
		default:
			p.join(&c.CommitSpan, keepSpans)
		}
	}
	if p.waiting != nil {
		p.merge(keepSpans)
	}
	return contradicted
}

func unknown(n Nonce) int {
	if n == (Nonce{}) {
		return 1
	}
	return 0
}

// reach is one past the last offset that a span has, in the prefix or beyond.
func (p *partition) reach() int64 {
	if n := len(p.beyond); n > 0 {
		return p.beyond[n-1].span.Last + 1
	}
	return p.end
}

// has says whether a span of a mixed segment is known. A span that was merged away, or that lies
// below the log start, counts as known.
func (p *partition) has(s *Span) bool {
	if s.Last < p.end {
		at := find(p.spans, s.Base)
		return at == len(p.spans) || p.spans[at].Base > s.Base || p.spans[at].Version > 0 || same(&p.spans[at].Span, s)
	}
	byBase := func(b beyondGap, base int64) int { return cmp.Compare(b.span.Base, base) }
	at, found := slices.BinarySearchFunc(p.beyond, s.Base, byBase)
	return found && same(&p.beyond[at].span, s)
}

func same(a, b *Span) bool {
	return a.Segment == b.Segment && a.Base == b.Base && a.Last == b.Last && a.Position == b.Position
}
