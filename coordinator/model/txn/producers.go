package txn

// What producers do: send, wait, and believe what they are answered. A producer may stop at any
// moment, and what it has sent may arrive at any time from then on, again and again.

func (w *walk) producer(i int) {
	switch w.s.sessions[i].phase {
	case unborn:
		w.copy().sessions[i].phase = initing
		w.emit(sendInit, i, 0)
	case initing:
		w.initAnswered(i)
	case live:
		w.write(i)
	case endingTxn:
		w.endAnswered(i)
	}
}

// current is the transaction that a session is in.
func (w *walk) current(i int) (x int, within bool) {
	n := int(w.s.sessions[i].txn)
	return w.m.first[i] + n, n < len(w.m.cfg.Sessions[i].Txns)
}

func (w *walk) write(i int) {
	x, within := w.current(i)
	if !within {
		return
	}
	t, id, epoch := &w.m.txns[x], w.m.cfg.Sessions[i].ID, w.s.sessions[i].epoch
	added := w.s.newest(id, w.s.landed).added
	for r := range w.m.records {
		if t.records>>r&1 == 0 {
			continue
		}
		p := w.m.records[r].partitions
		switch {
		case w.s.sent[r] == 0 && w.m.cfg.Sessions[i].Old && added&p == 0:
			w.add(i, p)
		case w.s.sent[r] == 0:
			w.copy().sent[r] = epoch
			w.emit(send, r, 0)
		case w.s.answered>>r&1 == 0 && w.m.below(w.s, r):
			w.copy().answered |= 1 << r
			w.emit(acknowledge, r, 0)
		}
	}
	if t.Offsets {
		w.writeOffsets(i, x)
	}
	w.sendEnd(i, x)
}

// add is AddPartitionsToTxn of the old protocol.
func (w *walk) add(i int, p uint8) {
	id := w.m.cfg.Sessions[i].ID
	now := w.s.identity(id)
	if now.epoch != w.s.sessions[i].epoch || now.added&p != 0 || now.gone != 0 || !w.m.complete(w.s, id) {
		return
	}
	now.added |= p
	if w.m.rules.OldClears {
		now.ended, now.next = 0, 0
	}
	w.copy().decide(id, adding, now)
	w.emit(addPartition, int(p)/2, 0)
}

func (w *walk) writeOffsets(i, x int) {
	if w.s.stage[x] == 0 {
		w.copy().stage[x] = w.s.sessions[i].epoch
		w.emit(sendOffsets, x, 0)
		return
	}
	known := w.s.landed
	if !w.m.rules.StageJournaled {
		known = ^uint8(0)
	}
	if w.s.staged>>x&1 == 0 && w.s.newest(w.m.cfg.Sessions[i].ID, known).staged>>x&1 != 0 {
		w.copy().staged |= 1 << x
		w.emit(offsetsAnswered, x, 0)
	}
}

// sendEnd sends EndTxn. A commit waits for the answers to all that was written, unless its producer
// is hasty.
func (w *walk) sendEnd(i, x int) {
	t, sent := &w.m.txns[x], uint8(0)
	for r := range w.m.records {
		if t.records>>r&1 != 0 && w.s.sent[r] != 0 {
			sent |= 1 << r
		}
	}
	if sent == 0 && w.s.stage[x] == 0 && !t.Nothing {
		return // it has not begun
	}
	for _, result := range []uint8{commit, abort} {
		whole := w.s.answered&t.records == t.records && (!t.Offsets || w.s.staged>>x&1 != 0)
		if t.Result != 0 && t.Result != result || result == commit && !whole && !w.m.cfg.Sessions[i].Hasty {
			continue
		}
		n := w.copy()
		n.ends[x], n.results[x], n.sessions[i].phase = w.s.sessions[i].epoch, result, endingTxn
		w.emit(sendEnd, i, x)
	}
}

// endAnswered lets the answer to EndTxn arrive.
func (w *walk) endAnswered(i int) {
	x, _ := w.current(i)
	id, epoch, result := w.m.cfg.Sessions[i].ID, w.s.sessions[i].epoch, w.s.results[x]
	now := w.s.identity(id)
	mine := now.ended == epoch && now.result == result
	if mine && (w.m.complete(w.s, id) || !w.m.rules.AnswerComplete) {
		n := w.copy()
		n.sessions[i].phase, n.sessions[i].epoch, n.sessions[i].txn = live, now.next, w.s.sessions[i].txn+1
		if result == commit {
			n.committed |= now.need | w.s.answered&w.m.txns[x].records
			n.offsets |= (w.s.staged | now.offsets) & (1 << x)
		} else {
			n.aborted |= w.m.txns[x].records
		}
		w.emit(endAnswered, i, x)
	}
	if w.isPrevious(i, x, &now) {
		if now.aborting == 0 && w.m.complete(w.s, id) || !w.m.rules.PreviousComplete {
			n := w.copy()
			n.sessions[i].phase, n.sessions[i].epoch, n.sessions[i].txn = live, now.epoch, w.s.sessions[i].txn+1
			if result == abort {
				n.aborted |= w.m.txns[x].records
			} else {
				n.committed |= w.s.answered & w.m.txns[x].records
			}
			w.emit(endAnswered, i, x)
		}
		return
	}
	known := w.s.newest(id, w.s.landed)
	if !w.m.rules.RefusalConfirmed {
		known = now
	}
	if known == now && now.epoch == epoch && now.gone == 0 && w.nothing(i, &now) && !mine {
		n := w.copy()
		n.sessions[i].phase, n.sessions[i].txn = live, w.s.sessions[i].txn+1
		if !w.m.txns[x].Nothing {
			n.wrong = wrongRefusal
		}
		w.emit(endRefused, i, x)
		return
	}
	if known.epoch == epoch && known.gone == 0 || known.ended == epoch && known.result == result && w.m.rules.RetryStored {
		return
	}
	n := w.copy()
	n.sessions[i].phase = dead
	if known.previous == epoch { // it is told that a timeout has aborted its transaction
		n.aborted |= w.m.txns[x].records
	}
	if w.s.fenced>>id&1 == 0 {
		n.wrong = wrongRefusal
	}
	w.emit(endRefused, i, x)
}

// nothing says whether a session of the old protocol has nothing to end. That protocol adds first
// what it writes to, so what is still on its way cannot open a transaction.
func (w *walk) nothing(i int, now *identity) bool {
	s := &w.m.cfg.Sessions[i]
	return s.Old && now.added == 0 && now.staged == 0 && !w.openNow(s.ID)
}

// isPrevious says whether a timeout aborts the transaction that a session ends, and no other
// session has begun since: then an abort goes on with the present epoch, in the protocol of
// KIP-890.
func (w *walk) isPrevious(i, x int, now *identity) bool {
	return !w.m.cfg.Sessions[i].Old && now.gone == 0 && now.previous != 0 && now.previous == w.s.sessions[i].epoch &&
		(w.s.results[x] == abort || !w.m.rules.PreviousAborted)
}

// initAnswered lets the answer to InitProducerId arrive.
func (w *walk) initAnswered(i int) {
	fence, id := w.s.sessions[i].fence, w.m.cfg.Sessions[i].ID
	now := w.s.identity(id)
	if fence == 0 || fence > now.epoch {
		return
	}
	if fence < now.epoch {
		if w.s.newest(id, w.s.landed).epoch > fence {
			w.copy().sessions[i].phase = dead
			w.emit(initRefused, i, 0)
		}
		return
	}
	if w.m.rules.FenceConfirmed && w.s.newest(id, w.s.landed).epoch != fence {
		return
	}
	open := now.aborting != 0 || now.staged != 0 || w.m.openIn(w.s, id) != 0 || !w.m.complete(w.s, id)
	if open && w.m.rules.InitWaits {
		return
	}
	n := w.copy()
	n.sessions[i].phase, n.sessions[i].epoch, n.sessions[i].fence = live, fence, 0
	records, txns := w.late(i)
	n.shut, n.shutTxns = n.shut|records, n.shutTxns|txns
	w.emit(initAnswered, i, 0)
}

// late is what other sessions of an id have not brought into the journal when InitProducerId is
// answered: it has to stay out of it.
func (w *walk) late(i int) (records, txns uint8) {
	counted := w.m.counted(w.s)
	for x, t := range w.m.txns {
		other := t.session
		if other == i || w.m.cfg.Sessions[other].ID != w.m.cfg.Sessions[i].ID || w.s.sessions[other].epoch == 0 {
			continue
		}
		txns |= 1 << x &^ counted
		for r := range w.m.records {
			if t.records>>r&1 != 0 && !w.m.below(w.s, r) {
				records |= 1 << r
			}
		}
	}
	return records, txns
}
