package model

// A state is one moment of the whole: bucket, coordinators, nodes, messages under way. It has a
// fixed size and no padding, so that its bytes are its identity.
const (
	maxNodes        = 3
	maxLives        = 3 // of a node, that get as far as to put an object
	maxChains       = 6 // nodes times lives
	maxObjects      = 5 // of a chain: begin, facts, seal
	maxSegments     = 3
	maxMerges       = 2
	maxOffsets      = 6
	maxIncarnations = 4
	maxSnapshots    = 3 // of an incarnation, with its opening one
)

// facts are what a journal object, a snapshot, a view or a coordinator holds: for each offset the
// commit that got it, 0 for none, and which merges were decided. Every segment has one record of
// one partition.
type facts uint32

// A commit is named by its segment (from 1). The name of one that is carried in the journal also
// says the life whose chain has its bytes: a segment that comes into another chain has another id.
const lifeShift = 2

func carried(g, life int) uint8 { return uint8(g+1) | uint8(life)<<lifeShift }

// record is the segment of a commit, from 1.
func record(commit uint8) uint8 { return commit & (1<<lifeShift - 1) }

// lifeOf is the life whose chain carries the bytes of a commit; 0: they are in a segment object.
func lifeOf(commit uint8) int { return int(commit >> lifeShift) }

const (
	mergeShift = 4 * maxOffsets
	logMask    = 1<<mergeShift - 1
	mergeMask  = (1<<maxMerges - 1) << mergeShift
	kindShift  = 28
)

// kinds of a journal object, in its highest bits.
const (
	absent    = facts(0)
	beginning = facts(1) << kindShift
	holding   = facts(2) << kindShift
	seal      = facts(3) << kindShift
	kindMask  = facts(3) << kindShift
)

func (f facts) at(offset int) uint8 { return uint8(f>>(4*offset)) & 15 }

func (f facts) with(offset int, commit uint8) facts { return f | facts(commit)<<(4*offset) }

func (f facts) merged(m int) bool { return f>>(mergeShift+m)&1 != 0 }

func (f facts) withMerge(m int) facts { return f | 1<<(mergeShift+m) }

// prefix is the length of the contiguous prefix.
func (f facts) prefix() int {
	n := 0
	for n < maxOffsets && f.at(n) != 0 {
		n++
	}
	return n
}

// end is one behind the last offset that is taken.
func (f facts) end() int {
	n := maxOffsets
	for n > 0 && f.at(n-1) == 0 {
		n--
	}
	return n
}

// upTo keeps the offsets below n, and the merges.
func (f facts) upTo(n int) facts { return f & (1<<(4*n) - 1 | mergeMask) }

// offset is where a commit is, -1 if nowhere.
func (f facts) offset(commit uint8) int {
	for o := range maxOffsets {
		if f.at(o) == commit {
			return o
		}
	}
	return -1
}

// and adds facts; ok is false if two speak of one offset and differ.
func (f facts) and(other facts) (both facts, ok bool) {
	f, other = f&(logMask|mergeMask), other&(logMask|mergeMask)
	for o := range maxOffsets {
		if a, b := f.at(o), other.at(o); a != 0 && b != 0 && a != b {
			return f, false
		}
	}
	return f | other, true
}

// mask has a bit for each offset and each merge.
func (f facts) mask() (m uint8) {
	for o := range maxOffsets {
		if f.at(o) != 0 {
			m |= 1 << o
		}
	}
	return m | uint8(f>>mergeShift&(1<<maxMerges-1))<<maxOffsets
}

// chain is the journal chain of a life.
type chain struct {
	objects [maxObjects]facts
	flight  facts // the put that the writer makes, or made last: it may land at any time, again and again
	at      uint8 // its number
	in      uint8 // incarnation; 0: there is no such chain
	seals   uint8 // numbers at which seals were put; such puts may land at any time
	doomed  uint8 // numbers whose deletion is under way
	silent  uint8 // ticks since its writer last proved that it was not sealed
	aged    uint8 // ticks since it was sealed
	begun   uint8 // ticks since its writer's newest put began
	_       uint8
}

func (c *chain) present() (numbers uint8) {
	for n := range maxObjects {
		if c.objects[n] != absent {
			numbers |= 1 << n
		}
	}
	return numbers
}

// last is the number of the last object; -1 if there is none.
func (c *chain) last() int {
	n := maxObjects - 1
	for n >= 0 && c.objects[n] == absent {
		n--
	}
	return n
}

// cover says what of a chain is in a snapshot: 0 nothing, else one more than the number, with a bit
// if that is its seal.
type cover uint8

const sealed cover = 0x80

func (c cover) upTo() int { return int(c&^sealed) - 1 }

// snapshot is one snapshot object.
type snapshot struct {
	facts  facts
	covers [maxChains]cover
	keys   uint8 // bit 0: it holds the key; bit 1: so does the state that a coordinator opens with
	there  uint8 // 1: in the bucket
}

// What is known of whether an incarnation opened, by its snapshot 0.
const (
	undecided = 0
	void      = 1
	opened    = 2
	removed   = 3 // it was there, and was deleted
)

// incarnation is what the bucket has of one, and the messages that its recovery has sent.
type incarnation struct {
	snapshots [maxSnapshots]snapshot // 0 is the opening one: what the recovery puts, there or not
	kind      uint8                  // of snapshot 0
	opening   uint8                  // 1: the put of the opening snapshot may land at any time
	voiding   uint8                  // 1: a put of a void snapshot may land at any time
	sent      uint8                  // bit for each opening of this number that was sent to a coordinator
	to        uint8                  // the server, by identity
	before    uint8                  // what that held
	confirms  [2]uint8               // for each opening: confirmations that were sent, which may arrive at any time
}

// server is a coordinator: one Redis, in one life.
type server struct {
	log       facts // decided
	known     commits
	confirmed uint8 // by offset and merge
	in        uint8 // 0: holds nothing
	opening   uint8 // which of two, of one number
	identity  uint8
	trusted   uint8 // 1: what it holds was opened on it
	loaded    uint8 // incarnation whose parts are loaded; bit 7: those of its second opening
	keys      uint8
	merges    uint8 // version of the newest merge
	_         [2]uint8
}

// commits is a set of commits, by name.
type commits uint16

func (s commits) has(commit uint8) bool { return s>>commit&1 != 0 }

func (s *server) hw() int {
	n := 0
	for n < maxOffsets && s.log.at(n) != 0 && s.confirmed>>n&1 != 0 {
		n++
	}
	return n
}

// phases of a node.
const (
	between = iota // two lives
	asked          // knows the incarnation
	begun          // object 0 is there
	first          // its incarnation was the newest then
	settled        // knows how far the stream is settled
	located        // knows the newest snapshot
	alive
	settling   // predecessors of the incarnation that it created
	listing    // chains
	sealing    // chains
	rebuilding //
	rebuilt    // the opening snapshot is to be put
	recovered  // it is there
	loading    // parts are loaded
	opening    // the call is sent
)

type node struct {
	known    facts // that it may journal
	view     facts
	phase    uint8
	in       uint8
	opening  uint8
	lives    uint8 // begun
	next     uint8 // number of the next object
	putting  uint8
	from     uint8              // the stream is settled up to this offset
	snapshot uint8              // that it read
	answers  [maxSegments]uint8 // one more than the offset that its segments were given, in this life
	own      uint8              // 1: it holds the state that it recovered itself; see loadedFirst

	// of a recovery
	rin      uint8
	base     uint8
	down     uint8 // incarnation to be settled next
	required uint8 // chains
	todo     uint8
	ends     [maxChains]uint8 // one more than the number of the seal
	lasts    [maxChains]uint8 // one more than the number of the last object in the listing
	covers   [maxChains]cover // of the snapshot of the base

	// of a collector
	loose  uint8 // objects that it listed and found old enough: segments, then merged segments
	latest uint8 // facts that were decided when it asked
	stage  uint8
	spare  uint8 // one more than the opening for which its newest chain was begun, if no life has begun with it
	_      uint8
}

// loadedFirst is a node's own when it has loaded the bucket before it asks how far the stream is
// settled, which is against the rules.
const loadedFirst = 2

// What becomes of a segment in the hands of its writer.
const (
	unborn = iota
	held
	acknowledged
	forgotten // its writer died
)

type segment struct {
	state uint8
	there uint8 // 1: in the bucket
	// generations in which commits of it were sent, which may arrive at any time; by name: of one that
	// is carried there is one for each life
	sent [maxLives]uint8
	age  uint8 // 1: too old to be committed; 2: old enough to be collected
	name uint8 // of one that is carried: the life whose chain is to have its bytes
}

// merge is a merge of [base, last] into a merged segment that holds content.
type merge struct {
	content facts
	base    uint8
	last    uint8
	after   uint8 // version that its planner knew
	version uint8 // 0: not decided
	there   uint8 // 1: the object is in the bucket
	age     uint8 // 1: too old to be merged in; 2: old enough to be collected
	sent    uint8 // generations
	planned uint8
}

// put is a snapshot that is being put; it may land at any time.
type flyingSnapshot struct {
	snapshot
	in uint8
	n  uint8
	_  [2]uint8
}

// budgets count down.
type budgets struct {
	recoveries, crashes, flushes, rewinds, failovers, saves, snapshots, ticks, collections uint8
	late                                                                                   uint8
}

// state is a state of the model.
type state struct {
	chains       [maxChains]chain
	incarnations [maxIncarnations]incarnation
	nodes        [maxNodes]node
	servers      [2]server // the present one, and one that was failed over from
	backup       server
	flying       flyingSnapshot
	merges       [maxMerges]merge
	segments     [maxSegments]segment
	budgets      budgets
	newest       uint8 // incarnation in the bucket
	creating     uint8 // incarnations whose put may land at any time
	identities   uint8 // of servers, given so far
	doomed       uint8 // segments and merged segments whose deletion is under way
	wrong        uint8 // what a step found wrong
	_            [4]uint8
}
