package txn

// Functions: each holds a claim on an input, reads how far it was processed, and sends one request
// with what follows from the next of it, for all partitions, and the next offset.

func (w *walk) functions() {
	if w.s.claims > 0 && (!w.m.rules.ClaimWaits || w.settled()) {
		for i := range w.m.cfg.Workers {
			n := w.copy()
			n.claims--
			n.epochs++
			n.claim = n.epochs
			n.workers[i] = worker{n.epochs, w.m.offset(w.s)}
			w.emit(claim, i, 0)
		}
	}
	for r, record := range w.m.records {
		if record.session >= 0 {
			continue
		}
		holder := &w.s.workers[record.worker]
		if w.s.sent[r] == 0 && holder.claim != 0 && int(holder.value) == record.input {
			w.copy().sent[r] = holder.claim
			w.emit(request, record.worker, 0)
		}
		if w.s.sent[r] != 0 {
			w.commitRequest(r)
		}
		if w.s.told>>r&1 == 0 && w.m.below(w.s, r) {
			w.copy().told |= 1 << r
			w.emit(acknowledge, r, 0)
		}
	}
}

// commitRequest is Commit of a function's request.
func (w *walk) commitRequest(r int) {
	if w.s.sent[r] != w.s.claim && w.m.rules.ClaimInCommit {
		return
	}
	if w.m.known(w.s, r) && w.m.rules.AllOrNone {
		return
	}
	n := w.copy()
	for p := range w.m.cfg.Partitions {
		switch {
		case w.s.has(p, entry(r+1)):
			continue
		case w.m.rules.AllOrNone:
			n.append(p, entry(r+1))
		default: // one batch at a time
			one := w.copy()
			one.append(p, entry(r+1))
			w.emit(commitRecord, r, 0)
		}
	}
	if w.m.rules.AllOrNone {
		w.emit(commitRecord, r, 0)
	}
}

// settled says whether every request that was decided is below the high watermarks.
func (w *walk) settled() bool {
	for r, record := range w.m.records {
		if record.session < 0 && w.m.known(w.s, r) && !w.m.below(w.s, r) {
			return false
		}
	}
	return true
}

// offset is what the group has committed: the offset of a request counts when it is below the high
// watermarks.
func (m *model) offset(s *state) (offset uint8) {
	for r, record := range m.records {
		if record.session < 0 && m.below(s, r) {
			offset = max(offset, uint8(record.input)+1)
		}
	}
	return offset
}
