package model

// Snapshots, tidying, the ends of silent chains, merges and the collector: node_snapshotter.go,
// node_silent.go, state_merge.go, bucket_garbage.go.

func (w *walk) snapshots(i int) {
	n := &w.s.nodes[i]
	if w.s.budgets.snapshots > 0 {
		number := w.s.newestSnapshot(int(n.in)) + 1
		if found, what := w.m.load(w.s, int(n.in)); what == fine && number < maxSnapshots {
			t := w.copy()
			t.budgets.snapshots--
			if !w.m.rules.KeysInSnapshots {
				found.keys = 0
			}
			if !w.m.rules.CoverSealed {
				for c, cov := range found.covers {
					if cov&sealed != 0 && w.s.chains[c].present() == 0 {
						found.covers[c] = 0
					}
				}
			}
			t.flying = flyingSnapshot{snapshot: found, in: n.in, n: uint8(number)}
			w.emit(transition{putSnapshot, int8(i), 0, 0})
		}
	}
	if w.m.cfg.Tidy {
		w.tidy(i)
	}
	if w.m.cfg.Quiet {
		w.sealSilent(i)
	}
}

func (w *walk) snapshotLands() {
	f := &w.s.flying
	if f.in == 0 {
		return
	}
	o := &w.s.incarnations[f.in-1]
	if o.snapshots[f.n].there != 0 || o.kind == removed {
		return
	}
	t := w.copy()
	t.incarnations[f.in-1].snapshots[f.n] = f.snapshot
	t.incarnations[f.in-1].snapshots[f.n].there = 1
	t.flying = flyingSnapshot{}
	w.emit(transition{snapshotLands, int8(f.in), int8(f.n), 0})
}

// tidy sends deletions of what the newest snapshot covers, and of what is older than the
// incarnation.
func (w *walk) tidy(i int) {
	n := &w.s.nodes[i]
	number := w.s.newestSnapshot(int(n.in))
	if number < 0 || w.m.rules.TidyNewest && w.s.newest > n.in {
		return
	}
	t := w.copy()
	newest := &w.s.incarnations[n.in-1].snapshots[number]
	for c, cov := range newest.covers {
		ch := &w.s.chains[c]
		if cov == 0 || ch.in == 0 {
			continue
		}
		below := ch.present() & (1<<cov.upTo() - 1)
		doomed := below &^ w.kept(c, newest.facts)
		old := ch.aged > 0 || !w.m.rules.SealsKept
		if last := ch.present() & (1 << cov.upTo()); below == 0 && (cov&sealed != 0 && old || !w.m.rules.KeepLast) {
			doomed |= last
		}
		t.chains[c].doomed |= doomed
	}
	if w.m.cfg.Old {
		for in := range int(n.in) - 1 {
			o := &t.incarnations[in]
			if o.kind == opened {
				loaded := snapshot{facts: o.snapshots[0].facts, keys: o.snapshots[0].keys} // by an opening under way
				*o = incarnation{kind: removed, confirms: o.confirms, sent: o.sent, to: o.to, before: o.before}
				o.snapshots[0] = loaded
			} else if o.kind == void && !w.m.rules.VoidsKept {
				o.kind = undecided
			}
		}
	}
	if *t != *w.s {
		w.emit(transition{tidy, int8(i), 0, 0})
	}
}

// kept are the numbers of a chain's objects that carry bytes which facts need.
func (w *walk) kept(c int, f facts) (numbers uint8) {
	_, carriers := w.s.needed(f)
	for n, object := range w.s.chains[c].objects {
		own := w.m.carries(c, object)
		for o := range maxOffsets {
			if own.at(o) != 0 && carriers.has(own.at(o)) && w.m.rules.CarriedKept {
				numbers |= 1 << n
			}
		}
	}
	return numbers
}

// sealSilent sends a seal for a chain that has been silent.
func (w *walk) sealSilent(i int) {
	n := &w.s.nodes[i]
	number := w.s.newestSnapshot(int(n.in))
	if number < 0 {
		return
	}
	for c := range w.m.chains {
		ch := &w.s.chains[c]
		last := ch.last()
		own := c == w.m.cfg.chain(i, int(n.lives))
		if own || ch.silent == 0 || last < 0 || last+1 >= maxObjects || ch.objects[last]&kindMask == seal ||
			w.s.incarnations[n.in-1].snapshots[number].covers[c]&sealed != 0 || ch.seals>>(last+1)&1 != 0 {
			continue
		}
		w.copy().chains[c].seals |= 1 << (last + 1)
		w.emit(transition{sealSilent, int8(i), int8(c), 0})
	}
}

// plan plans a merge over what the view shows, and puts the merged segment.
func (w *walk) plan(i int) {
	n := &w.s.nodes[i]
	g := 0
	for g < w.m.cfg.Merges && w.s.merges[g].planned != 0 {
		g++
	}
	if g == w.m.cfg.Merges || w.m.cfg.guest(i) {
		return
	}
	l := w.s.layout(n.view)
	for base := range l.end {
		var content facts
		for last := base; last < l.end; last++ {
			object := l.objects[last]
			if !w.mergeable(object) {
				break
			}
			content = content.with(last, l.records[last])
			if !w.s.whole(&l, base, last) {
				continue
			}
			t := w.copy()
			t.merges[g] = merge{
				content: content, base: uint8(base), last: uint8(last), after: l.merges,
				there: 1, planned: 1, sent: generation(n.in, n.opening),
			}
			w.emit(transition{planMerge, int8(i), int8(base), int8(last)})
		}
	}
}

// whole says whether a range cuts no span in two.
func (s *state) whole(l *layout, base, last int) bool {
	for _, o := range []int{base, last} {
		if object := l.objects[o]; object >= mergedObject {
			if g := &s.merges[object-mergedObject]; int(g.base) < base || int(g.last) > last {
				return false
			}
		}
	}
	return true
}

// mergeable says whether a planner may merge an object, and finds it.
func (w *walk) mergeable(object uint8) bool {
	switch {
	case object == 0:
		return false
	case object >= mergedObject:
		return w.s.merges[object-mergedObject].there != 0
	}
	sg := &w.s.segments[record(object)-1]
	there := sg.there != 0 || lifeOf(object) > 0 && w.m.carrier(w.s, object)
	return there && (sg.age > 0 || !w.m.rules.MergeRipe)
}

// proposals is Propose of a merge.
func (w *walk) proposals(i int, sv *server) {
	if sv.in == 0 || sv.trusted == 0 {
		return
	}
	for g := range w.m.cfg.Merges {
		p := &w.s.merges[g]
		if p.sent&generation(sv.in, sv.opening) == 0 || sv.log.merged(g) {
			continue
		}
		pending := false
		for other := range w.m.cfg.Merges {
			pending = pending || sv.log.merged(other) && sv.confirmed>>(maxOffsets+other)&1 == 0
		}
		switch {
		case p.age > 0 && w.m.rules.MergeDeadline:
		case int(p.last) >= sv.hw() && w.m.rules.MergeConfirmed:
		case w.m.rules.MergeInTurn && (sv.merges != p.after || pending):
		default:
			t := w.copy()
			v := &t.servers[i]
			v.log = v.log.withMerge(g)
			v.merges++
			t.merges[g].version = v.merges
			if p.there == 0 {
				t.wrong = wrongCommit
			}
			w.emit(transition{propose, int8(i), int8(g), 0})
		}
	}
}

// stages of a collector.
const (
	idle = iota
	listed
	latest
	allSettled
	judged
)

func (w *walk) collect(i int) {
	n := &w.s.nodes[i]
	t := w.copy()
	v := &t.nodes[i]
	switch n.stage {
	case idle:
		if w.s.budgets.collections == 0 || w.m.cfg.guest(i) {
			return
		}
		t.budgets.collections--
		needed, _ := w.s.needed(n.view)
		v.loose = w.ripe() &^ needed
		v.stage = listed
		if !w.m.rules.CollectSettled {
			v.stage = allSettled
		}
		if v.loose == 0 {
			return
		}
		w.emit(transition{collectList, int8(i), 0, 0})
	case listed:
		for _, sv := range w.s.coordinators() {
			if w.m.admits(&sv, n.in, n.opening) {
				v.latest, v.stage = sv.log.mask(), latest
				w.emit(transition{collectLatest, int8(i), 0, 0})
			}
		}
	case latest:
		for _, sv := range w.s.coordinators() {
			if w.m.admits(&sv, n.in, n.opening) && sv.confirmed&n.latest == n.latest {
				v.latest, v.stage = 0, allSettled
				w.emit(transition{collectSettled, int8(i), 0, 0})
			}
		}
	case allSettled:
		found, what := w.m.load(w.s, int(n.in))
		if !w.m.rules.CollectByBucket {
			found.facts, what = n.view, fine
		}
		needed, _ := w.s.needed(found.facts)
		v.loose &^= needed
		if v.stage = judged; what != fine || v.loose == 0 {
			v.stage, v.loose = idle, 0
		}
		w.emit(transition{collectLoad, int8(i), 0, 0})
	case judged:
		if w.s.newest == n.in || !w.m.rules.CollectNewest {
			t.doomed |= n.loose
		}
		v.stage, v.loose = idle, 0
		w.emit(transition{collectCheck, int8(i), 0, 0})
	}
}

// ripe are the objects that are old enough to be collected.
func (w *walk) ripe() (objects uint8) {
	for g := range w.s.segments {
		if sg := &w.s.segments[g]; sg.there != 0 && (sg.age > 1 || !w.m.rules.CollectRipe) {
			objects |= 1 << g
		}
	}
	for g := range w.s.merges {
		if p := &w.s.merges[g]; p.there != 0 && (p.age > 1 || !w.m.rules.CollectRipe) {
			objects |= 1 << (maxSegments + g)
		}
	}
	return objects &^ w.s.doomed
}
