package model

import "math/bits"

// model is a configuration under rules.
type model struct {
	cfg    *config
	rules  rules
	chains int
	swaps  []swap // that leave the configuration as it is
}

// newModel returns a model.
func newModel(cfg *config, rules rules) *model {
	m := &model{cfg: cfg, rules: rules, chains: cfg.chains()}
	if m.chains > maxChains || cfg.Nodes > maxNodes || len(cfg.Owners) > maxSegments ||
		cfg.Objects > maxObjects-1 || cfg.Recoveries >= maxIncarnations ||
		cfg.Merges > maxMerges || cfg.Snapshots >= maxSnapshots {
		panic("model: a configuration beyond what a state has room for: " + cfg.Name)
	}
	m.swaps = swaps(cfg)
	return m
}

// What a step found wrong.
const (
	wrongFacts = 1 + iota
	wrongStream
	wrongView
	wrongAck
	wrongCommit
)

var wrongs = map[uint8]string{
	wrongFacts:  "P9: facts in the bucket contradict each other",
	wrongStream: "P2: the commit stream contradicts what a node serves",
	wrongView:   "P3: a node that has followed the stream does not serve all that is confirmed",
	wrongAck:    "P1: a segment is acknowledged that a reader of the bucket does not find at its offset",
	wrongCommit: "P7: an object is gone, and its commit or merge is decided",
}

// walk makes the steps that are possible in a state.
type walk struct {
	m    *model
	s    *state
	seen layout // what a reader of the bucket serves in s
	next state
	out  func(next *state, move transition)
}

// copy begins a step.
func (w *walk) copy() *state {
	w.next = *w.s
	return &w.next
}

func (w *walk) emit(move transition) { w.out(&w.next, move) }

// from makes all steps from s.
func (w *walk) from(s *state) {
	w.s = s
	w.seen, _ = w.m.reader(s)
	for i := range w.m.cfg.Nodes {
		w.node(i)
	}
	w.network()
	w.disasters()
}

// judge says what is wrong in a state that was reached from one in which a reader of the bucket
// served seen; "" if nothing is.
func (m *model) judge(s *state, seen *layout) string {
	if s.wrong != 0 {
		return wrongs[s.wrong]
	}
	l, what := m.reader(s)
	switch {
	case what == contrary:
		return wrongs[wrongFacts]
	case what == moved:
		return "P9: the bucket cannot be read: objects are missing"
	case l.end < seen.end || !same(&l, seen, seen.end):
		return "P2: what a reader of the bucket has served is gone, or is another record now"
	}
	var once, keys uint8
	for o := range l.end {
		r := l.records[o]
		if r == 0 {
			return "P2: a record was lost in a merge"
		}
		if once>>r&1 != 0 {
			return "P4: a record is served at two offsets"
		}
		once |= 1 << r
		keys += m.cfg.Keyed >> (r - 1) & 1
	}
	if keys > 1 {
		return "P4: a request is written twice"
	}
	for i := range m.cfg.Nodes {
		if view := s.layout(s.nodes[i].view); view.end > l.end || !same(&view, &l, view.end) {
			return "P2: a node serves what a reader of the bucket does not, or another record"
		}
	}
	objects, carriers := s.needed(m.prefix(s))
	if objects&^s.objects() != 0 {
		return "P7: an object that a committed span needs was deleted"
	}
	for commit := range uint8(mergedObject) {
		if carriers.has(commit) && !m.carrier(s, commit) {
			return "P7: no journal object carries the bytes of a committed span"
		}
	}
	for g := range m.cfg.Owners {
		if s.segments[g].state == acknowledged && once>>(g+1)&1 == 0 && (m.cfg.Keyed>>g&1 == 0 || keys == 0) {
			return "P1: an acknowledged segment is not in the journal"
		}
	}
	return ""
}

func (m *model) prefix(s *state) facts {
	in := s.newestOpened()
	if in == 0 {
		return 0
	}
	found, _ := m.load(s, in)
	return found.facts
}

func same(a, b *layout, n int) bool {
	return [maxOffsets]uint8(a.records) == b.records || equal(a.records[:n], b.records[:n])
}

func equal(a, b []uint8) bool { return string(a) == string(b) }

// objects are the segments and merged segments in the bucket.
func (s *state) objects() (there uint8) {
	for g := range s.segments {
		there |= s.segments[g].there << g
	}
	for g := range s.merges {
		there |= s.merges[g].there << (maxSegments + g)
	}
	return there
}

// tidyUp brings states together that differ in nothing that can still matter: messages that no one
// takes any more, and what cannot be trusted any more.
func (m *model) tidyUp(s *state) {
	live := m.liveGenerations(s)
	for g := range s.segments {
		for name := range s.segments[g].sent {
			s.segments[g].sent[name] &= live
		}
		if s.segments[g].age > 0 && m.rules.CommitDeadline {
			s.segments[g].sent = [maxLives]uint8{}
		}
	}
	for g := range s.merges {
		s.merges[g].sent &= live
	}
	for in := range s.incarnations {
		o := &s.incarnations[in]
		for k := range o.confirms {
			if live>>(2*in+k)&1 == 0 {
				o.confirms[k] = 0
			}
		}
		if o.kind != undecided {
			o.voiding, o.opening = 0, 0
		}
		if o.sent != 0 && o.to != s.servers[0].identity && o.to != s.servers[1].identity && m.rules.ServerIdentity {
			o.sent, o.to, o.before = 0, 0, 0
		}
	}
	s.creating &= ^uint8(0) << (s.newest + 1)
	for i := range s.servers {
		m.distrust(&s.servers[i])
	}
	if !m.cfg.Tidy {
		m.tidyChains(s)
	}
	m.forgetHistory(s)
	if s.budgets.rewinds == 0 && s.budgets.failovers == 0 {
		s.backup, s.budgets.saves = server{}, 0
	} else {
		m.distrustBackup(&s.backup)
	}
}

// distrust leaves of what a server holds what anybody looks at who may not trust it.
func (m *model) distrust(sv *server) {
	if sv.trusted == 0 && m.rules.ServerIdentity {
		*sv = server{in: sv.in, opening: sv.opening, identity: sv.identity, loaded: sv.loaded}
	}
}

func (m *model) distrustBackup(sv *server) {
	if m.rules.ServerIdentity {
		*sv = server{in: sv.in, opening: sv.opening}
	}
}

// liveGenerations are those that a coordinator may still take calls of.
func (m *model) liveGenerations(s *state) (live uint8) {
	if !m.rules.CallsCarryGeneration {
		return ^uint8(0)
	}
	servers := []*server{&s.servers[0], &s.servers[1]}
	if !m.rules.ServerIdentity {
		servers = append(servers, &s.backup)
	}
	for _, sv := range servers {
		if sv.in != 0 && (sv.trusted != 0 || !m.rules.ServerIdentity) {
			live |= generation(sv.in, sv.opening)
		}
	}
	for in := range s.incarnations {
		if sent := s.incarnations[in].sent; sent != 0 {
			live |= sent << (2 * in)
		}
	}
	return live
}

// forgetHistory drops the facts of incarnations before the newest that opened that nobody reads any
// more: no node lives in them, no recovery starts from them.
func (m *model) forgetHistory(s *state) {
	base := s.newestOpened()
	for in := 1; in < base; in++ {
		used := false
		for i := range m.cfg.Nodes {
			n := &s.nodes[i]
			used = used || int(n.in) == in || int(n.base) == in || n.phase == settling && int(n.down) >= in
		}
		if used {
			continue
		}
		for c := range m.chains {
			if ch := &s.chains[c]; int(ch.in) == in {
				for n, o := range ch.objects {
					ch.objects[n] = o&kindMask | m.carries(c, o)
				}
				ch.flight = ch.flight&kindMask | m.carries(c, ch.flight)
			}
		}
		o := &s.incarnations[in-1]
		for n := range o.snapshots {
			if n > 0 || o.sent == 0 && s.recoverer(in) < 0 {
				o.snapshots[n] = snapshot{there: o.snapshots[n].there}
			}
		}
	}
}

// recoverer is the node whose recovery makes an incarnation; -1 if there is none any more.
func (s *state) recoverer(in int) int {
	for i := range s.nodes {
		if int(s.nodes[i].rin) == in {
			return i
		}
	}
	return -1
}

// tidyChains forgets puts that can only find their place taken. Where objects are deleted, places
// become free again.
func (m *model) tidyChains(s *state) {
	for c := range m.chains {
		ch := &s.chains[c]
		for n := range maxObjects {
			if ch.objects[n] != absent {
				ch.seals &^= 1 << n
			}
		}
		putting := false
		for i := range m.cfg.Nodes {
			n := &s.nodes[i]
			putting = putting || n.putting != 0 && m.cfg.chain(i, int(n.lives)) == c
		}
		if ch.flight != 0 && ch.objects[ch.at] != absent && !putting {
			ch.flight, ch.at = 0, 0
		}
		if m.cfg.Ticks == 0 {
			ch.silent, ch.aged, ch.begun = 0, 0, 0
		}
	}
}

func ones(b uint8) int { return bits.OnesCount8(b) }
