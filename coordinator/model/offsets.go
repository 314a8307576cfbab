package model

// offsets is the protocol of committed offsets: one group, one partition, one or two nodes that
// may own it, and at most two incarnations, each on a server of its own. It is a machine of its
// own, because a commit of records touches nothing of it.
//
// Leases end at any time, whatever their holders think: no clock is trusted. What was proposed
// arrives at any time, as often as it likes, also when its sender has given up. The server of an
// incarnation that is over goes on answering.
type offsets struct {
	Name                           string
	Nodes, Commits, Takes, Fetches int
	Recovery                       bool // a second incarnation opens
	Rules                          offsetsRules
}

// offsetsRules are the rules: each can be left out.
type offsetsRules struct {
	Numbered    bool `rule:"the owner of a group numbers its commits"`
	NumbersKept bool `rule:"an owner that takes its lease again goes on counting"`
	Epoch       bool `rule:"a commit is decided under the epoch of the lease only"`
	Barrier     bool `rule:"a new owner begins when it has seen its barrier"`
	AskLease    bool `rule:"who says what is committed still held the lease"`
	AskBucket   bool `rule:"who says what is committed still lived in the newest incarnation"`
	AskAfter    bool `rule:"it asks after it has read"`
}

const (
	offsetNodes   = 2
	offsetValues  = 4 // 0: nothing was committed
	offsetEntries = 6
)

// offsetsState is one state. Values are numbered in the order in which their commits begin.
type offsetsState struct {
	servers [2]offsetServer // by incarnation
	created int8            // the newest incarnation that the bucket knows: 0 or 1
	open    int8            // the newest one that is open
	begun   int8            // commits
	takes   int8
	fetches int8
	sent    [offsetValues]offsetCommit
	nodes   [offsetNodes]offsetNode

	// What clients know: values that were answered, and values that no fetch may answer that
	// begins now.
	told, dead uint8
}

type offsetServer struct {
	holder  int8 // of the lease, plus 1; 0: nobody
	last    int8 // who had it last, plus 1
	epoch   int8
	version int8 // the highest
	stream  [offsetEntries]offsetEntry
	length  int8
	base    int8 // what the incarnation began with
}

type offsetEntry struct{ value, version int8 } // value 0: a barrier

// offsetCommit is a commit that was sent.
type offsetCommit struct {
	in, epoch, version int8
	told               uint8 // what clients were told before it began
}

type offsetNode struct {
	in       int8 // its incarnation
	seen     int8 // of the stream
	epoch    int8 // of its ownership; 0: none
	number   int8 // of its last commit
	barrier  int8 // how far it has to see before its ownership begins; 0: that is over
	commits  int8 // the value that it waits for; 0: none
	fetching fetching
	value    int8  // that the fetch has read
	asked    uint8 // what the fetch has asked: bits
	told     uint8 // when the fetch began
	dead     uint8
}

type fetching int8

const (
	fetchNone fetching = iota
	fetchBegun
	fetchRead
)

const (
	askedLease = 1 << iota
	askedBucket
)

// view is what a node takes for committed.
func (s *offsetsState) view(n *offsetNode) int8 {
	server := &s.servers[n.in]
	value, version := server.base, int8(0)
	for _, e := range server.stream[:n.seen] {
		if e.value != 0 && e.version > version {
			value, version = e.value, e.version
		}
	}
	return value
}

// news says whether a commit that arrives changes anything: the same fact once more does not, and
// what two without a version do, three do not either.
func (o *offsetServer) news(value, version int8) bool {
	times := 0
	for _, e := range o.stream[:o.length] {
		if e.value == value {
			if e.version == version {
				return false
			}
			times++
		}
	}
	return times < 2
}

// append decides a fact. False: the stream is longer than the search goes.
func (o *offsetServer) append(value, version int8) bool {
	if int(o.length) == offsetEntries {
		return false
	}
	if version == 0 {
		version = o.version + 1
	}
	o.version = max(o.version, version)
	o.stream[o.length] = offsetEntry{value, version}
	o.length++
	return true
}

// steps makes all steps from s, and says of each whether it is wrong.
func (m *offsets) steps(s offsetsState, out func(next offsetsState, step string, wrong bool)) {
	for i := range m.Nodes {
		m.own(s, i, out)
		m.commit(s, i, out)
		m.fetch(s, i, out)
	}
	for v := int8(1); v <= s.begun; v++ {
		next, c := s, s.sent[v]
		server := &next.servers[c.in]
		if m.Rules.Epoch && (server.epoch != c.epoch || server.holder == 0) {
			continue
		}
		if server.news(v, c.version) && server.append(v, c.version) {
			out(next, "Propose", false)
		}
	}
	for in := range s.servers {
		if next := s; next.servers[in].holder != 0 {
			next.servers[in].holder = 0
			out(next, "the lease ends", false)
		}
	}
	m.recover(s, out)
}

// own has a node take and lose the lease.
func (m *offsets) own(s offsetsState, i int, out func(offsetsState, string, bool)) {
	n := s.nodes[i]
	server := s.servers[n.in]
	free := server.holder == 0 || server.holder == int8(i+1)
	first := i == 0 || s.takes > 0 // the nodes are alike
	if n.epoch == 0 && int(s.takes) < m.Takes && first && free && n.in <= s.open {
		next := s
		next.takes++
		node, at := &next.nodes[i], &next.servers[n.in]
		if at.last != int8(i+1) {
			at.epoch++
		}
		at.holder, at.last, node.epoch = int8(i+1), int8(i+1), at.epoch
		if at.append(0, 0) {
			node.barrier = at.length
			if !m.Rules.NumbersKept {
				node.number = 0
			}
			node.number = max(node.number, at.version)
			if !m.Rules.Barrier {
				node.barrier = 0
			}
			out(next, "Acquire and barrier", false)
		}
	}
	if n.barrier != 0 && n.seen >= n.barrier {
		next := s
		next.nodes[i].barrier = 0
		out(next, "an ownership begins", false)
	}
	if n.epoch != 0 {
		next := s
		next.nodes[i].end()
		out(next, "an ownership ends", false)
	}
	if n.seen < server.length {
		next := s
		next.nodes[i].seen++
		out(next, "Follow", false)
	}
}

// end ends an ownership, and with it what is under way.
func (n *offsetNode) end() {
	*n = offsetNode{in: n.in, seen: n.seen, number: n.number}
}

// commit has a node commit a value, and tell its client, or give up.
func (m *offsets) commit(s offsetsState, i int, out func(offsetsState, string, bool)) {
	n := s.nodes[i]
	if n.epoch != 0 && n.barrier == 0 && n.commits == 0 && int(s.begun) < m.Commits {
		next := s
		next.begun++
		node := &next.nodes[i]
		c := offsetCommit{in: n.in, epoch: n.epoch, told: s.told}
		if m.Rules.Numbered {
			node.number++
			c.version = node.number
		}
		next.sent[next.begun], node.commits = c, next.begun
		out(next, "a commit begins", false)
	}
	if n.commits == 0 {
		return
	}
	next := s
	next.nodes[i].commits = 0
	out(next, "a commit is given up", false)
	for _, e := range s.servers[n.in].stream[:n.seen] {
		if e.value == n.commits {
			if n.in == s.open { // what a given-up incarnation still says is lost with it
				next.told |= 1 << n.commits
				next.dead |= s.sent[n.commits].told &^ (1 << n.commits)
			}
			out(next, "a commit is answered", false)
			return
		}
	}
}

// fetch has a node say what is committed.
func (m *offsets) fetch(s offsetsState, i int, out func(offsetsState, string, bool)) {
	n := s.nodes[i]
	r := m.Rules
	reads := func(next offsetsState) {
		node := &next.nodes[i]
		node.fetching, node.value = fetchRead, s.view(&n)
		out(next, "a fetch reads", false)
	}
	switch {
	case n.fetching == fetchNone && n.epoch != 0 && n.barrier == 0 && int(s.fetches) < m.Fetches:
		next := s
		next.fetches++
		node := &next.nodes[i]
		node.fetching, node.told, node.dead = fetchBegun, s.told, s.dead
		out(next, "a fetch begins", false)
	case n.fetching == fetchNone:
	case r.AskAfter && n.fetching == fetchBegun:
		reads(s)
	case r.AskLease && n.asked&askedLease == 0:
		next := s
		if at := s.servers[n.in]; at.holder == int8(i+1) && at.epoch == n.epoch {
			next.nodes[i].asked |= askedLease
		} else {
			next.nodes[i].end()
		}
		out(next, "a fetch asks for the lease", false)
	case r.AskBucket && n.asked&askedBucket == 0:
		next := s
		if s.created == n.in {
			next.nodes[i].asked |= askedBucket
		} else {
			next.nodes[i].end()
		}
		out(next, "a fetch asks the bucket", false)
	case n.fetching == fetchBegun:
		reads(s)
	default:
		next := s
		node := &next.nodes[i]
		next.told |= 1 << n.value
		next.dead |= n.told &^ (1 << n.value)
		node.fetching, node.value, node.asked, node.told, node.dead = fetchNone, 0, 0, 0, 0
		out(next, "a fetch is answered", n.dead&(1<<n.value) != 0)
	}
}

// recover opens the second incarnation, with whatever of the first one was in the journal, and has
// nodes live in it.
func (m *offsets) recover(s offsetsState, out func(offsetsState, string, bool)) {
	if !m.Recovery {
		return
	}
	if s.created == 0 {
		next := s
		next.created = 1
		out(next, "CreateIncarnation", false)
	}
	if s.created == 1 && s.open == 0 {
		for v := int8(0); v <= s.begun; v++ {
			if v != 0 && !s.servers[0].decided(v) {
				continue
			}
			next := s
			next.open = 1
			next.servers[1] = offsetServer{base: v, version: s.servers[0].version}
			next.told, next.dead = 1<<v, (1<<(s.begun+1)-1)&^(1<<v)
			for i := range next.nodes { // what was under way may be answered by either
				next.nodes[i].told, next.nodes[i].dead = 0, 0
			}
			out(next, "Open", false)
		}
	}
	for i := range m.Nodes {
		if n := s.nodes[i]; s.open == 1 && n.in == 0 {
			next := s
			next.nodes[i] = offsetNode{in: 1, number: n.number}
			out(next, "Begin", false)
		}
	}
}

func (o *offsetServer) decided(v int8) bool {
	for _, e := range o.stream[:o.length] {
		if e.value == v {
			return true
		}
	}
	return false
}

// search goes through all states, breadth first, until one is wrong. It returns how many it saw,
// and the steps that lead to what is wrong; nil if nothing is.
func (m *offsets) search() (states int, wrong []string) {
	type from struct {
		state offsetsState
		step  string
	}
	start := offsetsState{told: 1}
	seen := map[offsetsState]from{start: {}}
	for level := []offsetsState{start}; len(level) > 0 && wrong == nil; {
		var next []offsetsState
		for _, s := range level {
			m.steps(s, func(to offsetsState, step string, bad bool) {
				if _, known := seen[to]; !known {
					seen[to] = from{s, step}
					next = append(next, to)
				}
				if bad && wrong == nil {
					wrong = []string{step}
					for at := s; at != start; at = seen[at].state {
						wrong = append([]string{seen[at].step}, wrong...)
					}
				}
			})
		}
		level = next
	}
	return len(seen), wrong
}
