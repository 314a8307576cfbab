package model

// What a recovery does: bucket_recover.go and beginning.open.

// createIncarnation is step 1. Of two recoveries that want one number one loses, which here is the
// same as not to have begun.
func (w *walk) createIncarnation(i int) {
	b := w.s.budgets.recoveries
	if b == 0 || w.s.newest == maxIncarnations {
		return
	}
	t := w.copy()
	t.budgets.recoveries--
	t.newest++
	w.m.end(t, i)
	n := &t.nodes[i]
	n.phase, n.rin, n.down = settling, t.newest, t.newest-1
	w.emit(transition{createIncarnation, int8(i), 0, 0})
	if w.m.cfg.Late && w.s.creating>>(w.s.newest+1)&1 == 0 {
		t = w.copy()
		t.budgets.recoveries--
		t.creating |= 1 << (w.s.newest + 1)
		w.m.end(t, i)
		w.emit(transition{createIncarnation, int8(i), 1, 0})
	}
}

func (w *walk) recovering(i int) {
	n := &w.s.nodes[i]
	switch n.phase {
	case settling:
		w.settleOne(i)
	case listing:
		w.list(i)
	case sealing:
		w.seal(i)
	case rebuilding:
		w.rebuild(i)
	case rebuilt:
		w.putOpening(i)
	case recovered:
		for k := range w.s.coordinators() {
			w.loadParts(i, k)
		}
	case loading:
		t := w.copy()
		t.nodes[i].phase = opening
		o := &t.incarnations[n.rin-1]
		o.sent |= 1 << n.opening
		w.emit(transition{sendOpen, int8(i), 0, 0})
	case opening:
		for k := range w.s.coordinators() {
			w.lookOpened(i, k)
		}
	}
}

// settleOne is step 2.
func (w *walk) settleOne(i int) {
	n := &w.s.nodes[i]
	t := w.copy()
	v, move := &t.nodes[i], transition{settleOne, int8(i), int8(n.down), 0}
	if n.down == 0 {
		v.phase = listing // nothing ever opened
		w.emit(move)
		return
	}
	o := &t.incarnations[n.down-1]
	if at := w.s.newestSnapshot(int(n.down)); at >= 0 {
		v.base, v.down, v.phase, v.snapshot = n.down, 0, listing, uint8(at)
		v.covers = o.snapshots[at].covers
		for c, cov := range v.covers {
			if cov&sealed != 0 {
				v.ends[c] = uint8(cov &^ sealed)
			}
		}
		w.emit(move)
		return
	}
	v.down--
	if o.kind != void && w.m.rules.Settle {
		o.kind = void
	}
	w.emit(move)
	if w.m.cfg.Late && w.s.incarnations[n.down-1].kind == undecided && w.m.rules.Settle {
		t = w.copy()
		t.incarnations[n.down-1].voiding = 1
		w.m.end(t, i)
		w.emit(transition{settleOne, int8(i), int8(n.down), 1})
	}
}

// list is the listing of step 3, which all chains must show to be sealed.
func (w *walk) list(i int) {
	t := w.copy()
	n := &t.nodes[i]
	wasEmpty := n.required == 0
	for c := range w.m.chains {
		n.lasts[c] = uint8(t.chains[c].last() + 1)
		if n.lasts[c] > 0 && wasEmpty {
			n.required |= 1 << c
		}
	}
	n.todo = 0
	for c := range w.m.chains {
		if n.required>>c&1 != 0 && (n.ends[c] == 0 || n.ends[c] < n.lasts[c]) {
			n.todo |= 1 << c
		}
	}
	n.phase = sealing
	if n.todo == 0 || !wasEmpty && !w.m.rules.SealVerified {
		n.phase, n.todo = rebuilding, 0
	}
	if wasEmpty && !w.m.rules.SealBeforeRead && n.base > 0 {
		found, _ := w.m.load(t, int(n.base))
		t.incarnations[n.rin-1].snapshots[0].facts = found.facts
	}
	w.emit(transition{listChains, int8(i), 0, 0})
}

// seal seals one chain.
func (w *walk) seal(i int) {
	n := &w.s.nodes[i]
	for c := range w.m.chains {
		if n.todo>>c&1 == 0 {
			continue
		}
		t := w.copy()
		v, ch := &t.nodes[i], &t.chains[c]
		if v.todo &^= 1 << c; v.todo == 0 {
			v.phase = listing
			if !w.m.rules.SealVerified {
				v.phase = rebuilding
			}
		}
		last := int(n.lasts[c]) - 1
		next := last + 1
		late := false
		if last < 0 {
			v.ends[c] = 0
			w.emit(transition{sealChain, int8(i), int8(c), 0})
			continue
		}
		switch there := ch.objects[last]; {
		case there == absent:
		case there&kindMask == seal:
			v.ends[c] = uint8(last + 1)
		case !w.m.rules.Seal:
			v.ends[c] = uint8(next + 1)
		case next < maxObjects && ch.objects[next] == absent:
			ch.objects[next], ch.aged = seal, 0
			v.ends[c] = uint8(next + 1)
			if w.m.cfg.Late {
				ch.seals |= 1 << next
			}
			late = w.m.cfg.Late
		}
		w.emit(transition{sealChain, int8(i), int8(c), 0})
		if late {
			t = w.copy()
			t.chains[c].seals |= 1 << next
			w.m.end(t, i)
			w.emit(transition{sealChain, int8(i), int8(c), 1})
		}
	}
}

// rebuild is step 4. A chain that is full without a seal (its last number is a fact) cannot be
// sealed within the bounds; config sees to it that there is room.
func (w *walk) rebuild(i int) {
	n := &w.s.nodes[i]
	t := w.copy()
	v := &t.nodes[i]
	o := &t.incarnations[n.rin-1].snapshots[0]
	var found snapshot
	if n.base > 0 {
		var what outcome
		found, what = w.m.read(w.s, int(n.base), int(n.snapshot), &n.lasts)
		if what == moved || w.s.newestSnapshot(int(n.base)) < 0 {
			found, what = w.m.load(w.s, int(n.base))
		}
		switch what {
		case moved:
			w.m.end(t, i)
			w.emit(transition{rebuild, int8(i), 0, 0})
			return
		case contrary:
			t.wrong = wrongFacts
		}
	}
	if !w.m.rules.SealBeforeRead {
		found.facts = o.facts
	}
	if w.m.rules.HoleCut {
		found.facts = found.facts.upTo(found.facts.prefix())
	}
	o.facts = found.facts
	for c, cov := range found.covers {
		o.covers[c] = 0
		if cov&sealed != 0 && n.lasts[c] > 0 {
			o.covers[c] = cov
		}
	}
	if o.keys = found.keys << 1; w.m.rules.KeysInSnapshots {
		o.keys |= found.keys
	}
	*v = node{lives: n.lives, spare: n.spare, rin: n.rin, phase: rebuilt}
	w.emit(transition{rebuild, int8(i), 0, 0})
}

// putOpening is step 5.
func (w *walk) putOpening(i int) {
	n := &w.s.nodes[i]
	t := w.copy()
	o := &t.incarnations[n.rin-1]
	if o.kind == undecided || o.kind == void && !w.m.rules.VoidIsFinal {
		o.kind, o.snapshots[0].there = opened, 1
		t.nodes[i].phase = recovered
	} else {
		w.m.end(t, i)
	}
	w.emit(transition{putOpening, int8(i), 0, 0})
	if w.m.cfg.Late && w.s.incarnations[n.rin-1].kind == undecided {
		t = w.copy()
		t.incarnations[n.rin-1].opening = 1
		w.m.end(t, i)
		w.emit(transition{putOpening, int8(i), 1, 0})
	}
}

// loadParts loads the state under the keys of a generation that is not open.
func (w *walk) loadParts(i, k int) {
	n, sv := &w.s.nodes[i], &w.s.servers[k]
	t := w.copy()
	if sv.in >= n.rin && w.m.rules.OpenHigher {
		w.m.end(t, i)
		w.emit(transition{lifeOver, int8(i), 0, 0})
		return
	}
	o := &t.incarnations[n.rin-1]
	o.to, o.before = sv.identity, sv.in
	t.servers[k].loaded = n.rin | n.opening<<7
	t.nodes[i].phase = loading
	w.emit(transition{loadParts, int8(i), 0, 0})
}

// lookOpened looks whether the very opening that was sent is current. If not, the state is dropped:
// the next recovery takes the next number.
func (w *walk) lookOpened(i, k int) {
	n, sv := &w.s.nodes[i], &w.s.servers[k]
	t := w.copy()
	if sv.in == n.rin && sv.opening == n.opening && sv.trusted != 0 {
		t.nodes[i] = node{lives: n.lives, spare: n.spare, in: n.rin, opening: n.opening, own: 1, phase: asked}
	} else {
		w.m.end(t, i)
	}
	w.emit(transition{lookOpened, int8(i), 0, 0})
	if !w.m.rules.OpenOnce && n.opening == 0 {
		t = w.copy()
		t.nodes[i].phase, t.nodes[i].opening = recovered, 1
		w.emit(transition{openAgain, int8(i), 0, 0})
	}
}
