package embedded

import (
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// pending are the facts that await their confirmation, by number, and how far partitions are
// confirmed nevertheless.
type pending struct {
	facts    map[uint64]*coordinator.Fact
	order    []uint64 // ascending; confirmed ones go when they reach the front
	prefixes map[segments.Partition]*confirmedPrefix
	merging  map[segments.Partition]struct{}
}

// confirmedPrefix is how far a partition is confirmed, while some of its spans await that.
type confirmedPrefix struct {
	end     int64
	pending int             // spans
	beyond  map[int64]int64 // confirmed spans beyond one that is not: first offset to the next behind them
}

func newPending() pending {
	return pending{facts: map[uint64]*coordinator.Fact{}, prefixes: map[segments.Partition]*confirmedPrefix{},
		merging: map[segments.Partition]struct{}{}}
}

func (p *pending) add(seq uint64, f *coordinator.Fact) {
	p.facts[seq] = f
	p.order = append(p.order, seq)
	if f.Merge != nil {
		p.merging[f.Merge.Partition] = struct{}{}
	}
	if f.Commit == nil {
		return
	}
	for i := range f.Commit.Spans {
		s := &f.Commit.Spans[i]
		prefix := p.prefixes[s.Partition]
		if prefix == nil {
			prefix = &confirmedPrefix{end: s.Span.Base, beyond: map[int64]int64{}}
			p.prefixes[s.Partition] = prefix
		}
		prefix.pending++
	}
}

// take removes and returns a fact; nil if it is not pending.
func (p *pending) take(seq uint64) *coordinator.Fact {
	f := p.facts[seq]
	delete(p.facts, seq)
	for len(p.order) > 0 && p.facts[p.order[0]] == nil {
		p.order = p.order[1:]
	}
	switch {
	case f == nil:
	case f.Merge != nil:
		delete(p.merging, f.Merge.Partition)
	case f.Commit != nil:
		for i := range f.Commit.Spans {
			p.confirm(&f.Commit.Spans[i])
		}
	}
	return f
}

// confirm moves the prefix of a partition over a span, and over those that follow it and were
// confirmed before.
func (p *pending) confirm(s *coordinator.CommitSpan) {
	prefix := p.prefixes[s.Partition]
	prefix.pending--
	if prefix.pending == 0 {
		delete(p.prefixes, s.Partition) // all of the partition is confirmed
		return
	}
	prefix.beyond[s.Span.Base] = s.Span.Last + 1
	for {
		next, confirmed := prefix.beyond[prefix.end]
		if !confirmed {
			return
		}
		delete(prefix.beyond, prefix.end)
		prefix.end = next
	}
}

func (p *pending) oldest() (seq uint64, any bool) {
	if len(p.order) == 0 {
		return 0, false
	}
	return p.order[0], true
}
