package model

// config bounds a search. Everything within the bounds is searched.
type config struct {
	Name  string
	About string

	Nodes   int
	Guest   int   // 1: the last node is a direct writer, which has no view
	Owners  []int // of each segment: the node that writes it
	Keyed   uint8 // segments (bits) that carry the same request
	Carried uint8 // segments (bits) whose bytes are carried in the journal object that has their fact
	Lives   int   // of each node
	Objects int   // of each chain

	Recoveries, Crashes, Flushes, Rewinds, Failovers, Saves, Snapshots, Ticks, Collections, Merges int

	Late  bool // puts of recoveries may land after their sender gave up
	Loads bool // loads of the bucket take several steps
	Tidy  bool // what snapshots cover is deleted
	Old   bool // so are snapshots of earlier incarnations
	Quiet bool // chains that are silent are sealed without a recovery
	Alone bool // nobody helps
	Cold  bool // no node lives yet

	// Split: node 0 goes on with an old coordinator in incarnation 1, without knowing of
	// incarnation 2, in which the others live.
	Split bool

	// Stale: node 0 was silent, and its chain is sealed since long ago. It has not noticed, and a
	// snapshot from before is under way.
	Stale bool

	Exclusive bool // chains belong to processes with coordinators of their own, and are sealed by recoveries only

	States int // within the bounds, as counted; 0: more than anybody has waited for
}

func (c *config) chain(node, life int) int { return node*c.Lives + life - 1 }

func (c *config) chains() int { return c.Nodes * c.Lives }

func (c *config) carried(g int) bool { return c.Carried>>g&1 != 0 }

func (c *config) guest(node int) bool { return c.Guest > 0 && node == c.Nodes-1 }

// start is the state in which a search begins: incarnation 1 is open, and the nodes live in it.
func (c *config) start() *state {
	s := &state{newest: 1, identities: 1}
	first := &s.incarnations[0]
	first.kind = opened
	first.snapshots[0].there = 1
	s.servers[0] = server{in: 1, identity: 1, trusted: 1}
	s.budgets = budgets{
		recoveries: uint8(c.Recoveries), crashes: uint8(c.Crashes), flushes: uint8(c.Flushes),
		rewinds: uint8(c.Rewinds), failovers: uint8(c.Failovers), saves: uint8(c.Saves),
		snapshots: uint8(c.Snapshots), ticks: uint8(c.Ticks), collections: uint8(c.Collections),
	}
	for i := range c.Nodes {
		if c.Cold {
			continue
		}
		n := &s.nodes[i]
		n.phase, n.in, n.lives, n.next = alive, 1, 1, 1
		ch := &s.chains[c.chain(i, 1)]
		ch.in, ch.objects[0] = 1, beginning
	}
	if c.Split {
		c.split(s)
	}
	return s
}

// split is where a failover and a recovery lead of which node 0 has heard nothing.
func (c *config) split(s *state) {
	s.servers[1] = s.servers[0]
	s.identities++
	s.servers[0] = server{in: 2, identity: s.identities, trusted: 1}
	s.newest = 2
	second := &s.incarnations[1]
	second.kind = opened
	second.snapshots[0].there = 1
	for i := range c.Nodes {
		second.snapshots[0].covers[c.chain(i, 1)] = 2 | sealed
		s.chains[c.chain(i, 1)].objects[1] = seal
		if i > 0 {
			n := &s.nodes[i]
			n.lives, n.in = 2, 2
			ch := &s.chains[c.chain(i, 2)]
			ch.in, ch.objects[0] = 2, beginning
		}
	}
}
