package txn

// A state is one moment of the whole: what is decided, what of it is in the journal, the producers,
// and the messages that are under way. It has a fixed size and no padding, so that its bytes are
// its identity.
const (
	maxPartitions = 3
	maxOffsets    = 6
	maxRecords    = 8
	maxPlains     = 2
	maxTxns       = 6
	maxIDs        = 2
	maxSessions   = 3
	maxFacts      = 8 // of ids, in one incarnation
	maxEndings    = 3
	maxWorkers    = 2
)

// Results of a transaction.
const (
	commit uint8 = 1 + iota
	abort
)

// entry is what has an offset: a record (from 1), a record of others, a marker.
type entry uint8

const (
	plains  entry = 9  // and up: records of others
	markers entry = 16 // and up: of a recovery, or of an earlier incarnation: two for each id
	decided entry = 32 // and up: the marker of a fact of this incarnation
)

func marker(id int, result uint8) entry { return markers + entry(2*id) + entry(result-1) }

// identity is the whole of a transactional id, as one change left it.
type identity struct {
	epoch    uint8
	ordinal  uint8 // transactions that have ended
	result   uint8 // of the last of them
	ended    uint8 // epoch whose EndTxn is answered with next when it comes again; 0: none
	next     uint8
	aborting uint8 // 1: it was fenced while a transaction was open, which is to be aborted
	previous uint8 // epoch that a timeout fenced, until the next InitProducerId
	staged   uint8 // transactions (bits) whose offsets are staged
	offsets  uint8 // that the last ending let count
	added    uint8 // partitions that a client of the old protocol has added
	gone     uint8 // 1: expired, and forgotten
	need     uint8 // records that the last ending committed: for the judge alone
}

// Kinds of facts of an id.
const (
	fencing uint8 = 1 + iota
	staging
	adding
	ending
	expiring
)

// fact is a decision about an id. A later one of the same id has a higher version.
type fact struct {
	identity
	of   uint8 // id
	kind uint8
}

// built is an ending whose segment is put, with markers for some partitions. Its commit may arrive
// at any time, again and again.
type built struct {
	kind       uint8 // 0: none; byClient, byOwner
	id         uint8
	epoch      uint8
	ordinal    uint8
	result     uint8
	partitions uint8
}

const (
	byClient uint8 = 1 + iota
	byOwner        // of the id: what was fenced is aborted
)

// Phases of a session.
const (
	unborn uint8 = iota
	initing
	live
	endingTxn
	dead // it was told that it is fenced
)

type session struct {
	phase   uint8
	epoch   uint8
	txn     uint8 // of its own, from 0
	fence   uint8 // epoch that its InitProducerId was given, not yet answered
	repeats uint8
}

// worker is a function that holds a claim, or did.
type worker struct {
	claim uint8 // epoch; 0: none
	value uint8 // offset that it read
}

// state is a state of the model.
type state struct {
	logs     [maxPartitions][maxOffsets]entry // decided
	ordinals [maxRecords]uint8                // in which records were admitted
	ids      [maxIDs]identity                 // with which the incarnation began
	facts    [maxFacts]fact                   // decided in it, in this order
	count    uint8                            // of them

	landed        uint8 // facts (bits) that are in the journal
	landedRecords uint8
	landedPlains  uint8
	counted       uint8 // transactions whose offsets count, by earlier incarnations
	deleted       uint8 // partitions
	landedDeleted uint8

	endings  [maxEndings]built
	sessions [maxSessions]session
	sent     [maxRecords]uint8 // epochs under which records were sent, which may arrive at any time from then on
	stage    [maxTxns]uint8    // the same of offsets
	results  [maxTxns]uint8    // the same of EndTxn
	ends     [maxTxns]uint8
	answered uint8 // records
	staged   uint8 // transactions whose TxnOffsetCommit was answered

	// Of merges, by offset (bits).
	removed [maxPartitions]uint8 // records that compaction has dropped
	fused   [maxPartitions]uint8 // records that are in the batch of the one before
	starts  [maxPartitions]uint8 // log starts

	claim   uint8 // epoch of the present one; 0: nobody holds it
	epochs  uint8 // of claims, given so far
	workers [maxWorkers]worker

	// What somebody was told, and must stay true.
	committed uint8 // records that have to be readable
	aborted   uint8 // records that must not
	offsets   uint8 // transactions whose offsets have to count
	shut      uint8 // records that came too late
	shutTxns  uint8 // transactions whose offsets came too late
	fenced    uint8 // ids that somebody has fenced
	told      uint8 // requests of functions that were answered

	recoveries, deletions, expiries, claims, merges, compactions, truncations uint8

	wrong uint8 // what a step found wrong
}

// identity is what is decided of an id.
func (s *state) identity(id int) identity { return s.newest(id, ^uint8(0)) }

// newest is the newest of what some of the facts (bits) say of an id.
func (s *state) newest(id int, of uint8) identity {
	for k := int(s.count) - 1; k >= 0; k-- {
		if of>>k&1 != 0 && int(s.facts[k].of) == id {
			return s.facts[k].identity
		}
	}
	return s.ids[id]
}

// end is one behind the last offset that is taken.
func (s *state) end(p int) int {
	n := maxOffsets
	for n > 0 && s.logs[p][n-1] == 0 {
		n--
	}
	return n
}

// prefix is the high watermark: everything below it is in the journal.
func (s *state) prefix(p int) int {
	n := 0
	for n < maxOffsets && s.logs[p][n] != 0 && s.isLanded(s.logs[p][n]) {
		n++
	}
	return n
}

func (s *state) isLanded(e entry) bool {
	switch {
	case e >= decided:
		return s.landed>>(e-decided)&1 != 0
	case e >= markers:
		return true
	case e >= plains:
		return s.landedPlains>>(e-plains)&1 != 0
	}
	return s.landedRecords>>(e-1)&1 != 0
}

// has says whether a partition has an entry.
func (s *state) has(p int, e entry) bool {
	for _, other := range s.logs[p] {
		if other == e {
			return true
		}
	}
	return false
}

// append gives an entry the next offset.
func (s *state) append(p int, e entry) {
	if n := s.end(p); n < maxOffsets {
		s.logs[p][n] = e
	} else {
		s.wrong = wrongBounds
	}
}

// decide adds a fact.
func (s *state) decide(id int, kind uint8, i identity) (number int) {
	if s.count == maxFacts {
		s.wrong = wrongBounds
		return 0
	}
	s.facts[s.count] = fact{i, uint8(id), kind}
	s.count++
	return int(s.count) - 1
}

// normal is a marker without the fact that it is of.
func (s *state) normal(e entry) entry {
	if e >= decided {
		f := &s.facts[e-decided]
		return marker(int(f.of), f.result)
	}
	return e
}

// owner is the id that an entry is of; -1 if it is of none.
func (m *model) owner(s *state, e entry) int {
	switch {
	case e == 0 || e >= plains && e < markers:
		return -1
	case e >= markers:
		return int(s.normal(e)-markers) / 2
	}
	if session := m.records[e-1].session; session >= 0 {
		return m.cfg.Sessions[session].ID
	}
	return -1
}

// open says whether an id has a transaction open in a partition, its ordinal, and the offset of the
// id's last record or marker there; -1 if there is neither.
func (m *model) open(s *state, p, id int) (open bool, ordinal uint8, last int) {
	for o := s.end(p) - 1; o >= 0; o-- {
		if e := s.logs[p][o]; m.owner(s, e) == id {
			if e >= markers {
				return false, 0, o
			}
			return true, s.ordinals[e-1], o
		}
	}
	return false, 0, -1
}

// openIn are the partitions in which an id has a transaction open.
func (m *model) openIn(s *state, id int) (partitions uint8) {
	for p := range m.cfg.Partitions {
		if s.deleted>>p&1 != 0 && m.rules.DeletedIsDone {
			continue
		}
		if open, _, _ := m.open(s, p, id); open {
			partitions |= 1 << p
		}
	}
	return partitions
}

// complete says whether the last ending of an id is: it is in the journal, the transaction is open
// nowhere, and all of it is below the high watermarks.
func (m *model) complete(s *state, id int) bool {
	ordinal := s.identity(id).ordinal
	if s.newest(id, s.landed).ordinal != ordinal {
		return false
	}
	for p := range m.cfg.Partitions {
		gone := s.deleted
		if m.rules.DeletedConfirmed {
			gone = s.landedDeleted
		}
		if gone>>p&1 != 0 {
			continue
		}
		prefix := s.prefix(p)
		for o := prefix; o < s.end(p); o++ {
			e := s.logs[p][o]
			if m.owner(s, e) == id && (e >= markers || s.ordinals[e-1] < ordinal) {
				return false
			}
		}
		if open, of, _ := m.open(s, p, id); open && of < ordinal {
			return false
		}
	}
	return true
}

// known says whether a record has an offset somewhere.
func (m *model) known(s *state, r int) bool {
	for p := range m.cfg.Partitions {
		if m.records[r].partitions>>p&1 != 0 && s.has(p, entry(r+1)) {
			return true
		}
	}
	return false
}

// below says whether a record is below the high watermarks of all its partitions.
func (m *model) below(s *state, r int) bool {
	for p := range m.cfg.Partitions {
		if m.records[r].partitions>>p&1 != 0 && !s.hasBelow(p, entry(r+1)) {
			return false
		}
	}
	return true
}

func (s *state) hasBelow(p int, e entry) bool {
	for _, other := range s.logs[p] {
		if other == 0 || !s.isLanded(other) {
			return false
		}
		if other == e {
			return true
		}
	}
	return false
}
