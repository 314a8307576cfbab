package embedded

import (
	"maps"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Copy returns a coordinator with the same state, as a backup or a lagging replica of a server has
// it. Leases and registrations are not in it: no two servers agree on them.
func (e *Coordinator) Copy() *Coordinator {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := New(e.opts)
	if e.decided == nil {
		return c
	}
	c.generation, c.decided = e.generation, e.decided.Decider()
	c.stream.first, c.stream.entries = e.stream.first, slices.Clone(e.stream.entries)
	c.pending = e.pending.copy()
	c.forgotten = slices.Clone(e.forgotten)
	c.usable, c.settling = maps.Clone(e.usable), maps.Clone(e.settling)
	c.commits = rememberedIDs[*recentCommit]{byID: map[segments.ID]*recentCommit{}, queue: slices.Clone(e.commits.queue)}
	for id, r := range e.commits.byID {
		c.commits.byID[id] = &recentCommit{r.seq, r.segment.Clone()}
	}
	c.changes = rememberedIDs[coordinator.Entry]{byID: maps.Clone(e.changes.byID), queue: slices.Clone(e.changes.queue)}
	c.leases = leases{incarnation: e.leases.incarnation}
	c.nodes = nodes{}
	return c
}

// Lose forgets everything, as a server does that is emptied: a node has to Recover and Open again.
func (e *Coordinator) Lose() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.generation, e.decided = coordinator.Generation{}, nil // Open makes the rest anew
	e.stream.wake()
}

func (p *pending) copy() pending {
	c := pending{facts: maps.Clone(p.facts), order: slices.Clone(p.order),
		prefixes: map[segments.Partition]*confirmedPrefix{}, merging: maps.Clone(p.merging)}
	for at, prefix := range p.prefixes {
		c.prefixes[at] = &confirmedPrefix{prefix.end, prefix.pending, maps.Clone(prefix.beyond)}
	}
	return c
}
