package model

import (
	"bytes"
	"slices"
)

// swap renames nodes, and with them their chains and segments. The config stays the same, so that
// states that differ by it are one.
type swap struct {
	nodes, segments, chains []int // new place of each
}

// swaps returns the renamings of nodes, other than none, under which a configuration stays as it
// is: the k-th segment of a node becomes the k-th of the other.
func swaps(cfg *config) []swap {
	var all []swap
	permute(cfg.Nodes, func(nodes []int) {
		s := swap{nodes: slices.Clone(nodes)}
		if slices.IsSorted(nodes) || cfg.Split && nodes[0] != 0 || cfg.Guest > 0 && nodes[cfg.Nodes-1] != cfg.Nodes-1 {
			return
		}
		for g, owner := range cfg.Owners {
			k, to := 0, -1
			for _, before := range cfg.Owners[:g] {
				if before == owner {
					k++
				}
			}
			for h, other := range cfg.Owners {
				if other == nodes[owner] {
					if k == 0 {
						to = h
						break
					}
					k--
				}
			}
			if to < 0 || cfg.Keyed>>g&1 != cfg.Keyed>>to&1 || cfg.carried(g) != cfg.carried(to) {
				return
			}
			s.segments = append(s.segments, to)
		}
		for i := range cfg.Nodes {
			for life := range cfg.Lives {
				s.chains = append(s.chains, cfg.chain(nodes[i], life+1))
			}
		}
		all = append(all, s)
	})
	return all
}

func permute(n int, visit func([]int)) {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	var rest func(k int)
	rest = func(k int) {
		if k == n {
			visit(p)
			return
		}
		for i := k; i < n; i++ {
			p[k], p[i] = p[i], p[k]
			rest(k + 1)
			p[k], p[i] = p[i], p[k]
		}
	}
	rest(0)
}

// canonical returns the least of the states that a state is renamed to, and by which swap; -1 if it
// is the least itself.
func (m *model) canonical(s *state) (least state, by int) {
	least, by = *s, -1
	for i := range m.swaps {
		if t := m.swaps[i].apply(s, m.cfg); bytes.Compare(bytesOf(&t), bytesOf(&least)) < 0 {
			least, by = t, i
		}
	}
	return least, by
}

func (p *swap) apply(s *state, cfg *config) state {
	t := *s
	for c, to := range p.chains {
		t.chains[to] = s.chains[c]
		for n := range t.chains[to].objects {
			t.chains[to].objects[n] = p.facts(t.chains[to].objects[n])
		}
		t.chains[to].flight = p.facts(t.chains[to].flight)
	}
	for i, to := range p.nodes {
		t.nodes[to] = s.nodes[i]
		n := &t.nodes[to]
		n.known, n.view = p.facts(n.known), p.facts(n.view)
		n.answers = [maxSegments]uint8{}
		for g, at := range p.segments {
			n.answers[at] = s.nodes[i].answers[g]
		}
		n.required, n.todo = mask(n.required, p.chains), mask(n.todo, p.chains)
		n.loose = p.object(n.loose)
		for c, at := range p.chains {
			n.ends[at], n.lasts[at], n.covers[at] = s.nodes[i].ends[c], s.nodes[i].lasts[c], s.nodes[i].covers[c]
		}
	}
	for i := range t.incarnations {
		for k := range t.incarnations[i].snapshots {
			p.snapshot(&t.incarnations[i].snapshots[k], &s.incarnations[i].snapshots[k])
		}
	}
	p.snapshot(&t.flying.snapshot, &s.flying.snapshot)
	for _, sv := range []*server{&t.servers[0], &t.servers[1], &t.backup} {
		sv.log, sv.known = p.facts(sv.log), p.commits(sv.known)
	}
	for g, to := range p.segments {
		t.segments[to] = s.segments[g]
	}
	for g := range t.merges {
		t.merges[g].content = p.facts(t.merges[g].content)
	}
	t.doomed = p.object(t.doomed)
	return t
}

func (p *swap) snapshot(t, s *snapshot) {
	t.facts = p.facts(s.facts)
	for c, at := range p.chains {
		t.covers[at] = s.covers[c]
	}
}

func (p *swap) facts(f facts) facts {
	if f&logMask == 0 {
		return f
	}
	swapped := f &^ logMask
	for o := range maxOffsets {
		if commit := f.at(o); commit != 0 {
			swapped = swapped.with(o, p.commit(commit))
		}
	}
	return swapped
}

func (p *swap) commit(commit uint8) uint8 {
	return uint8(p.segments[record(commit)-1]+1) | commit&^(1<<lifeShift-1)
}

func (p *swap) commits(s commits) (renamed commits) {
	for commit := range uint8(mergedObject) {
		if s.has(commit) {
			renamed |= 1 << p.commit(commit)
		}
	}
	return renamed
}

// object renames segments, and leaves merged ones.
func (p *swap) object(objects uint8) uint8 {
	return mask(objects&(1<<maxSegments-1), p.segments) | objects&^(1<<maxSegments-1)
}

func mask(bits uint8, to []int) (renamed uint8) {
	if bits == 0 {
		return 0
	}
	for i, at := range to {
		renamed |= bits >> i & 1 << at
	}
	return renamed
}

// naming says under which names nodes, chains and segments go by now.
type namings struct{ nodes, chains, segments []int }

func naming(cfg *config) *namings {
	count := func(n int) []int {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	return &namings{count(cfg.Nodes), count(cfg.chains()), count(len(cfg.Owners))}
}

func (n *namings) swap(p *swap) {
	renamed := func(names, to []int) []int {
		now := slices.Clone(names)
		for i, at := range to {
			now[at] = names[i]
		}
		return now
	}
	n.nodes, n.chains = renamed(n.nodes, p.nodes), renamed(n.chains, p.chains)
	n.segments = renamed(n.segments, p.segments)
}

// say puts a move into the names of the beginning.
func (n *namings) say(m transition) transition {
	switch m.Step {
	case journalPutLands, sealLands, deleteLands:
		m.A = int8(n.chains[m.A])
	case commit:
		m.B = int8(n.segments[m.B])
	case confirm, open, propose, flush, save, rewind, failover, tick,
		createIncarnationLands, settleOneLands, openingLands, snapshotLands:
	case collectDeleteLands:
		if int(m.A) < len(n.segments) {
			m.A = int8(n.segments[m.A])
		}
	case newSegment, answer, resolve, acknowledge, highWatermarks:
		m.A, m.B = int8(n.nodes[m.A]), int8(n.segments[m.B])
	case sealChain, sealSilent:
		m.A, m.B = int8(n.nodes[m.A]), int8(n.chains[m.B])
	default:
		m.A = int8(n.nodes[m.A])
	}
	return m
}
