package sim

import (
	"cmp"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/test/linear"
)

// groupHistory is what is known of the offset that a group has committed for one partition. Each
// commit is of another offset.
type groupHistory struct {
	topic   segments.TopicID
	commits map[int64]*groupCommit
	fetches []linear.OffsetOperation
}

// groupCommit is one commit: what its client knows of it, and what became of it at the coordinator.
type groupCommit struct {
	operation linear.OffsetOperation
	decided   rank
	journaled bool
}

// rank is where a commit was decided: later ones of a group have a higher version, or a higher
// incarnation.
type rank struct {
	in      coordinator.Incarnation // 0: nowhere
	version uint64
}

func (p rank) compare(q rank) int {
	return cmp.Or(cmp.Compare(p.in, q.in), cmp.Compare(p.version, q.version))
}

// incarnationOpened is when that was.
type incarnationOpened struct {
	in coordinator.Incarnation
	at int64
}

func (j *judge) group(name string, topic segments.TopicID) *groupHistory {
	h := j.groups[name]
	if h == nil {
		h = &groupHistory{topic: topic, commits: map[int64]*groupCommit{}}
		j.groups[name] = h
	}
	return h
}

// commits returns the next offset that a group commits. From now on that may be what it has
// committed.
func (j *judge) commits(who, group string, topic segments.TopicID) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.group(group, topic)
	offset := int64(len(h.commits) + 1)
	h.commits[offset] = &groupCommit{operation: linear.OffsetOperation{
		Who: who, Call: j.now(), Commit: true, Outcome: linear.Unknown, Offset: offset}}
	return offset
}

// committed notes that a commit was answered.
func (j *judge) committed(group string, offset int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.groups[group].commits[offset]
	c.operation.Outcome, c.operation.Return = linear.Acknowledged, j.now()
	if c.decided.in == 0 {
		j.violated("group %s was told that %d is committed, and nobody decided that", group, offset)
	}
}

// decides notes what the coordinator decided of a group.
func (j *judge) coord(e coordinator.Entry) {
	if e.Fact == nil || e.Fact.Offsets == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	o, in := e.Fact.Offsets, e.Fact.Incarnation
	for _, p := range o.Partitions {
		h := j.groups[o.Group]
		if h == nil || h.commits[p.Offset] == nil {
			continue // of members
		}
		c, now := h.commits[p.Offset], rank{in, o.Version}
		if c.decided.in != 0 && c.decided != now {
			j.violated("P4: group %s: the commit of %d is decided twice, as %v and as %v", o.Group, p.Offset, c.decided, now)
		}
		c.decided = now
		j.offsets[decision{in, e.Seq}] = c
	}
}

// decision is an entry of the commit stream.
type decision struct {
	in  coordinator.Incarnation
	seq uint64
}

// confirms notes that commits are in the journal.
func (j *judge) confirms(in coordinator.Incarnation, seqs []uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, seq := range seqs {
		if c := j.offsets[decision{in, seq}]; c != nil {
			c.journaled = true
		}
	}
}

// opens notes that an incarnation is open. What groups committed before and was not in the journal
// is lost. One that opens when a later one is open, in another Redis, changes nothing: nobody
// journals what it decides.
func (j *judge) opens(in coordinator.Incarnation) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.opened); n > 0 && in < j.opened[n-1].in {
		return
	}
	j.opened = append(j.opened, incarnationOpened{in, j.now()})
}

// asks is the beginning of a fetch.
func (j *judge) asks() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now()
}

// fetched notes what a group was told to be committed.
func (j *judge) fetched(who, group string, topic segments.TopicID, call, offset int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.group(group, topic)
	if offset != 0 && (h.commits[offset] == nil || h.commits[offset].decided.in == 0) {
		j.violated("group %s: %s says that %d is committed, and nobody decided that", group, who, offset)
	}
	h.fetches = append(h.fetches, linear.OffsetOperation{Who: who, Call: call, Return: j.now(), Offset: offset})
}

// undone says that a member was told of a commit, and then that one which it made before stands.
// That could be a commit of unknown outcome that took its time. But it was sent earlier, so it has
// to stay behind what was sent later.
func (h *groupHistory) undone(o incarnationOpened, next int64) (f linear.OffsetOperation, by *groupCommit) {
	for _, f := range h.fetches {
		stands := h.commits[f.Offset]
		if stands == nil || f.Call <= o.at || f.Return >= next {
			continue
		}
		for _, c := range h.commits {
			if c.decided.in == o.in && c.operation.Outcome == linear.Acknowledged && c.operation.Return < f.Call &&
				c.operation.Who == stands.operation.Who && c.operation.Call > stands.operation.Call {
				return f, c
			}
		}
	}
	return f, nil
}

// committedOffsets has porcupine judge what groups were told. Within an incarnation each commit
// stands, until the next. With one, those may be lost that were not in the journal, but none that
// was.
func (j *judge) committedOffsets() {
	for name, h := range j.groups {
		if j.history(segments.Partition{Topic: h.topic}).deleted {
			continue // with what was committed for it
		}
		for i, o := range j.opened {
			next := int64(1<<63 - 1)
			if i+1 < len(j.opened) {
				next = j.opened[i+1].at
			}
			if f, by := h.undone(o, next); by != nil {
				j.violated("group %s, incarnation %d: %s, after %s", name, o.in, f, by.operation)
			}
			if ok, explanation := linear.CheckOffsets(h.during(o, next), h.survivors(o.in)); !ok {
				j.violated("porcupine: group %s, incarnation %d: %s", name, o.in, explanation)
			}
		}
	}
}

// during is what was decided in an incarnation, and what was told while it was the newest.
func (h *groupHistory) during(o incarnationOpened, next int64) (ops []linear.OffsetOperation) {
	for _, c := range h.commits {
		if c.decided.in == o.in {
			ops = append(ops, c.operation)
		}
	}
	for _, f := range h.fetches {
		if f.Call > o.at && f.Return < next {
			ops = append(ops, f)
		}
	}
	slices.SortFunc(ops, func(a, b linear.OffsetOperation) int { return cmp.Compare(a.Call, b.Call) })
	return ops
}

// survivors are the offsets with which an incarnation may begin: what was committed before, and
// not before what was in the journal.
func (h *groupHistory) survivors(in coordinator.Incarnation) func(offset int64) bool {
	var least rank
	for _, c := range h.commits {
		if c.journaled && c.decided.in < in && c.decided.compare(least) > 0 {
			least = c.decided
		}
	}
	return func(offset int64) bool {
		c := h.commits[offset]
		if c == nil {
			return least.in == 0
		}
		return c.decided.in > 0 && c.decided.in < in && c.decided.compare(least) >= 0
	}
}
