package model

// outcome of a read of the bucket.
type outcome int

const (
	fine     outcome = iota
	moved            // objects are missing that no snapshot covers: read again
	contrary         // facts contradict each other
)

// newestOpened is the incarnation that a reader of the bucket alone takes; 0 if there is none.
func (s *state) newestOpened() int {
	for in := maxIncarnations; in > 0; in-- {
		o := &s.incarnations[in-1]
		if o.kind == opened {
			return in
		}
		for n := 1; n < maxSnapshots; n++ {
			if o.snapshots[n].there != 0 {
				return in
			}
		}
	}
	return 0
}

// newestSnapshot is the number of the newest snapshot of an incarnation; -1 if it has none.
func (s *state) newestSnapshot(in int) int {
	o := &s.incarnations[in-1]
	for n := maxSnapshots - 1; n > 0; n-- {
		if o.snapshots[n].there != 0 {
			return n
		}
	}
	if o.kind == opened {
		return 0
	}
	return -1
}

// load reads the newest state of an incarnation.
func (m *model) load(s *state, in int) (snapshot, outcome) {
	n := s.newestSnapshot(in)
	if n < 0 {
		return snapshot{}, moved
	}
	return m.read(s, in, n, nil)
}

// read adds to a snapshot what the chains have beyond it, as loader.apply does: of the objects that
// were listed, if there is a listing.
func (m *model) read(s *state, in, n int, lasts *[maxChains]uint8) (found snapshot, what outcome) {
	from := &s.incarnations[in-1].snapshots[n]
	found = snapshot{facts: from.facts &^ kindMask, keys: from.keys & 1}
	for c := range m.chains {
		ch, cov := &s.chains[c], from.covers[c]
		found.covers[c] = cov
		if cov&sealed != 0 {
			continue
		}
		numbers := ch.present()
		if lasts != nil {
			numbers &= 1<<lasts[c] - 1
		}
		next := 0
		if cov != 0 {
			next = cov.upTo() + 1
			if numbers>>cov.upTo() == 0 && m.rules.GapMeansMoved {
				return found, moved
			}
		}
		if what := m.readChain(ch, c, numbers, next, in, &found); what != fine {
			return found, what
		}
	}
	return found, fine
}

func (m *model) readChain(ch *chain, c int, numbers uint8, next, in int, found *snapshot) outcome {
	for ; numbers>>next != 0; next++ {
		o := ch.objects[next]
		gap := numbers>>next&1 == 0 || o&kindMask == seal && numbers>>(next+1) != 0
		if gap && int(ch.in) == in && m.rules.GapMeansMoved {
			return moved
		}
		if numbers>>next&1 == 0 {
			continue
		}
		switch {
		case int(ch.in) > in && m.rules.NotLater:
		case o&kindMask == seal:
			found.covers[c] = cover(next+1) | sealed
		case int(ch.in) >= in:
			found.covers[c] = cover(next + 1)
			if int(ch.in) > in {
				continue
			}
			both, ok := found.facts.and(o)
			if !ok {
				return contrary
			}
			if m.keyed(o) {
				found.keys |= 1
			}
			found.facts = both
		default:
			found.covers[c] = 0
		}
	}
	return fine
}

// keyed says whether a segment with the key is among facts.
func (m *model) keyed(f facts) bool {
	for o := range maxOffsets {
		if g := record(f.at(o)); g != 0 && m.cfg.Keyed>>(g-1)&1 != 0 {
			return true
		}
	}
	return false
}

// layout says for each offset of the prefix which object holds it (a commit from 1 on, a merged
// segment from mergedObject on) and which record it has there: that of a segment. 0 is a hole.
type layout struct {
	objects, records [maxOffsets]uint8
	end              int
	merges           uint8 // how many are applied
}

const mergedObject = 16

func (s *state) layout(f facts) (l layout) {
	l.end = f.prefix()
	for o := range l.end {
		l.objects[o], l.records[o] = f.at(o), record(f.at(o))
	}
	if f&mergeMask == 0 {
		return l
	}
	for again := true; again; {
		again = false
		for i := range maxMerges {
			if g := &s.merges[i]; f.merged(i) && g.version == l.merges+1 && int(g.last) < l.end {
				s.replace(&l, i)
				again = true
			}
		}
	}
	return l
}

// replace is what partition.replace does: spans that reach into the merge's range are gone, whole.
func (s *state) replace(l *layout, i int) {
	g := &s.merges[i]
	for o := range l.end {
		from, to := o, o
		if l.objects[o] >= mergedObject {
			other := &s.merges[l.objects[o]-mergedObject]
			from, to = int(other.base), int(other.last)
		}
		if to >= int(g.base) && from <= int(g.last) {
			l.objects[o], l.records[o] = 0, 0
		}
	}
	for o := int(g.base); o <= int(g.last); o++ {
		l.objects[o], l.records[o] = uint8(mergedObject+i), g.content.at(o)
	}
	l.merges++
}

// needed are the objects that facts refer to: segments, then merged segments; and the commits whose
// bytes journal objects carry.
func (s *state) needed(f facts) (objects uint8, carriers commits) {
	l := s.layout(f)
	for o := range maxOffsets {
		commit := f.at(o)
		if o < l.end {
			commit = l.objects[o]
		}
		switch {
		case commit >= mergedObject:
			objects |= 1 << (maxSegments + commit - mergedObject)
		case lifeOf(commit) > 0:
			carriers |= 1 << commit
		case commit > 0:
			objects |= 1 << (commit - 1)
		}
	}
	for i := range maxMerges {
		if f.merged(i) && s.merges[i].version > l.merges {
			objects |= 1 << (maxSegments + i)
		}
	}
	return objects, carriers
}

// carrier says whether the journal object that carries the bytes of a commit is there.
func (m *model) carrier(s *state, commit uint8) bool {
	g := int(record(commit)) - 1
	for _, o := range s.chains[m.cfg.chain(m.cfg.Owners[g], lifeOf(commit))].objects {
		if o&kindMask == holding && o.offset(commit) >= 0 {
			return true
		}
	}
	return false
}

// carries are the facts of an object of a chain whose bytes it carries: of commits in the very life
// that the chain is of.
func (m *model) carries(c int, f facts) (kept facts) {
	for o := range maxOffsets {
		commit := f.at(o)
		if life := lifeOf(commit); life > 0 && m.cfg.chain(m.cfg.Owners[record(commit)-1], life) == c {
			kept = kept.with(o, commit)
		}
	}
	return kept
}

// reader is what a reader of the bucket alone serves.
func (m *model) reader(s *state) (layout, outcome) {
	in := s.newestOpened()
	if in == 0 {
		return layout{}, fine
	}
	found, what := m.load(s, in)
	return s.layout(found.facts), what
}
