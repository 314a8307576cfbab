package txn

// What the coordinator decides, and the owners of ids have it decide. A request that was sent
// arrives at any time, until it has no effect any more.

func (w *walk) requests() {
	for r := range w.m.records {
		w.commit(r)
	}
	for q, p := range w.m.cfg.Plains {
		if e := plains + entry(q); !w.s.has(p, e) && w.s.deleted>>p&1 == 0 && w.s.end(p) < maxOffsets-1 {
			w.copy().append(p, e)
			w.emit(commitPlain, q, 0)
		}
	}
	for x := range w.m.txns {
		w.stage(x)
	}
	for i := range w.m.cfg.Sessions {
		w.fence(i)
	}
}

// commit is Commit of a transactional batch.
func (w *walk) commit(r int) {
	record := &w.m.records[r]
	if w.s.sent[r] == 0 || record.session < 0 || w.m.known(w.s, r) || w.s.deleted&record.partitions != 0 {
		return
	}
	session := &w.m.cfg.Sessions[record.session]
	id := session.ID
	now := w.s.identity(id)
	if now.gone != 0 || !w.isCurrent(r, now.epoch) {
		return
	}
	if session.Old && w.m.rules.OldAdds && now.added&record.partitions == 0 {
		return
	}
	if w.m.rules.NextComplete && !w.m.complete(w.s, id) {
		return
	}
	n := w.copy()
	for p := range w.m.cfg.Partitions {
		if record.partitions>>p&1 == 0 {
			continue
		}
		if open, ordinal, _ := w.m.open(w.s, p, id); open && ordinal < now.ordinal && w.m.rules.NoneWhileMissing {
			return
		}
		n.append(p, entry(r+1))
	}
	n.ordinals[r] = now.ordinal
	w.emit(commitRecord, r, 0)
}

// isCurrent says whether a record was sent under the current epoch.
func (w *walk) isCurrent(r int, epoch uint8) bool {
	if w.m.rules.EpochOfID {
		return w.s.sent[r] == epoch
	}
	for p := range w.m.cfg.Partitions {
		if w.m.records[r].partitions>>p&1 == 0 {
			continue
		}
		for _, e := range w.s.logs[p] {
			if e != 0 && e < plains && w.s.sent[e-1] > w.s.sent[r] && w.m.owner(w.s, e) == w.m.owner(w.s, entry(r+1)) {
				return false
			}
		}
	}
	return true
}

// stage is TxnOffsetCommit.
func (w *walk) stage(x int) {
	id := w.m.cfg.Sessions[w.m.txns[x].session].ID
	now := w.s.identity(id)
	if w.s.stage[x] == 0 || now.staged>>x&1 != 0 || now.gone != 0 || w.s.stage[x] != now.epoch && w.m.rules.StageEpoch {
		return
	}
	if w.m.rules.NextComplete && !w.m.complete(w.s, id) {
		return
	}
	now.staged |= 1 << x
	w.copy().decide(id, staging, now)
	w.emit(stage, x, 0)
}

// fence is the first step of InitProducerId. Its owner remembers the epoch until it answers, or its
// life is over.
func (w *walk) fence(i int) {
	session := &w.s.sessions[i]
	if session.phase != initing || session.fence != 0 && session.repeats == 0 {
		return
	}
	id := w.m.cfg.Sessions[i].ID
	now := w.fenced(id)
	now.gone = 0
	if w.m.rules.PreviousCleared {
		now.previous = 0
	}
	n := w.copy()
	n.decide(id, fencing, now)
	if session.fence != 0 {
		n.sessions[i].repeats--
	}
	n.sessions[i].fence = now.epoch
	n.fenced |= 1 << id
	w.emit(fence, i, 0)
}

// fenced is an id with the next epoch; what is open is to be aborted.
func (w *walk) fenced(id int) identity {
	now := w.s.identity(id)
	now.epoch++
	if w.m.openIn(w.s, id) != 0 && w.m.complete(w.s, id) || w.openNow(id) || now.staged != 0 {
		now.aborting = 1
	}
	if w.m.rules.ClearEnded {
		now.ended, now.next = 0, 0
	}
	return now
}

// openNow says whether a transaction is open that has not ended.
func (w *walk) openNow(id int) bool {
	now := w.s.identity(id)
	for p := range w.m.cfg.Partitions {
		if open, ordinal, _ := w.m.open(w.s, p, id); open && ordinal == now.ordinal && w.s.deleted>>p&1 == 0 {
			return true
		}
	}
	return false
}

// owner has decided what needs no producer.
func (w *walk) owner(id int) {
	now := w.s.identity(id)
	if now.gone != 0 {
		return
	}
	if !w.m.rules.BumpInEnding && now.next > now.epoch {
		bumped := now
		bumped.epoch = now.next
		w.copy().decide(id, fencing, bumped)
		w.emit(bump, id, 0)
	}
	if now.aborting == 0 && (w.openNow(id) || now.staged != 0) {
		expired := w.fenced(id)
		expired.previous = now.epoch
		n := w.copy()
		n.decide(id, fencing, expired)
		n.fenced |= 1 << id
		w.emit(timeout, id, 0)
	}
	if now.aborting != 0 {
		w.build(built{byOwner, uint8(id), now.epoch, now.ordinal, abort, w.m.openIn(w.s, id)}, buildAbort, id, 0)
	}
	for x, t := range w.m.txns {
		if w.m.cfg.Sessions[t.session].ID != id || w.s.ends[x] != now.epoch || w.past(x) {
			continue
		}
		if w.old(id) && (now.ended == now.epoch && now.result == w.s.results[x] || w.nothing(t.session, &now)) {
			continue // it has ended, and is answered so; or there is nothing to end
		}
		if w.m.rules.EndNothing || w.openNow(id) || now.staged != 0 {
			e := built{byClient, uint8(id), now.epoch, now.ordinal, w.s.results[x], w.m.openIn(w.s, id)}
			w.build(e, build, t.session, x)
		}
	}
}

// past says whether a producer of the old protocol is past a transaction. Its epoch would not tell,
// so a request that comes so late is left to the connection, which it does not outlive.
func (w *walk) past(x int) bool {
	t := &w.m.txns[x]
	session := &w.s.sessions[t.session]
	return w.m.cfg.Sessions[t.session].Old && (session.phase != endingTxn || w.m.first[t.session]+int(session.txn) != x)
}

// build puts the segment of an ending. One that lacks a partition is built again.
func (w *walk) build(e built, step step, a, b int) {
	free := -1
	for k := len(w.s.endings) - 1; k >= 0; k-- {
		there := w.s.endings[k]
		if there == e {
			return
		}
		if there.kind == 0 && k < w.m.cfg.Endings {
			free = k
		}
		if there.partitions = e.partitions; there == e {
			free = k
			break
		}
	}
	if free < 0 {
		return
	}
	w.copy().endings[free] = e
	w.emit(step, a, b)
}

// commitEndings is Commit of segments with markers.
func (w *walk) commitEndings() {
	for _, e := range w.s.endings {
		if e.kind == 0 {
			continue
		}
		if w.m.refused(w.s, &e) {
			continue
		}
		id := int(e.id)
		open := w.m.openIn(w.s, id)
		if w.m.rules.EndingWhole && open&^e.partitions != 0 || e.result == commit && !w.ripe(id) {
			continue
		}
		if !w.m.rules.OneStep && open != 0 {
			w.commitPart(&e, open)
			continue
		}
		w.decideEnding(&e, e.partitions, open, w.ended(&e))
	}
}

// refused says whether an ending is not of the transaction that its id has open.
func (m *model) refused(s *state, e *built) bool {
	now := s.identity(int(e.id))
	return m.rules.EndingEpoch && e.epoch != now.epoch ||
		m.rules.EndingOrdinal && e.ordinal != now.ordinal || now.gone != 0
}

// decideEnding gives markers their offsets.
func (w *walk) decideEnding(e *built, partitions, open uint8, then identity) {
	n := w.copy()
	k := n.decide(int(e.id), ending, then)
	for p := range w.m.cfg.Partitions {
		if partitions>>p&1 != 0 && (open>>p&1 != 0 || !w.m.rules.OnlyOpen) && w.s.deleted>>p&1 == 0 {
			n.append(p, decided+entry(k))
		}
	}
	if w.s.deleted&partitions != 0 && !w.m.rules.DeletedIsDone {
		return // no offset can be given there
	}
	w.emit(commitEnding, int(e.result), int(partitions))
}

// ended is an id after an ending.
func (w *walk) ended(e *built) identity {
	id := int(e.id)
	now := w.s.identity(id)
	now.ordinal++
	now.result, now.offsets, now.need = e.result, 0, 0
	if e.result == commit {
		now.offsets, now.need = now.staged, w.openRecords(id)
	}
	now.staged, now.added, now.aborting = 0, 0, 0
	switch {
	case e.kind == byOwner && w.m.rules.ClearEnded:
		now.ended, now.next = 0, 0
	case e.kind == byOwner:
		now.ended, now.next = e.epoch-1, now.epoch
	default:
		now.ended, now.next = e.epoch, e.epoch
		if !w.old(id) {
			now.next++
			if w.m.rules.BumpInEnding {
				now.epoch = now.next
			}
		}
	}
	return now
}

func (w *walk) old(id int) bool {
	for _, session := range w.m.cfg.Sessions {
		if session.ID == id {
			return session.Old
		}
	}
	return false
}

// openRecords are the records of the transaction that an id has open.
func (w *walk) openRecords(id int) (records uint8) {
	for p := range w.m.cfg.Partitions {
		if w.s.deleted>>p&1 != 0 {
			continue
		}
		for o := w.s.end(p) - 1; o >= 0; o-- {
			if e := w.s.logs[p][o]; w.m.owner(w.s, e) == id {
				if e >= markers {
					break
				}
				records |= 1 << (e - 1)
			}
		}
	}
	return records
}

// ripe says whether all records of the open transaction are below the high watermarks, as a commit
// needs it.
func (w *walk) ripe(id int) bool {
	if !w.m.rules.CommitWaits {
		return true
	}
	records := w.openRecords(id)
	for r := range w.m.records {
		if records>>r&1 != 0 && !w.m.below(w.s, r) {
			return false
		}
	}
	return true
}

// commitPart decides an ending for one partition at a time, as several shards would: the
// transaction has ended with the last of them.
func (w *walk) commitPart(e *built, open uint8) {
	for p := range w.m.cfg.Partitions {
		then := w.s.identity(int(e.id))
		if then.result = e.result; open == 1<<p {
			then = w.ended(e)
		}
		if e.partitions&open>>p&1 != 0 {
			w.decideEnding(e, 1<<p, open, then)
		}
	}
}
