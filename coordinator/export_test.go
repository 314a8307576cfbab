package coordinator

import (
	"maps"
	"slices"

	"firn/segments"
)

// forgetKeys makes a coordinator forget every request.
func (e *Embedded) forgetKeys() {
	for _, p := range e.decided.partitions {
		p.keys = nil
	}
}

// copy returns a coordinator with the same state, as a backup or a lagging replica has it.
func (e *Embedded) copy() *Embedded {
	c := NewEmbedded(e.opts)
	if e.decided == nil {
		return c
	}
	c.generation, c.decided = e.generation, e.decided.clone(true)
	c.stream.first, c.stream.entries = e.stream.first, slices.Clone(e.stream.entries)
	c.pending = e.pending.copy()
	c.usable, c.settling = maps.Clone(e.usable), maps.Clone(e.settling)
	for id, r := range e.commits.byID {
		same := *r
		same.answers = slices.Clone(r.answers)
		c.commits.remember(id, id.Time().Add(e.opts.CommitDeadline), &same)
	}
	c.changes.byID = maps.Clone(e.changes.byID)
	c.leases = leases{incarnation: e.leases.incarnation}
	c.nodes = nodes{}
	return c
}

func (p *pending) copy() pending {
	c := pending{facts: maps.Clone(p.facts), order: slices.Clone(p.order), prefixes: map[segments.Partition]*confirmedPrefix{}, merging: maps.Clone(p.merging)}
	for at, prefix := range p.prefixes {
		c.prefixes[at] = &confirmedPrefix{prefix.end, prefix.pending, maps.Clone(prefix.beyond)}
	}
	return c
}
