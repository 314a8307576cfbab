package txn

// The journal. Facts lie in several chains, which a recovery seals one by one, and whoever sees a
// fact in the stream may journal it as well. So each lands by itself, in any order, until the last
// chain is sealed: a recovery finds any part of what was decided. What is in the journal is
// confirmed.

func (w *walk) journal() {
	var records, plain uint8
	for p := range w.m.cfg.Partitions {
		for _, e := range w.s.logs[p] {
			switch {
			case e == 0 || e >= markers:
			case e >= plains:
				plain |= 1 << (e - plains)
			default:
				records |= 1 << (e - 1)
			}
		}
	}
	for r := range w.m.records {
		if records&^w.s.landedRecords>>r&1 != 0 {
			w.copy().landedRecords |= 1 << r
			w.emit(journalRecord, r, 0)
		}
	}
	for q := range w.m.cfg.Plains {
		if plain&^w.s.landedPlains>>q&1 != 0 {
			w.copy().landedPlains |= 1 << q
			w.emit(journalPlain, q, 0)
		}
	}
	for k := range int(w.s.count) {
		if w.s.landed>>k&1 == 0 {
			w.copy().landed |= 1 << k
			w.emit(journalFact, k, int(w.s.facts[k].kind))
		}
	}
	for p := range w.m.cfg.Partitions {
		if w.s.deleted&^w.s.landedDeleted>>p&1 != 0 {
			w.copy().landedDeleted |= 1 << p
			w.emit(journalDelete, p, 0)
		}
	}
}

func (w *walk) disasters() {
	for p := range w.m.cfg.Partitions {
		if w.s.deletions > 0 && w.s.deleted>>p&1 == 0 {
			n := w.copy()
			n.deletions--
			n.deleted |= 1 << p
			w.emit(deleteRecord, p, 0)
		}
	}
	for id := range w.m.ids {
		w.expire(id)
	}
	if w.s.recoveries > 0 {
		w.recover()
	}
}

// expire forgets an id that nobody has used for long.
func (w *walk) expire(id int) {
	now := w.s.identity(id)
	if w.s.expiries == 0 || now.gone != 0 {
		return
	}
	busy := now.aborting != 0 || now.staged != 0 || w.m.openIn(w.s, id) != 0 || !w.m.complete(w.s, id)
	if busy && w.m.rules.NotWhileOpen {
		return
	}
	now.gone, now.ended, now.next = 1, 0, 0
	n := w.copy()
	n.expiries--
	n.fenced |= 1 << id
	n.decide(id, expiring, now)
	w.emit(expire, id, 0)
}

// recover is a recovery, from the loss of the coordinator to the opening of the next incarnation.
// What the old coordinator answers after the seals, it could have answered before: see the package.
func (w *walk) recover() {
	n := w.copy()
	n.recoveries--
	var ids [maxIDs]identity
	for id := range w.m.ids {
		ids[id] = w.folded(id)
	}
	for p := range w.m.cfg.Partitions {
		prefix := w.s.prefix(p)
		for o := range n.logs[p] {
			if o < prefix {
				n.logs[p][o] = w.s.normal(n.logs[p][o])
			} else {
				n.logs[p][o] = 0
			}
		}
	}
	n.counted = w.m.counted(w.s)
	n.ids, n.count, n.landed = ids, 0, 0
	clear(n.facts[:])
	if w.m.rules.EndingOfLife {
		clear(n.endings[:])
	}
	n.deleted = n.landedDeleted
	for p := range w.m.cfg.Partitions {
		if n.deleted>>p&1 != 0 {
			n.logs[p] = [maxOffsets]entry{}
		}
	}
	w.placeAnew(n)
	w.placeRequests(n)
	n.forgetDropped(w.m)
	n.claim = 0
	for i := range n.sessions {
		if w.m.rules.FenceOwn {
			n.sessions[i].fence = 0 // its owner's life is over: InitProducerId comes again
		}
		n.sessions[i].repeats = uint8(w.m.cfg.Repeats)
	}
	w.emit(open, 0, 0)
}

// placeAnew closes with markers what decided endings have closed.
func (w *walk) placeAnew(n *state) {
	if !w.m.rules.PlaceAnew {
		return
	}
	for p := range w.m.cfg.Partitions {
		for id := range w.m.ids {
			open, ordinal, _ := w.m.open(n, p, id)
			if !open || n.deleted>>p&1 != 0 || n.ids[id].ordinal == 0 {
				continue
			}
			if ordinal < n.ids[id].ordinal || !w.m.rules.CarryOrdinal {
				n.append(p, marker(id, n.ids[id].result))
			}
		}
	}
}

// placeRequests completes requests of functions that are in the journal.
func (w *walk) placeRequests(n *state) {
	if !w.m.rules.PlaceRequests {
		return
	}
	for r, record := range w.m.records {
		if record.session >= 0 || w.s.landedRecords>>r&1 == 0 {
			continue
		}
		for p := range w.m.cfg.Partitions {
			if record.partitions>>p&1 != 0 && w.s.has(p, entry(r+1)) && !n.has(p, entry(r+1)) {
				n.append(p, entry(r+1))
			}
		}
	}
}

// forgetDropped frees what lay beyond holes to be decided again.
func (s *state) forgetDropped(m *model) {
	for r := range m.records {
		kept := false
		for p := range m.cfg.Partitions {
			kept = kept || s.has(p, entry(r+1))
		}
		if !kept {
			s.landedRecords &^= 1 << r
			s.ordinals[r] = 0
		}
	}
	for q, p := range m.cfg.Plains {
		if !s.has(p, plains+entry(q)) {
			s.landedPlains &^= 1 << q
		}
	}
}

// survives says whether a recovery takes a fact that is in the journal for decided.
func (m *model) survives(s *state, k int) bool {
	if m.rules.DecidedByJournal || s.facts[k].kind != ending {
		return true
	}
	for p := range m.cfg.Partitions {
		if s.hasBelow(p, decided+entry(k)) {
			return true
		}
	}
	return false
}

// folded is what the facts in the journal say of an id.
func (w *walk) folded(id int) identity {
	found, any := w.s.ids[id], false
	for k := range int(w.s.count) {
		f := &w.s.facts[k]
		if int(f.of) != id || w.s.landed>>k&1 == 0 || !w.m.survives(w.s, k) {
			continue
		}
		switch {
		case any && !w.m.rules.HighestStands: // as the first one that was read
		case w.m.rules.CarryWhole:
			found = f.identity
		default:
			found.take(f)
		}
		any = true
	}
	return found
}

// take is what a fact does that says only what it changed.
func (i *identity) take(f *fact) {
	switch f.kind {
	case fencing:
		i.epoch, i.aborting, i.ended, i.next, i.previous, i.gone = f.epoch, f.aborting, f.ended, f.next, f.previous, f.gone
	case staging:
		i.staged = f.staged
	case adding:
		i.added = f.added
	case expiring:
		i.gone, i.ended, i.next = 1, 0, 0
	case ending:
		*i = f.identity
	}
}

// counted are the transactions whose offsets count, by the journal.
func (m *model) counted(s *state) uint8 {
	counted := s.counted
	for k := range int(s.count) {
		if s.landed>>k&1 == 0 || !m.survives(s, k) || !m.rules.CarryWhole && s.facts[k].kind != ending {
			continue
		}
		offsets := s.facts[k].offsets
		if !m.rules.CopyStaged {
			offsets &= m.stagedInJournal(s)
		}
		counted |= offsets
	}
	return counted
}

// stagedInJournal are the transactions whose staging is itself in the journal.
func (m *model) stagedInJournal(s *state) (staged uint8) {
	for _, i := range s.ids {
		staged |= i.staged
	}
	for k := range int(s.count) {
		if s.landed>>k&1 != 0 && s.facts[k].kind == staging {
			staged |= s.facts[k].staged
		}
	}
	return staged
}
