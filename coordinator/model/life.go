package model

// What a node does in and between its lives: node_begin.go, node_chain.go, node_journal.go,
// node_life.go, ingest.

// coordinators are those that a node may reach. After a failover each call may come to either.
func (s *state) coordinators() []server {
	if s.servers[1].identity != 0 {
		return s.servers[:]
	}
	return s.servers[:1]
}

// admits says whether a coordinator takes a call of a generation.
func (m *model) admits(sv *server, in, opening uint8) bool {
	return sv.in != 0 && sv.trusted != 0 && (sv.in == in && sv.opening == opening || !m.rules.CallsCarryGeneration)
}

func generation(in, opening uint8) uint8 { return 1 << (2*(in-1) + opening) }

// node makes the steps of one node.
func (w *walk) node(i int) {
	n := &w.s.nodes[i]
	switch n.phase {
	case between:
		for k := range w.s.coordinators() {
			w.between(i, k)
		}
	case asked:
		w.begin(i)
	case begun:
		w.checkNewest(i)
	case first:
		for k := range w.s.coordinators() {
			w.settled(i, k)
		}
	case settled, located:
		w.load(i)
	case alive:
		w.lifeSteps(i)
	default:
		w.recovering(i)
	}
	if n.phase != between && w.s.budgets.crashes > 0 {
		t := w.copy()
		t.budgets.crashes--
		w.m.crash(t, i)
		w.emit(transition{crash, int8(i), 0, 0})
	}
}

func (w *walk) between(i, k int) {
	sv := &w.s.servers[k]
	if sv.in == 0 || sv.trusted == 0 {
		w.createIncarnation(i)
		return
	}
	n := &w.copy().nodes[i]
	n.phase, n.in, n.opening = asked, sv.in, sv.opening
	if int(n.lives) == w.m.cfg.Lives && (n.spare != sv.opening+1 ||
		w.s.chains[w.m.cfg.chain(i, int(n.lives))].in != sv.in) {
		return // no further life is within the bounds
	}
	w.emit(transition{askGeneration, int8(i), 0, 0})
}

// end is the end of a life, or of an attempt to begin one.
func (m *model) end(s *state, i int) {
	n := &s.nodes[i]
	spare := n.spare
	switch n.phase {
	case begun, first, settled, located:
		spare = n.opening + 1
	}
	*n = node{lives: n.lives, known: n.known, spare: spare}
	if m.rules.HelpOwnGeneration {
		n.known = 0
	}
}

func (m *model) crash(s *state, i int) {
	m.end(s, i)
	s.nodes[i].known, s.nodes[i].spare = 0, 0
	for g, owner := range m.cfg.Owners {
		if owner == i && s.segments[g].state == held {
			s.segments[g].state = forgotten
		}
	}
}

func (w *walk) begin(i int) {
	n := &w.s.nodes[i]
	if w.spare(i) {
		t := w.copy()
		c := &t.chains[w.m.cfg.chain(i, int(n.lives))]
		if c.objects[0] == absent {
			c.objects[0] = beginning
		}
		t.nodes[i].phase, t.nodes[i].next = begun, 1
		w.emit(transition{begin, int8(i), 1, 0})
		return
	}
	if int(n.lives) == w.m.cfg.Lives {
		return // no further life is within the bounds
	}
	create := func() (*state, *chain) {
		t := w.copy()
		t.nodes[i].lives++
		c := &t.chains[w.m.cfg.chain(i, int(t.nodes[i].lives))]
		c.in = n.in
		return t, c
	}
	t, c := create()
	c.objects[0] = beginning
	t.nodes[i].phase, t.nodes[i].next = begun, 1
	w.emit(transition{begin, int8(i), 0, 0})
	if w.m.cfg.Late {
		t, c = create()
		c.flight, c.at = beginning, 0
		w.m.end(t, i)
		t.nodes[i].spare = n.opening + 1
		w.emit(transition{beginLate, int8(i), 0, 0})
	}
}

// spare says whether an earlier try has begun the chain of a life that could not begin, with which
// the next try goes on.
func (w *walk) spare(i int) bool {
	n := &w.s.nodes[i]
	if n.spare == 0 || n.spare != n.opening+1 {
		return false
	}
	c := &w.s.chains[w.m.cfg.chain(i, int(n.lives))]
	return c.in == n.in && c.silent == 0
}

func (w *walk) checkNewest(i int) {
	n := &w.s.nodes[i]
	if n.in == w.s.newest || !w.m.rules.NewestAtBegin {
		t := w.copy()
		t.nodes[i].phase = first
		if w.m.cfg.guest(i) {
			w.m.beginLife(t, i)
		}
		w.emit(transition{checkNewest, int8(i), 0, 0})
		return
	}
	w.m.end(w.copy(), i)
	w.emit(transition{checkNewest, int8(i), 1, 0})
	w.createIncarnation(i) // whose recovery it is seems dead
}

// beginLife lets a life begin: the node commits in it what is unanswered.
func (m *model) beginLife(s *state, i int) {
	n := &s.nodes[i]
	n.phase, n.own, n.spare = alive, 0, 0
	for g, owner := range m.cfg.Owners {
		if owner == i && s.segments[g].state == held && !m.cfg.carried(g) { // of those see resolve
			s.segments[g].sent[0] |= generation(n.in, n.opening)
		}
	}
}

func (w *walk) settled(i, k int) {
	n, sv := &w.s.nodes[i], &w.s.servers[k]
	t := w.copy()
	if !w.m.admits(sv, n.in, n.opening) || w.late(i) {
		w.m.end(t, i)
		w.emit(transition{lifeOver, int8(i), 0, 0})
		return
	}
	switch {
	case n.own == loadedFirst:
		t.nodes[i].from = uint8(sv.hw())
		w.m.beginLife(t, i)
	case !w.m.rules.SettledBeforeLoad:
		found, _ := w.m.load(w.s, int(n.in))
		t.nodes[i].view, t.nodes[i].own = found.facts, loadedFirst
	case n.own != 0:
		t.nodes[i].view = w.s.incarnations[n.in-1].snapshots[0].facts
		w.m.beginLife(t, i)
	default:
		t.nodes[i].phase, t.nodes[i].from = settled, uint8(sv.hw())
	}
	w.emit(transition{askSettled, int8(i), 0, 0})
}

// late says whether a life took too long to begin.
func (w *walk) late(i int) bool {
	return w.m.rules.BeginSoon && w.s.chains[w.m.cfg.chain(i, int(w.s.nodes[i].lives))].silent > 0
}

// load reads the bucket into the view: in one step, or the snapshot first.
func (w *walk) load(i int) {
	n := &w.s.nodes[i]
	number := w.s.newestSnapshot(int(n.in))
	if n.phase == settled && w.m.cfg.Loads {
		if number < 0 {
			w.m.end(w.copy(), i)
			w.emit(transition{lifeOver, int8(i), 0, 0})
			return
		}
		t := w.copy()
		t.nodes[i].phase, t.nodes[i].snapshot = located, uint8(number)
		w.emit(transition{locate, int8(i), 0, 0})
		return
	}
	if n.phase == located {
		number = int(n.snapshot)
	}
	what := moved
	var found snapshot
	if number >= 0 {
		found, what = w.m.read(w.s, int(n.in), number, nil)
	}
	t := w.copy()
	v := &t.nodes[i]
	switch {
	case what == contrary:
		t.wrong = wrongFacts
	case what == moved, w.late(i), n.in != w.s.newest && w.m.rules.NewestAfterLoad:
		w.m.end(t, i)
	default:
		v.view, v.snapshot = found.facts, 0
		t.confirm(v, found.facts) // what is in the journal, and its writer may not live to confirm
		w.m.beginLife(t, i)
	}
	w.emit(transition{load, int8(i), 0, 0})
}

// lifeSteps makes the steps of a life.
func (w *walk) lifeSteps(i int) {
	n, over := &w.s.nodes[i], false
	w.newSegment(i)
	w.resolve(i)
	w.journal(i)
	for k := range w.s.coordinators() {
		sv := &w.s.servers[k]
		if !w.m.admits(sv, n.in, n.opening) {
			over = true
			continue
		}
		w.answers(i, sv)
		w.learn(i, sv)
		w.follow(i, sv)
		if w.m.cfg.guest(i) {
			w.acknowledge(i, sv.hw(), highWatermarks)
		}
	}
	if over {
		w.m.end(w.copy(), i)
		w.emit(transition{lifeOver, int8(i), 0, 0})
	}
	if !w.m.cfg.guest(i) {
		w.acknowledge(i, n.view.prefix(), acknowledge)
	}
	w.snapshots(i)
	w.plan(i)
	w.collect(i)
}

func (w *walk) newSegment(i int) {
	n := &w.s.nodes[i]
	for g, owner := range w.m.cfg.Owners {
		if owner == i && w.s.segments[g].state == unborn {
			sg := segment{state: held, there: 1}
			if w.m.cfg.carried(g) {
				sg.there, sg.name = 0, n.lives
			}
			sg.sent[max(sg.name, 1)-1] = generation(n.in, n.opening)
			w.copy().segments[g] = sg
			w.emit(transition{newSegment, int8(i), int8(g), 0})
			return
		}
	}
}

// journaled says whether a life has put facts into its chain, or is putting them.
func (w *walk) journaled(i int, f facts) bool {
	n := &w.s.nodes[i]
	c := &w.s.chains[w.m.cfg.chain(i, int(n.lives))]
	for _, o := range c.objects {
		if o&f == f && o&kindMask == holding {
			return true
		}
	}
	return n.putting != 0 && c.flight&f == f || n.known&f == f
}

// answers lets the answers to commits arrive: where a segment is, and what is to be journaled.
func (w *walk) answers(i int, sv *server) {
	n := &w.s.nodes[i]
	for g, owner := range w.m.cfg.Owners {
		if owner != i || w.s.segments[g].state != held || n.answers[g] != 0 {
			continue
		}
		commit := uint8(g + 1)
		if w.m.cfg.carried(g) {
			commit = carried(g, int(w.s.segments[g].name))
		}
		o := sv.log.offset(commit)
		if o < 0 && w.m.cfg.Keyed>>g&1 != 0 {
			o = w.original(sv)
		}
		if o < 0 {
			continue
		}
		t := w.copy()
		t.nodes[i].answers[g] = uint8(o + 1)
		f := facts(0).with(o, commit)
		if sv.log.at(o) == commit && sv.confirmed>>o&1 == 0 && w.mayJournal(i, commit) && !w.journaled(i, f) {
			t.nodes[i].known, _ = n.known.and(f)
		}
		w.emit(transition{answer, int8(i), int8(g), 0})
	}
}

// resolve finds out what became of a segment that an earlier life was to carry. If its object is
// there, and this incarnation needs it, then it is committed again under its name, as any segment
// that is in the bucket. If it is not needed, because a recovery has cut it off, or the chain is
// sealed without it, then this life carries it, under another name. Else the chain is sealed.
func (w *walk) resolve(i int) {
	n := &w.s.nodes[i]
	for g, owner := range w.m.cfg.Owners {
		sg := &w.s.segments[g]
		if owner != i || sg.state != held || !w.m.cfg.carried(g) || sg.name == n.lives {
			continue
		}
		t := w.copy()
		at := w.m.cfg.chain(i, int(sg.name))
		ch, again := &t.chains[at], &t.segments[g]
		switch last := ch.last(); {
		case w.there(i, carried(g, int(sg.name))) && w.counts(i, g):
			again.sent[sg.name-1] |= generation(n.in, n.opening)
		case w.there(i, carried(g, int(sg.name))),
			last >= 0 && ch.objects[last]&kindMask == seal || last < 0 || !w.m.rules.CarriedSealed:
			again.name = n.lives
			again.sent[n.lives-1] |= generation(n.in, n.opening)
		case last+1 < maxObjects:
			ch.objects[last+1], ch.aged = seal, 0
		}
		if *t != *w.s {
			w.emit(transition{resolve, int8(i), int8(g), 0})
		}
	}
}

// counts says whether the object that carries a segment is kept: its commit was sent in this very
// incarnation, or is among what that has recovered.
func (w *walk) counts(i, g int) bool {
	n, sg := &w.s.nodes[i], &w.s.segments[g]
	return sg.sent[sg.name-1]&generation(n.in, n.opening) != 0 || n.view.offset(carried(g, int(sg.name))) >= 0 ||
		!w.m.rules.CarriedRecovered
}

// mayJournal says whether a node may put the fact of a commit into its chain: of one that another
// life carries, or did, only when the object is there.
func (w *walk) mayJournal(i int, commit uint8) bool {
	life := lifeOf(commit)
	return life == 0 || life == int(w.s.nodes[i].lives) && w.m.cfg.Owners[record(commit)-1] == i ||
		w.there(i, commit) || !w.m.rules.CarriedThere
}

// there says whether the object that carries a commit is in the journal. One that lands where a
// seal was, which is gone again, is not: the newest snapshot says that its chain is sealed before
// it.
func (w *walk) there(i int, commit uint8) bool {
	if !w.m.carrier(w.s, commit) {
		return false
	}
	in := int(w.s.nodes[i].in)
	number := w.s.newestSnapshot(in)
	if number < 0 || !w.m.rules.CarriedUnsealed {
		return true
	}
	c := w.m.cfg.chain(w.m.cfg.Owners[record(commit)-1], lifeOf(commit))
	cov := w.s.incarnations[in-1].snapshots[number].covers[c]
	for n, o := range w.s.chains[c].objects {
		if o&kindMask == holding && o.offset(commit) >= 0 && cov&sealed != 0 && cov.upTo() <= n {
			return false
		}
	}
	return true
}

// original is where a coordinator has the request with the key.
func (w *walk) original(sv *server) int {
	for o := range sv.log.end() {
		if g := record(sv.log.at(o)); g != 0 && w.m.cfg.Keyed>>(g-1)&1 != 0 {
			return o
		}
	}
	return -1
}

// learn lets a node see decisions that await their confirmation, its own and those of others: these
// it helps along.
func (w *walk) learn(i int, sv *server) {
	n := &w.s.nodes[i]
	for b := range maxOffsets + maxMerges {
		var f facts
		var mine bool
		if b < maxOffsets {
			commit := sv.log.at(b)
			if commit == 0 {
				continue
			}
			g := record(commit)
			f, mine = facts(0).with(b, commit), w.m.cfg.Owners[g-1] == i
			if mine && w.s.segments[g-1].state == held && n.answers[g-1] == 0 {
				continue // it learns from the answer
			}
			if !w.mayJournal(i, commit) {
				if sv.confirmed>>b&1 == 0 {
					w.createIncarnation(i) // nobody can tell whether it will be there, other than by a recovery
				}
				continue
			}
		} else if f = facts(0).withMerge(b - maxOffsets); sv.log&f == 0 {
			continue
		}
		if sv.confirmed>>b&1 != 0 || w.journaled(i, f) || w.m.cfg.Alone && b < maxOffsets && !mine {
			continue
		}
		t := w.copy()
		if w.m.rules.HelpJournals || mine {
			var ok bool
			if t.nodes[i].known, ok = n.known.and(f); !ok {
				continue // it holds another fact of that offset, which it has to journal first
			}
		} else if t.confirm(n, f); *t == *w.s {
			continue
		}
		w.emit(transition{learn, int8(i), int8(b), 0})
	}
}

// confirm sends a confirmation.
func (s *state) confirm(n *node, f facts) {
	s.incarnations[n.in-1].confirms[n.opening] |= f.mask()
}

// journal puts what waits into the chain, and takes the answer.
func (w *walk) journal(i int) {
	n := &w.s.nodes[i]
	at := w.m.cfg.chain(i, int(n.lives))
	c := &w.s.chains[at]
	if n.putting == 0 {
		if n.known != 0 && int(n.next) < w.m.cfg.Objects && !w.stale(i, c) {
			t := w.copy()
			ch := &t.chains[at]
			ch.flight, ch.at, ch.begun = holding|n.known, n.next, 0
			t.nodes[i].putting, t.nodes[i].known = 1, 0
			if !w.m.rules.JournalBeforeConfirm {
				t.confirm(n, n.known)
			}
			w.emit(transition{journalPut, int8(i), 0, 0})
		}
		return
	}
	there := c.objects[n.next]
	if there == absent {
		return // tried again
	}
	t := w.copy()
	if w.fenced(i, c, there) {
		w.m.end(t, i)
	} else {
		ch, v := &t.chains[at], &t.nodes[i]
		t.confirm(n, c.flight)
		v.next, v.putting, ch.silent = n.next+1, 0, c.begun
	}
	w.emit(transition{journalPutAnswered, int8(i), 0, 0})
}

// stale is chain.stale: only guests give themselves up.
func (w *walk) stale(i int, c *chain) bool {
	return w.m.cfg.guest(i) && w.m.rules.GuestSilence && c.silent > 0
}

// fenced is what chain.put makes of the object that is there.
func (w *walk) fenced(i int, c *chain, there facts) bool {
	n := &w.s.nodes[i]
	switch {
	case there != c.flight:
		return w.m.rules.Fence
	case w.stale(i, c):
		return true
	case c.silent == 0:
		return false
	}
	shared := !w.m.cfg.Exclusive && !w.m.cfg.guest(i)
	return w.m.rules.LookAfterSilence && w.s.newest > n.in ||
		w.m.rules.ConnectedAfterSilence && shared && c.objects[n.next-1] == absent
}

// follow takes what is confirmed into the view.
func (w *walk) follow(i int, sv *server) {
	n := &w.s.nodes[i]
	if w.m.cfg.guest(i) {
		return
	}
	shown := facts(0)
	for o := int(n.from); o < maxOffsets; o++ {
		if sv.confirmed>>o&1 != 0 || !w.m.rules.HighWatermark {
			shown = shown.with(o, sv.log.at(o))
		}
	}
	for g := range maxMerges {
		if sv.log.merged(g) && sv.confirmed>>(maxOffsets+g)&1 != 0 {
			shown = shown.withMerge(g)
		}
	}
	both, ok := n.view.and(shown)
	lacks := both.prefix() < sv.hw()
	if ok && both == n.view && !lacks {
		return
	}
	t := w.copy()
	t.nodes[i].view = both
	switch {
	case !ok:
		t.wrong = wrongStream
	case lacks:
		t.wrong = wrongView
	}
	w.emit(transition{follow, int8(i), 0, 0})
}

// holds says whether a reader of the bucket finds a segment at an offset, or another with its key.
func (w *walk) holds(offset, g int) bool {
	r := int(w.seen.records[offset]) - 1
	return offset < w.seen.end && r >= 0 && (r == g || w.m.cfg.Keyed>>g&w.m.cfg.Keyed>>r&1 != 0)
}

// acknowledge answers producers.
func (w *walk) acknowledge(i, hw int, step step) {
	n := &w.s.nodes[i]
	for g, owner := range w.m.cfg.Owners {
		if owner != i || w.s.segments[g].state != held || n.answers[g] == 0 {
			continue
		}
		o := int(n.answers[g]) - 1
		if hw <= o && w.m.rules.AckAfterConfirm {
			continue
		}
		t := w.copy()
		t.segments[g].state = acknowledged
		t.nodes[i].answers[g] = 0
		if !w.holds(o, g) {
			t.wrong = wrongAck
		}
		w.emit(transition{step, int8(i), int8(g), 0})
	}
}
