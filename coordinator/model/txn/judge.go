package txn

// What a step found wrong.
const (
	wrongBounds uint8 = 1 + iota
	wrongRefusal
)

var wrongs = map[uint8]string{
	wrongBounds:  "the bounds of the configuration are too small",
	wrongRefusal: "P4: a producer is told that it is fenced, and nobody has fenced it",
}

// view is what a reader of the bucket alone serves: of each partition the entries up to the first
// hole, and which records are committed and aborted by it.
type view struct {
	logs      [maxPartitions][maxOffsets]entry
	ends      [maxPartitions]int
	in        [maxPartitions]uint8 // records
	committed [maxPartitions]uint8
	aborted   [maxPartitions]uint8
	open      [maxPartitions]uint8
}

func (m *model) view(s *state) (v view) {
	for p := range m.cfg.Partitions {
		if s.landedDeleted>>p&1 != 0 {
			continue
		}
		v.ends[p] = s.prefix(p)
		var pending [maxIDs]uint8
		for o := range v.ends[p] {
			e := s.normal(s.logs[p][o])
			v.logs[p][o] = e
			id := m.owner(s, e)
			switch {
			case e >= markers && (e-markers)%2 == entry(commit-1):
				v.committed[p] |= pending[id]
				pending[id] = 0
			case e >= markers:
				v.aborted[p] |= pending[id]
				pending[id] = 0
			case e < plains:
				v.in[p] |= 1 << (e - 1)
				if id >= 0 {
					pending[id] |= 1 << (e - 1)
				} else {
					v.committed[p] |= 1 << (e - 1)
				}
			}
		}
		for _, records := range pending {
			v.open[p] |= records
		}
	}
	return v
}

// judge says what is wrong in a state that was reached from one in which seen was served; "" if
// nothing is.
func (m *model) judge(s *state, seen *view) string {
	if s.wrong != 0 {
		return wrongs[s.wrong]
	}
	v := m.view(s)
	var in, committed, aborted, gone uint8
	for p := range m.cfg.Partitions {
		if s.landedDeleted>>p&1 != 0 {
			continue
		}
		if v.ends[p] < seen.ends[p] || !samePrefix(&v.logs[p], &seen.logs[p], seen.ends[p]) {
			return "P2: what a reader has served is gone, or is something else now"
		}
		in, committed, aborted = in|v.in[p], committed|v.committed[p], aborted|v.aborted[p]
	}
	for p := range m.cfg.Partitions {
		if s.landedDeleted>>p&1 != 0 {
			for r, record := range m.records {
				if record.partitions>>p&1 != 0 {
					gone |= 1 << r
				}
			}
		}
	}
	switch {
	case s.committed&^committed&^gone != 0:
		return "T1: a transaction was answered as committed, and a record of it is not"
	case s.aborted&committed != 0:
		return "T1: a transaction was answered as aborted, and a record of it is committed"
	case s.shut&in != 0:
		return "T3: a record of an older epoch takes effect after InitProducerId was answered"
	}
	for _, t := range m.txns {
		if t.records&committed != 0 && t.records&aborted != 0 {
			return "T1: of one transaction a record is committed and another aborted"
		}
	}
	if what := m.judgeIDs(s, committed|gone); what != "" {
		return what
	}
	if what := m.judgeOffsets(s, aborted); what != "" {
		return what
	}
	if m.cfg.Merges+m.cfg.Compactions+m.cfg.Truncations > 0 {
		return m.judgeMerges(s)
	}
	return m.judgeFunctions(s, &v)
}

func samePrefix(a, b *[maxOffsets]entry, n int) bool {
	for o := range n {
		if a[o] != b[o] {
			return false
		}
	}
	return true
}

// judgeIDs looks at endings whose answer has not arrived yet.
func (m *model) judgeIDs(s *state, committed uint8) string {
	for id := range m.ids {
		known := s.newest(id, s.landed)
		if known.result != commit || known.need&^committed == 0 {
			continue
		}
		complete := s.identity(id).ordinal == known.ordinal && m.complete(s, id)
		if complete {
			return "T1: a commit is complete, and a record of its transaction is not committed"
		}
		if known.offsets != 0 && !m.rules.CountComplete {
			return "T2: offsets count, and a record of their transaction cannot be read"
		}
	}
	return ""
}

func (m *model) judgeOffsets(s *state, aborted uint8) string {
	counted := m.counted(s)
	if s.offsets&^counted != 0 {
		return "T2: a transaction was answered as committed, and its offsets do not count"
	}
	if s.shutTxns&counted != 0 {
		return "T3: offsets of an older epoch take effect after InitProducerId was answered"
	}
	for x, t := range m.txns {
		if counted>>x&1 != 0 && (t.records&(aborted|s.aborted) != 0) {
			return "T2: the offsets of an aborted transaction count"
		}
	}
	return ""
}

func (m *model) judgeFunctions(s *state, v *view) string {
	for input := range m.cfg.Inputs {
		var of uint8
		for r, record := range m.records {
			if record.session < 0 && record.input == input {
				of |= 1 << r
			}
		}
		for p := range m.cfg.Partitions {
			if there := v.in[p] & of; there&(there-1) != 0 {
				return "R10: what follows from one input is there twice"
			}
			if int(m.offset(s)) > input && v.in[p]&of == 0 {
				return "R10: the offset of an input counts, and what follows from it is not there"
			}
			if s.told&of&^v.in[p] != 0 {
				return "R10: a request was answered, and a part of it is not there"
			}
		}
	}
	return m.judgeHalves(s)
}

// judgeHalves looks for half requests where nothing is pending.
func (m *model) judgeHalves(s *state) string {
	for r, record := range m.records {
		if record.session >= 0 || !m.known(s, r) || s.landedRecords>>r&1 == 0 {
			continue
		}
		for p := range m.cfg.Partitions {
			if s.prefix(p) == s.end(p) && !s.has(p, entry(r+1)) {
				return "R10: a request is there in part"
			}
		}
	}
	return ""
}
