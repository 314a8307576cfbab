package coordinator

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
)

// partition is the sum of the facts about one partition. Its spans form a contiguous prefix that
// ends at end. Spans beyond a hole wait in beyond until the hole is filled, and have no effect
// before: so the result does not depend on the order in which facts arrive.
type partition struct {
	logStart int64
	// end is one past the contiguous prefix: the high watermark, in a state of confirmed facts.
	end int64
	// spans are those of the prefix, without those that lie wholly below logStart. The slice is only
	// ever appended to or replaced, so readers may hold a copy.
	spans     []placed
	bytes     int64       // of spans
	beyond    []beyondGap // ordered by base offset
	producers map[int64]*producer
	keys      map[[16]byte]keyed     // requests written in the last day; nil if there are none
	index     int32                  // of the partition in its topic
	requests  requests               // those of all partitions of the topic
	merges    uint64                 // version of the newest that was applied: all up to it were
	waiting   []*Merge               // for an earlier one, or for their offsets; ordered by version
	txns      *partitionTransactions // nil if there are none
}

// placed is a span and the largest timestamp of the spans up to it, which makes a search by
// time a binary search.
type placed struct {
	Span
	runningMax int64
}

// beyondGap is a span that waits for the offsets before it.
type beyondGap struct {
	span      Span
	producers []ProducerBatch
	keyed     []Keyed
	marker    *Marker
	atomic    uint32
}

func (b *beyondGap) commitSpan() *CommitSpan {
	return &CommitSpan{Span: b.span, Producers: b.producers, Keyed: b.keyed, Marker: b.marker, Atomic: b.atomic}
}

// errContradiction says that a fact contradicts others. No coordinator decides such a fact: the
// incarnation must have been opened twice.
var errContradiction = errors.New("facts contradict each other")

// contradicts is the error of a span whose offsets other spans have.
func contradicts(s *Span) error {
	return fmt.Errorf("%w: span %d-%d of segment %s: others have these offsets",
		errContradiction, s.Base, s.Last, s.Segment)
}

// apply applies a span: behind the prefix, beyond a hole, or not at all if it is known.
func (p *partition) apply(c *CommitSpan, keepSpans bool) error {
	span := c.Span
	switch {
	case span.Last < p.end:
		if keepSpans && !p.has(&span) {
			return contradicts(&span)
		}
		return nil
	case span.Base < p.end:
		return fmt.Errorf("%w: span %d-%d of segment %s overlaps offsets up to %d that others have",
			errContradiction, span.Base, span.Last, span.Segment, p.end-1)
	case span.Base > p.end:
		at := sort.Search(len(p.beyond), func(i int) bool { return p.beyond[i].span.Base >= span.Base })
		if at < len(p.beyond) && p.beyond[at].span.Base == span.Base {
			if !same(&p.beyond[at].span, &span) {
				return contradicts(&span)
			}
			return nil
		}
		p.beyond = append(p.beyond, beyondGap{})
		copy(p.beyond[at+1:], p.beyond[at:])
		p.beyond[at] = beyondGap{span, c.Producers, c.Keyed, c.Marker, c.Atomic}
		return nil
	}
	p.join(c, keepSpans)
	for len(p.beyond) > 0 && p.beyond[0].span.Base == p.end {
		next := p.beyond[0]
		p.beyond = p.beyond[1:]
		p.join(next.commitSpan(), keepSpans)
	}
	if len(p.beyond) == 0 {
		p.beyond = nil
	} else if p.beyond[0].span.Base < p.end {
		return fmt.Errorf("%w: span %d-%d of segment %s overlaps offsets up to %d that others have", errContradiction,
			p.beyond[0].span.Base, p.beyond[0].span.Last, p.beyond[0].span.Segment, p.end-1)
	}
	if p.waiting != nil {
		p.merge(keepSpans)
	}
	return nil
}

// join appends a span to the prefix.
func (p *partition) join(c *CommitSpan, keepSpans bool) {
	span := c.Span
	p.end = span.Last + 1
	for i := range c.Producers {
		p.observe(&c.Producers[i])
	}
	for i := range c.Keyed {
		p.remember(&c.Keyed[i])
	}
	p.transact(c.Producers, c.Marker, span.Base, keepSpans)
	if keepSpans && span.Last >= p.logStart {
		runningMax := span.MaxTimestamp
		if n := len(p.spans); n > 0 {
			runningMax = max(runningMax, p.spans[n-1].runningMax)
		}
		p.spans = append(p.spans, placed{span, runningMax})
		p.bytes += span.Length
	}
}

// raiseLogStart moves the log start up and forgets the spans that lie wholly below it.
func (p *partition) raiseLogStart(offset int64) {
	if offset <= p.logStart {
		return
	}
	p.logStart = offset
	p.trimAborted()
	gone := find(p.spans, offset)
	if gone == 0 {
		return
	}
	for i := range p.spans[:gone] {
		p.bytes -= p.spans[i].Length
	}
	kept := p.spans[gone:]
	if len(kept) > gone && kept[0].runningMax == kept[0].MaxTimestamp {
		p.spans = kept // those that are gone had no larger timestamp: so nothing changes, and nothing needs to be copied
		return
	}
	p.spans = appendPlaced(make([]placed, 0, len(kept)), kept, math.MinInt64)
}

// clone copies p. Both copies share spans up to their present length, and append to memory of their
// own from there on.
func (p *partition) clone(keepSpans bool) *partition {
	c := &partition{index: p.index, logStart: p.logStart, end: p.end, merges: p.merges,
		beyond:  append([]beyondGap(nil), p.beyond...),
		waiting: append([]*Merge(nil), p.waiting...)}
	if keepSpans {
		c.spans, c.bytes = slices.Clip(p.spans), p.bytes
	}
	c.keys, c.txns = maps.Clone(p.keys), p.txns.clone()
	if p.producers != nil {
		c.producers = make(map[int64]*producer, len(p.producers))
		for id, pr := range p.producers {
			same := *pr
			c.producers[id] = &same
		}
	}
	return c
}

// find returns where in spans the one lies that holds offset, or the first behind it.
func find(spans []placed, offset int64) int {
	return sort.Search(len(spans), func(i int) bool { return spans[i].Last >= offset })
}
