package model

// Messages that arrive, and what happens to coordinators. A message that was sent may arrive at any
// time later, and again, until it has no effect any more. It is lost if it never does.

func (w *walk) network() {
	for i := range w.s.servers {
		if sv := &w.s.servers[i]; sv.identity != 0 {
			w.commits(i, sv)
			w.confirms(i, sv)
			w.opens(i, sv)
			w.proposals(i, sv)
		}
	}
	w.lands()
}

// commits is Commit: commit.lua, Embedded.Commit.
func (w *walk) commits(i int, sv *server) {
	if sv.in == 0 || sv.trusted == 0 {
		return
	}
	for g := range w.m.cfg.Owners {
		if w.m.cfg.carried(g) {
			w.carriedCommits(i, sv, g)
			continue
		}
		sg := &w.s.segments[g]
		if !w.arrives(sg.sent[0], sv) {
			continue
		}
		switch end := sv.log.prefix(); {
		case sg.age > 0 && w.m.rules.CommitDeadline:
		case sv.known.has(uint8(g+1)) && w.m.rules.IdempotentCommit:
		case sv.keys != 0 && w.m.cfg.Keyed>>g&1 != 0 && w.m.rules.Keys:
		case end == maxOffsets || sv.known.has(uint8(g+1)) && end > 0 && sv.log.at(end-1) == uint8(g+1):
		default:
			t := w.decide(i, g, end, uint8(g+1))
			if sg.there == 0 {
				t.wrong = wrongCommit
			}
			w.emit(transition{commit, int8(i), int8(g), 0})
		}
	}
}

// arrives says whether a coordinator takes a call that was sent in some generations.
func (w *walk) arrives(sent uint8, sv *server) bool {
	return sent&generation(sv.in, sv.opening) != 0 || sent != 0 && !w.m.rules.CallsCarryGeneration
}

// carriedCommits are commits of a segment whose bytes come with the facts, by name.
func (w *walk) carriedCommits(i int, sv *server, g int) {
	sg := &w.s.segments[g]
	for life := 1; life <= w.m.cfg.Lives; life++ {
		carriedAs := carried(g, life)
		switch end := sv.log.prefix(); {
		case !w.arrives(sg.sent[life-1], sv):
		case sg.age > 0 && w.m.rules.CommitDeadline:
		case sv.known.has(carriedAs) && w.m.rules.IdempotentCommit:
		case sv.keys != 0 && w.m.cfg.Keyed>>g&1 != 0 && w.m.rules.Keys:
		case end == maxOffsets || sv.known.has(carriedAs) && end > 0 && sv.log.at(end-1) == carriedAs:
		default:
			w.decide(i, g, end, carriedAs)
			w.emit(transition{commit, int8(i), int8(g), int8(life)})
		}
	}
}

// decide gives a commit of a segment an offset.
func (w *walk) decide(i, g, offset int, commit uint8) *state {
	t := w.copy()
	v := &t.servers[i]
	v.log = v.log.with(offset, commit)
	v.known |= 1 << commit
	if w.m.cfg.Keyed>>g&1 != 0 {
		v.keys = 1
	}
	return t
}

// confirms is Confirm.
func (w *walk) confirms(i int, sv *server) {
	if sv.in == 0 || sv.trusted == 0 {
		return
	}
	sent := w.s.incarnations[sv.in-1].confirms[sv.opening]
	if !w.m.rules.CallsCarryGeneration {
		for in := range w.s.incarnations {
			sent |= w.s.incarnations[in].confirms[0] | w.s.incarnations[in].confirms[1]
		}
	}
	for left := sent & sv.log.mask() &^ sv.confirmed; left != 0; left &= left - 1 {
		bit := left & -left
		w.copy().servers[i].confirmed |= bit
		n := int8(0)
		for bit>>n != 1 {
			n++
		}
		w.emit(transition{confirm, int8(i), n, 0})
	}
}

// opens is Open: open.lua.
func (w *walk) opens(i int, sv *server) {
	for in := range w.s.incarnations {
		o := &w.s.incarnations[in]
		for k := range uint8(2) {
			if o.sent>>k&1 == 0 || o.to != sv.identity && w.m.rules.ServerIdentity {
				continue
			}
			late := int(sv.in) > in || o.before != sv.in
			if late && w.m.rules.OpenHigher || int(sv.in) == in+1 && sv.opening == k {
				continue
			}
			if sv.loaded != uint8(in+1)|k<<7 && w.m.rules.OpenLoaded {
				continue
			}
			t := w.copy()
			w.m.open(t, &t.servers[i], in+1, k)
			w.emit(transition{open, int8(i), int8(in + 1), int8(k)})
		}
	}
}

func (m *model) open(s *state, sv *server, in int, opening uint8) {
	from := &s.incarnations[in-1].snapshots[0]
	*sv = server{
		log: from.facts, confirmed: from.facts.mask(), in: uint8(in), opening: opening,
		identity: sv.identity, trusted: 1, loaded: sv.loaded,
	}
	l := s.layout(from.facts)
	sv.merges = l.merges
	if m.rules.CommitsSurvive {
		for _, object := range l.objects {
			if object > 0 && object < mergedObject {
				sv.known |= 1 << object
			}
		}
	}
	if m.rules.KeysOpened {
		sv.keys = from.keys >> 1
	}
}

// lands lets puts arrive whose sender waits for them, or gave up.
func (w *walk) lands() {
	for c := range w.m.chains {
		ch := &w.s.chains[c]
		if ch.flight != 0 && ch.objects[ch.at] == absent {
			t := w.copy()
			t.chains[c].objects[ch.at] = ch.flight
			w.emit(transition{journalPutLands, int8(c), int8(ch.at), 0})
		}
		for n := range maxObjects {
			if ch.seals>>n&1 != 0 && ch.objects[n] == absent {
				t := w.copy()
				t.chains[c].objects[n], t.chains[c].aged = seal, 0
				w.emit(transition{sealLands, int8(c), int8(n), 0})
			}
			if ch.doomed>>n&1 != 0 {
				t := w.copy()
				t.chains[c].objects[n] = absent
				t.chains[c].doomed &^= 1 << n
				w.emit(transition{deleteLands, int8(c), int8(n), 0})
			}
		}
	}
	if next := w.s.newest + 1; w.s.creating>>next&1 != 0 {
		w.copy().newest = next
		w.emit(transition{createIncarnationLands, int8(next), 0, 0})
	}
	for in := range w.s.incarnations {
		o := &w.s.incarnations[in]
		if o.kind != undecided {
			continue
		}
		if o.voiding != 0 {
			w.copy().incarnations[in].kind = void
			w.emit(transition{settleOneLands, int8(in + 1), 0, 0})
		}
		if o.opening != 0 {
			t := w.copy()
			t.incarnations[in].kind, t.incarnations[in].snapshots[0].there = opened, 1
			w.emit(transition{openingLands, int8(in + 1), 0, 0})
		}
	}
	w.snapshotLands()
	for o := range maxSegments + maxMerges {
		if w.s.doomed>>o&1 != 0 {
			t := w.copy()
			t.doomed &^= 1 << o
			if o < maxSegments {
				t.segments[o].there = 0
			} else {
				t.merges[o-maxSegments].there = 0
			}
			w.emit(transition{collectDeleteLands, int8(o), 0, 0})
		}
	}
}

// disasters happen to coordinators.
func (w *walk) disasters() {
	b, present := &w.s.budgets, &w.s.servers[0]
	if b.flushes > 0 && present.in != 0 {
		t := w.copy()
		t.budgets.flushes--
		t.servers[0] = server{identity: present.identity}
		w.emit(transition{flush, 0, 0, 0})
	}
	if b.saves > 0 && present.in != 0 && present.trusted != 0 {
		t := w.copy()
		t.budgets.saves--
		t.backup = *present
		w.emit(transition{save, 0, 0, 0})
	}
	if b.rewinds > 0 {
		w.rewind()
	}
	if b.failovers > 0 {
		w.failover()
	}
	if b.ticks > 0 {
		w.tick()
	}
}

// replacement is another server, with an earlier state or none.
func (w *walk) replacement(t *state, empty bool) server {
	t.identities++
	if empty {
		return server{identity: t.identities}
	}
	sv := w.s.backup
	sv.identity = t.identities
	if w.m.rules.ServerIdentity {
		sv.trusted = 0
	}
	return sv
}

func (w *walk) rewind() {
	for k := range int8(2) {
		if k == 1 && w.s.backup.in == 0 {
			continue
		}
		t := w.copy()
		t.budgets.rewinds--
		t.servers[0] = w.replacement(t, k == 0)
		w.emit(transition{rewind, 0, k, 0})
	}
}

func (w *walk) failover() {
	for k := range int8(2) {
		if k == 1 && w.s.backup.in == 0 {
			continue
		}
		t := w.copy()
		t.budgets.failovers--
		t.servers[1], t.servers[0] = t.servers[0], w.replacement(t, k == 0)
		w.emit(transition{failover, 0, k, 0})
	}
}

// tick lets so much time pass that commits are too late, chains are silent, or seals and garbage
// old, whichever comes next.
func (w *walk) tick() {
	t := w.copy()
	t.budgets.ticks--
	for c := range w.m.chains {
		ch := &t.chains[c]
		if ch.in == 0 {
			continue
		}
		ch.silent, ch.begun = min(ch.silent+1, 2), min(ch.begun+1, 2)
		if last := ch.last(); last >= 0 && ch.objects[last]&kindMask == seal {
			ch.aged = min(ch.aged+1, 2)
		}
	}
	for g := range t.segments {
		if t.segments[g].there != 0 || t.segments[g].state != unborn {
			t.segments[g].age = min(t.segments[g].age+1, 2)
		}
	}
	for g := range t.merges {
		if t.merges[g].planned != 0 {
			t.merges[g].age = min(t.merges[g].age+1, 2)
		}
	}
	w.emit(transition{tick, 0, 0, 0})
}
