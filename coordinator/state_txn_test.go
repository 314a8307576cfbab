package coordinator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firn.dev/segments"
)

// txnHistory draws what happens to transactions, by asking a coordinator.
type txnHistory struct {
	*rapid.T
	e       Embedded
	lease   Lease
	topics  []segments.TopicID
	pending []Entry
	facts   []*Fact
	lost    []bool // of each fact: whether it is confirmed
	seqs    []uint64
	version uint64
	n       byte
}

func drawTransactions(t *rapid.T) *txnHistory {
	h := &txnHistory{T: t, e: NewEmbedded(EmbeddedOptions{Clock: func() time.Time { return time.UnixMilli(1e12) }}),
		topics: []segments.TopicID{{1}, {2}}}
	if err := h.e.Open(t.Context(), NewState(7, "cluster")); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.lease, err = h.e.Acquire(t.Context(), 7, "groups", "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	for i, topic := range h.topics {
		h.propose(Change{CreateTopic: &CreateTopic{ID: topic, Name: fmt.Sprint(i), Partitions: 2}})
	}
	h.confirmAll()
	for range rapid.IntRange(0, 60).Draw(t, "steps") {
		h.step()
	}
	return h
}

func (h *txnHistory) step() {
	id := rapid.SampledFrom([]string{"a", "b"}).Draw(h.T, "id")
	now, err := h.e.TransactionalID(h.Context(), 7, id)
	producer := Producer{now.ProducerID, now.Epoch}
	protocol := Transactional
	if id == "b" {
		protocol = OldTransactional
	}
	at := segments.Partition{Topic: rapid.SampledFrom(h.topics).Draw(h.T, "topic"), Index: rapid.Int32Range(0,
		1).Draw(h.T, "index")}
	switch kind := rapid.IntRange(0, 24).Draw(h.T, "kind"); {
	case kind == 0 || err != nil:
		h.propose(Change{Fence: &Fence{ID: id, NewProducerID: int64(id[0])}})
	case kind == 1:
		h.propose(Change{Fence: &Fence{ID: id, Expired: &Expired{producer, now.Ordinal}}})
	case kind <= 3:
		h.propose(Change{Add: &AddToTransaction{ID: id, Producer: producer, Partitions: []segments.Partition{at},
			Groups: []string{"g"}}})
	case kind <= 5:
		h.version++
		h.propose(Change{Stage: &StageOffsets{ID: id, Producer: producer, Protocol: protocol, Lease: h.lease.Name,
			Epoch: h.lease.Epoch, Group: "g",
			Version: h.version, Offsets: []GroupOffset{{Partition: at, Offset: int64(h.version), LeaderEpoch: -1}}}})
	case kind == 6:
		h.version++
		h.propose(Change{Offsets: &CommitOffsets{Lease: h.lease.Name, Epoch: h.lease.Epoch, Group: "g", Version: h.version,
			Forget: rapid.Bool().Draw(h.T, "forget"), Offsets: []GroupOffset{{Partition: at, Offset: 1000, LeaderEpoch: -1}}}})
	case kind == 7:
		h.propose(Change{DeleteTopic: &h.topics[1]})
	case kind == 8:
		h.propose(Change{LogStart: &LogStart{Offsets: map[segments.Partition]int64{at: rapid.Int64Range(0,
			4).Draw(h.T, "start")}}})
	case kind == 9:
		h.propose(Change{Forget: &ForgetTransactionalID{ID: id, Version: now.Version}})
	case kind == 10: // of others: a hole, should it be lost
		h.commit(CommitRequest{Runs: []CommitRun{{Partition: at, Position: 32,
			Batches: []CommitBatch{{Length: 70, Records: 1, ProducerID: -1}}}}})
	case kind <= 12:
		h.commit(CommitRequest{Runs: []CommitRun{{Partition: at, Position: 32, Batches: []CommitBatch{{Length: 70,
			Records: 1, ProducerID: now.ProducerID,
			ProducerEpoch: now.Epoch, Protocol: protocol}, {Length: 70, Records: 1, ProducerID: -1}}}}})
	case kind <= 16:
		h.end(&now, producer, protocol)
	case kind <= 20:
		h.request()
	default:
		h.confirm(rapid.IntRange(0, max(0, len(h.pending)-1)).Draw(h.T, "which"))
	}
}

// end commits an ending, for what is open or, now and then, with a partition too few.
func (h *txnHistory) end(now *DecidedID, producer Producer, protocol Protocol) {
	e := Ending{Incarnation: 7, ID: now.ID, Producer: producer, Ordinal: now.Ordinal, Result: Aborted,
		ByOwner: now.Aborting, NewProducerID: -1}
	if !now.Aborting {
		e.Bump = protocol == Transactional
		e.Result = rapid.SampledFrom([]Result{Committed, Aborted}).Draw(h.T, "result")
	}
	open := now.Open
	if len(open) > 0 && rapid.IntRange(0, 5).Draw(h.T, "without") == 0 {
		open = open[1:]
	}
	req := CommitRequest{Endings: []Ending{e}}
	for i, at := range open {
		req.Runs = append(req.Runs, CommitRun{Partition: at, Position: int64(32 + 78*i),
			Batches: []CommitBatch{{Length: 78, Records: 1,
				ProducerID: producer.ProducerID, ProducerEpoch: producer.Epoch, BaseSequence: -1, Ending: 1}}})
	}
	h.commit(req)
}

func (h *txnHistory) commit(req CommitRequest) {
	h.n++
	req.Segment = segments.NewID(time.UnixMilli(1e12))
	answer, err := h.e.Commit(h.Context(), 7, req)
	if err != nil {
		h.Fatal(err)
	}
	h.decided(answer.Entry)
}

func (h *txnHistory) propose(c Change) {
	h.n++
	c.ID = segments.ID{1, h.n}
	if e, err := h.e.Propose(h.Context(), 7, c); err == nil {
		h.decided(e)
	}
}

func (h *txnHistory) decided(e Entry) {
	if e.Seq != 0 {
		h.pending = append(h.pending, e)
		h.facts, h.seqs, h.lost = append(h.facts, e.Fact), append(h.seqs, e.Seq), append(h.lost, true)
	}
}

func (h *txnHistory) confirm(i int) {
	if i >= len(h.pending) {
		return
	}
	if err := h.e.Confirm(h.Context(), 7, []uint64{h.pending[i].Seq}); err != nil {
		h.Fatal(err)
	}
	h.lost[slices.Index(h.seqs, h.pending[i].Seq)] = false
	h.pending = slices.Delete(h.pending, i, i+1)
}

func (h *txnHistory) confirmAll() {
	for len(h.pending) > 0 {
		h.confirm(0)
	}
}

func TestTransactionFactsCommute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { commute(t, drawTransactions(t).facts) })
}

// A recovery may find any part of what was not confirmed. What it makes of it has no open
// transaction that its id knows to have ended, and every ending is complete.
func TestRecoveryClosesWhatHasEnded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawTransactions(t)
		s := NewState(7, "cluster")
		for i, f := range h.facts {
			if h.lost[i] && rapid.Bool().Draw(t, "lost") {
				continue
			}
			if err := s.Apply(f); err != nil {
				t.Fatal(err)
			}
		}
		s.truncate()
		if len(s.transactions.incomplete) > 0 {
			t.Fatalf("incomplete after a recovery: %v", s.transactions.incomplete)
		}
		for at, p := range s.partitions {
			if p.txns == nil {
				continue
			}
			for producer, open := range p.txns.open {
				id, known := s.transactions.producers[producer]
				if !known {
					t.Fatalf("%s: producer %d has a transaction open, and no id", at, producer)
				}
				if now := s.transactions.ids[id]; open.ordinal != now.Ordinal {
					t.Fatalf("%s: transaction %d of %q is open, which is at %d", at, open.ordinal, id, now.Ordinal)
				}
			}
			if p.lastStable() > p.end || p.lastStable() < p.logStart {
				t.Fatalf("%s: last stable offset %d of %d to %d", at, p.lastStable(), p.logStart, p.end)
			}
		}
	})
}

// Offsets that an ending lets count do so when all its markers are in their prefixes, and not
// before.
func TestOffsetsCountWhenTheEndingIsComplete(t *testing.T) {
	s := NewState(4, "cluster")
	for _, f := range sampleTransactions() {
		if err := s.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	at := func(index int32) segments.Partition {
		return segments.Partition{Topic: segments.TopicID{0x40, 1, 2}, Index: index}
	}
	v := NewView(s)
	if _, counts := v.Committed("g", at(1)); counts || !v.Unstable("g", at(1)) {
		t.Error("offsets count while a marker is beyond a hole")
	}
	fill := Span{Segment: segments.ID{1, 0x93, 0xb0, 9, 16}, Base: 1, Last: 4, Length: 1}
	err := s.Apply(&Fact{Incarnation: 4, Commit: &Commit{Segment: fill.Segment,
		Spans: []CommitSpan{{Partition: at(8), Span: fill}}}})
	if err != nil {
		t.Fatal(err)
	}
	if o, counts := v.Committed("g", at(1)); !counts || o.Offset != -1 || v.Unstable("g", at(1)) {
		t.Errorf("when it is complete %+v is committed: %v", o, counts)
	}
	if o, counts := v.Committed("g", at(2)); !counts || o.Offset != 9 {
		t.Errorf("when it is complete %+v is committed: %v", o, counts)
	}
}
