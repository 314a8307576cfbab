package txn

// Merges, compaction and DeleteRecords. Each is in the journal when it is decided: package model
// shows that one that is lost was none. All records of a partition have one key.

func (w *walk) merges() {
	for p := range w.m.cfg.Partitions {
		w.compact(p)
		w.fuse(p)
		if w.s.truncations > 0 && int(w.s.starts[p]) < w.s.prefix(p) {
			n := w.copy()
			n.truncations--
			n.starts[p]++
			w.emit(deleteRecords, p, 0)
		}
	}
}

// compact drops the records of which a later one of their key is committed, and aborted ones.
func (w *walk) compact(p int) {
	if w.s.compactions == 0 {
		return
	}
	limit := w.s.prefix(p)
	if w.m.rules.BelowStable {
		limit = w.m.lastStable(w.s, p)
	}
	aborted, newest := uint8(0), -1
	for o := int(w.s.starts[p]); o < limit; o++ {
		if w.m.rules.AbortedFirst && w.m.isAborted(w.s, p, o) {
			aborted |= 1 << o
		} else if w.s.isRecord(p, o) {
			newest = o
		}
	}
	n := w.copy()
	n.compactions--
	for o := int(w.s.starts[p]); o < limit; o++ {
		if n.isRecord(p, o) && (o < newest || aborted>>o&1 != 0) {
			n.removed[p] |= 1 << o
		}
	}
	w.emit(compact, p, 0)
}

// fuse puts a record into the batch of the one before it, as a merge could.
func (w *walk) fuse(p int) {
	for o := int(w.s.starts[p]) + 1; o < w.s.prefix(p) && w.s.merges > 0; o++ {
		if !w.s.isRecord(p, o-1) || !w.s.isRecord(p, o) || w.s.fused[p]>>o&1 != 0 ||
			w.m.owner(w.s, w.s.logs[p][o-1]) != w.m.owner(w.s, w.s.logs[p][o]) && w.m.rules.OneProducer {
			continue
		}
		n := w.copy()
		n.merges--
		n.fused[p] |= 1 << o
		w.emit(merge, p, o)
	}
}

// isRecord says whether an offset has a record that compaction has not dropped.
func (s *state) isRecord(p, o int) bool {
	return s.logs[p][o] != 0 && s.logs[p][o] < markers && s.removed[p]>>o&1 == 0
}

// ending is the offset of the marker that ends the transaction of a record, and its result; 0 if it
// is open, in the prefix.
func (m *model) ending(s *state, p, o int) (at int, result uint8) {
	id := m.owner(s, s.logs[p][o])
	for at := o + 1; at < s.prefix(p); at++ {
		if e := s.normal(s.logs[p][at]); e >= markers && m.owner(s, e) == id {
			return at, uint8(e-markers)%2 + 1
		}
	}
	return 0, 0
}

// lastStable is the offset below which everything is decided.
func (m *model) lastStable(s *state, p int) int {
	for o := range s.prefix(p) {
		if e := s.logs[p][o]; e < markers && m.owner(s, e) >= 0 {
			if _, result := m.ending(s, p, o); result == 0 {
				return max(o, int(s.starts[p]))
			}
		}
	}
	return s.prefix(p)
}

// isAborted says whether the list of aborted transactions has the batch of a record.
func (m *model) isAborted(s *state, p, o int) bool {
	batch := o
	for s.fused[p]>>batch&1 != 0 {
		batch--
	}
	id := m.owner(s, s.logs[p][batch])
	if s.logs[p][o] >= markers || id < 0 {
		return false
	}
	first := o // of the transaction
	for i := o - 1; i >= 0 && (m.owner(s, s.logs[p][i]) != id || s.logs[p][i] < markers); i-- {
		if m.owner(s, s.logs[p][i]) == id {
			first = i
		}
	}
	for at := o + 1; at < s.prefix(p); at++ {
		if e := s.normal(s.logs[p][at]); e >= markers && m.owner(s, e) == id {
			trimmed := at < int(s.starts[p])
			if !m.rules.TrimByMarker {
				trimmed = first < int(s.starts[p])
			}
			return !trimmed && e == marker(id, abort)
		}
	}
	return false
}

// judgeMerges compares what a reader of committed records is served with what is committed.
func (m *model) judgeMerges(s *state) string {
	for p := range m.cfg.Partitions {
		newest, served := -1, -1
		for o := int(s.starts[p]); o < m.lastStable(s, p); o++ {
			e := s.logs[p][o]
			if e >= markers {
				continue
			}
			_, result := m.ending(s, p, o)
			committed := m.owner(s, e) < 0 || result == commit
			if committed {
				newest = o
			}
			if s.isRecord(p, o) && !m.isAborted(s, p, o) {
				served = o
				if !committed {
					return "T5: a record of an aborted transaction is served as committed"
				}
			}
		}
		if served != newest {
			return "T5: the newest committed record of a key is gone"
		}
	}
	return ""
}
