package coordinator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
)

// Transactions of the simulation. Producers of two transactional ids begin, write, end and are
// fenced through any node; nodes abort what was fenced, and fence what lasts too long. Segments
// with markers are committed again in later lives, as all are. The judge knows what producers were
// told: a transaction is committed or aborted as a whole (T1); after InitProducerId nothing older
// appears (T3); and in the end nothing is open that cannot be ended (T4).

var txnSeeds = flag.Int("firn.txnseeds", 20, "how many random simulations of transactions to run")

func TestTransactionProtocol(t *testing.T) {
	var begun, committed, aborted, fenced, refused, recoveries int
	for seed := range *txnSeeds {
		s, violation := simulateTransactions(t, seed, false)
		if violation != nil {
			s, _ = simulateTransactions(t, seed, true)
			t.Fatalf("seed %d: %v\n%s", seed, violation, strings.Join(s.trace[max(0, len(s.trace)-300):], "\n"))
		}
		begun, refused, recoveries = begun+s.txns.answered, refused+s.txns.refused, recoveries+s.recoveries
		fenced += s.txns.fences
		for _, x := range s.txns.all {
			switch x.told {
			case Committed:
				committed++
			case Aborted:
				aborted++
			}
		}
	}
	t.Logf("%d producers began, %d fences, %d transactions committed, %d aborted, %d endings refused, "+
		"%d recoveries in %d runs",
		begun, fenced, committed, aborted, refused, recoveries, *txnSeeds)
	least := *txnSeeds
	if begun < least || committed < least/20 || aborted < least/4 || refused < least || recoveries < least {
		t.Error("the simulation does not get far enough to show anything")
	}
}

func simulateTransactions(t *testing.T, seed int, tracing bool) (s *simulation, violation any) {
	synctest.Test(t, func(*testing.T) {
		s = newSimulation(rand.New(rand.NewPCG(uint64(seed), 2)), flaws{})
		s.tracing = tracing
		s.txns = &simTxns{of: map[record]*simTxn{}, markers: map[record]simMarker{}}
		defer func() { violation = recover() }()
		s.run(3 * simSteps)
	})
	return s, violation
}

// simTxns is what the judge and the producers know.
type simTxns struct {
	sessions []*simSession
	all      []*simTxn
	of       map[record]*simTxn
	markers  map[record]simMarker

	producers, answered, fences, refused int
}

// simMarker is whose marker a record is.
type simMarker struct {
	producer int64
	result   Result
}

// simSession is a producer, from its InitProducerId on.
type simSession struct {
	name     int
	id       string
	phase    simPhase
	producer Producer
	began    *chain // the life that fences for it
	sequence [simPartitions]int32
	waiting  [simPartitions]*record
	txn      *simTxn
	shut     bool // another has been told that it is the one: nothing new of this one may appear
}

type simPhase int

const (
	simIniting simPhase = iota
	simLive
	simEnding
	simDead
)

// simTxn is a transaction as its producer means it.
type simTxn struct {
	session  *simSession
	producer int64
	records  []record
	acked    int
	failed   bool
	asked    Result
	told     Result
}

// simCommit is a segment of a transaction on its way through a node.
type simCommit struct {
	req     CommitRequest
	txn     *simTxn
	record  *record // nil: it is an ending
	decided bool
}

// transact does one of the things that a node does for transactions.
func (n *simNode) transact() error {
	switch n.sim.pick(8, "transact") {
	case 0, 1, 2:
		return n.commitTxn()
	case 3:
		return n.own([]string{"a", "b"}[n.sim.pick(2, "own")])
	default:
		return n.serveSession(n.sim.txns.session(n.sim))
	}
}

// session draws a producer: one of the last few, or a new one, which makes the others zombies.
func (x *simTxns) session(s *simulation) *simSession {
	if len(x.sessions) == 0 || s.pick(250, "new session") == 0 {
		x.sessions = append(x.sessions, &simSession{name: len(x.sessions), id: []string{"a", "b"}[s.pick(2, "id")]})
	}
	last := x.sessions[max(0, len(x.sessions)-4):]
	return last[s.pick(len(last), "session")]
}

func (n *simNode) serveSession(s *simSession) error {
	switch s.phase {
	case simIniting:
		if s.began == n.chain && n.sim.pick(30, "again") > 0 {
			return n.answerInit(s)
		}
		if s.began == nil || s.began == n.chain || n.sim.over(s.began) {
			return n.fence(s)
		}
	case simLive:
		return n.work(s)
	case simEnding:
		if n.sim.pick(2, "end") == 0 {
			return n.endTxn(s)
		}
		n.pausing("acknowledge")
		n.answerEnd(s)
	}
	return nil
}

// over says whether a life is.
func (s *simulation) over(life *chain) bool {
	return !slices.ContainsFunc(s.nodes, func(n *simNode) bool { return n.chain == life })
}

// look asks what is decided of an id.
func (n *simNode) look(id string) (now DecidedID, err error) {
	err = n.call("transactional id", func(e Embedded) (err error) {
		now, err = e.TransactionalID(context.Background(), n.chain.generation.Incarnation, id)
		return err
	})
	return now, err
}

// proposeID has a change of an id decided.
func (n *simNode) proposeID(c Change) (entry Entry, err error) {
	c.ID = n.sim.newID()
	err = n.call("propose id", func(e Embedded) (err error) {
		entry, err = e.Propose(context.Background(), n.chain.generation.Incarnation, c)
		return err
	})
	if err == nil {
		n.decided = append(n.decided, entry)
		n.sim.txns.fences++
	}
	return entry, err
}

// onlyLife passes on what ends a life: all else passes.
func onlyLife(err error) error {
	if lifeOver(err) {
		return err
	}
	return nil
}

// fence is the first step of InitProducerId.
func (n *simNode) fence(s *simSession) error {
	n.sim.txns.producers++
	entry, err := n.proposeID(Change{Fence: &Fence{ID: s.id, NewProducerID: int64(n.sim.txns.producers)}})
	if err != nil {
		return onlyLife(err)
	}
	id := entry.Fact.TransactionalID
	s.producer, s.began = Producer{id.ProducerID, id.Epoch}, n.chain
	return nil
}

// answerInit answers InitProducerId, when its fence is confirmed and nothing older is ongoing.
func (n *simNode) answerInit(s *simSession) error {
	now, err := n.look(s.id)
	if err != nil || n.chain != s.began || s.phase != simIniting {
		return onlyLife(err)
	}
	shown := n.view.state.transactions.ids[s.id]
	if !now.is(s.producer) {
		if shown != nil && !shown.is(s.producer) && shown.Version >= now.Version {
			s.phase = simDead
		}
		return nil
	}
	if !shown.is(s.producer) || !now.Complete || len(now.Open) > 0 || now.Aborting || now.busy() {
		return nil
	}
	// The judge knows what nodes serve: so the answer waits until this one serves all that is below
	// the high watermarks.
	if latest, err := n.on.e.Latest(context.Background(), n.chain.generation.Incarnation); err != nil ||
		n.view.seq < latest {
		return nil
	}
	s.phase = simLive
	n.sim.txns.answered++
	for _, other := range n.sim.txns.sessions {
		older := other.producer.ProducerID == s.producer.ProducerID && other.producer.Epoch < s.producer.Epoch
		if other.id == s.id && other.phase != simIniting && older { // this answer may come late itself
			other.shut = true
		}
	}
	return nil
}

// work writes a batch of the session's transaction, or asks for its end.
func (n *simNode) work(s *simSession) error {
	if s.txn == nil {
		s.txn = &simTxn{session: s, producer: s.producer.ProducerID}
		n.sim.txns.all = append(n.sim.txns.all, s.txn)
	}
	if n.sim.pick(3, "work") > 0 {
		return n.write(s)
	}
	x := s.txn
	if len(x.records) == 0 {
		return nil
	}
	x.asked = Aborted
	if x.acked == len(x.records) && !x.failed && n.sim.pick(4, "result") > 0 {
		x.asked = Committed
	} else if !x.failed && n.sim.pick(400, "patience") > 0 {
		return nil
	}
	s.phase = simEnding
	return nil
}

// write puts a segment with a batch.
func (n *simNode) write(s *simSession) error {
	p := int32(n.sim.pick(simPartitions, "partition"))
	if s.waiting[p] != nil || s.txn.failed {
		return nil
	}
	x, id := s.txn, n.sim.newID()
	r := record{p, id, 0}
	n.sim.txns.of[r] = x
	x.records, s.waiting[p] = append(x.records, r), &r
	req := CommitRequest{Segment: id, Runs: []CommitRun{{Partition: simPartition(p),
		Batches: []CommitBatch{{Length: 1, Records: 1,
			ProducerID: s.producer.ProducerID, ProducerEpoch: s.producer.Epoch, BaseSequence: s.sequence[p],
			Protocol: Transactional}}}}}
	if n.putSegment(id) {
		n.commits = append(n.commits, &simCommit{req: req, txn: x, record: &r})
	}
	return nil
}

// endTxn builds what a producer asks for.
func (n *simNode) endTxn(s *simSession) error {
	now, err := n.look(s.id)
	if err != nil || !now.is(s.producer) || now.Aborting || s.phase != simEnding {
		return onlyLife(err)
	}
	return n.build(&now, s.txn.asked, false, s.txn)
}

// own aborts what was fenced, and now and then fences what is open.
func (n *simNode) own(id string) error {
	now, err := n.look(id)
	switch {
	case err != nil:
		return onlyLife(err)
	case now.Aborting:
		return n.build(&now, Aborted, true, nil)
	case len(now.Open) > 0 && n.sim.pick(150, "timeout") == 0:
		_, err := n.proposeID(Change{Fence: &Fence{ID: id, Expired: &Expired{Producer{now.ProducerID, now.Epoch},
			now.Ordinal}}})
		return onlyLife(err)
	}
	return nil
}

// build puts the segment of an ending.
func (n *simNode) build(now *DecidedID, result Result, byOwner bool, x *simTxn) error {
	id := n.sim.newID()
	req := CommitRequest{Segment: id, Endings: []Ending{{Incarnation: n.chain.generation.Incarnation, ID: now.ID,
		Producer: Producer{now.ProducerID, now.Epoch}, Ordinal: now.Ordinal, Result: result, ByOwner: byOwner, Bump: !byOwner,
		NewProducerID: -1}}}
	for _, at := range now.Open {
		position := int64(100 * at.Index)
		n.sim.txns.markers[record{at.Index, id, position}] = simMarker{now.ProducerID, result}
		req.Runs = append(req.Runs, CommitRun{Partition: at, Position: position, Batches: []CommitBatch{{Length: 1,
			Records:    1,
			ProducerID: now.ProducerID, ProducerEpoch: now.Epoch, BaseSequence: -1, Ending: 1}}})
	}
	if len(req.Runs) == 0 || n.putSegment(id) {
		n.commits = append(n.commits, &simCommit{req: req, txn: x})
	}
	return nil
}

// commitTxn commits one of the segments, perhaps again and in another life.
func (n *simNode) commitTxn() error {
	if len(n.commits) == 0 {
		return nil
	}
	c := n.commits[n.sim.pick(len(n.commits), "commit")]
	var answer CommitAnswer
	err := n.call("commit", func(e Embedded) (err error) {
		answer, err = e.Commit(context.Background(), n.chain.generation.Incarnation, c.req)
		return err
	})
	switch {
	case lifeOver(err):
		return err
	case errors.Is(err, ErrTooOld):
		n.drop(c, true)
	case err != nil:
	default:
		if answer.Entry.Seq != 0 {
			n.decided = append(n.decided, answer.Entry)
		}
		n.answered(c, answer)
	}
	return nil
}

// answered notes what became of a commit. A batch stays until it is acknowledged, an ending until
// it is refused or nothing of it is left to journal.
func (n *simNode) answered(c *simCommit, answer CommitAnswer) {
	if c.record == nil {
		if answer.Endings[0] != nil {
			n.sim.txns.refused++
		}
		if answer.Endings[0] != nil || answer.Entry.Seq == 0 {
			n.drop(c, false)
		}
		return
	}
	if a := answer.Runs[0][0]; a.Err != nil {
		n.drop(c, true)
	}
	c.decided = true
}

func (n *simNode) drop(c *simCommit, failed bool) {
	n.commits = slices.DeleteFunc(n.commits, func(other *simCommit) bool { return other == c })
	if failed && c.txn != nil {
		c.txn.failed = true
	}
}

// acknowledgeTxns tells producers of batches that this node's view serves.
func (n *simNode) acknowledgeTxns() {
	n.commits = slices.DeleteFunc(n.commits, func(c *simCommit) bool {
		if c.record == nil || !c.decided {
			return false
		}
		offset, served := n.sim.places[*c.record]
		p := n.view.state.partitions[simPartition(c.record.partition)]
		if !served || p == nil || p.end <= offset {
			return false
		}
		s := c.txn.session
		if w := s.waiting[c.record.partition]; w != nil && *w == *c.record {
			s.waiting[c.record.partition] = nil
			s.sequence[c.record.partition]++
			c.txn.acked++
		}
		return true
	})
}

// answerEnd answers EndTxn, by what this node's view shows.
func (n *simNode) answerEnd(s *simSession) {
	id := n.view.state.transactions.ids[s.id]
	if id == nil {
		return
	}
	if id.EndedProducerID == s.producer.ProducerID && id.EndedEpoch == s.producer.Epoch && id.Result == s.txn.asked {
		for key := range n.view.state.transactions.incomplete {
			if key.id == s.id {
				return
			}
		}
		s.txn.told = s.txn.asked
		s.phase, s.producer, s.txn = simLive, Producer{id.ProducerID, id.Epoch}, nil
		s.sequence, s.waiting = [simPartitions]int32{}, [simPartitions]*record{}
		return
	}
	if id.ProducerID == s.producer.ProducerID && id.Epoch > s.producer.Epoch {
		if id.PreviousEpoch == s.producer.Epoch && !id.Aborting {
			s.txn.told = Aborted // a timeout has aborted it
		}
		s.phase = simDead
	}
}

// judge looks at a record that is served for the first time.
func (x *simTxns) judge(who string, r record, offset int64) {
	if of := x.of[r]; of != nil && of.session.shut {
		panic(fmt.Sprintf("T3: %s: partition %d offset %d is of session %d, and another was told that it is fenced", who,
			r.partition, offset, of.session.name))
	}
}

// judgeEnd looks at what became of all transactions, by what was served and by a state.
func (x *simTxns) judgeEnd(s *simulation, state *State) {
	committed, aborted := map[record]bool{}, map[record]bool{}
	for at := range s.served {
		pending, lists := map[int64][]record{}, []AbortedTransaction{}
		stable := map[int64]int64{}
		for offset, r := range s.served[at] {
			if m, is := x.markers[r]; is {
				if len(pending[m.producer]) == 0 {
					panic(fmt.Sprintf("partition %d has a marker at %d that ends nothing", at, offset))
				}
				for _, ended := range pending[m.producer] {
					committed[ended], aborted[ended] = m.result == Committed, m.result == Aborted
				}
				if m.result == Aborted {
					lists = append(lists, AbortedTransaction{m.producer, stable[m.producer], int64(offset)})
				}
				delete(pending, m.producer)
				delete(stable, m.producer)
			} else if of := x.of[r]; of != nil {
				if len(pending[of.producer]) == 0 {
					stable[of.producer] = int64(offset)
				}
				pending[of.producer] = append(pending[of.producer], r)
			}
		}
		x.judgePartition(at, state.partitions[simPartition(int32(at))], stable, lists, len(s.served[at]))
	}
	for i, of := range x.all {
		both := [3]int{}
		for _, r := range of.records {
			if committed[r] {
				both[Committed]++
			}
			if aborted[r] {
				both[Aborted]++
			}
		}
		switch {
		case both[Committed] > 0 && both[Aborted] > 0:
			panic(fmt.Sprintf("T1: transaction %d is committed and aborted", i))
		case of.told == Committed && both[Committed] != len(of.records):
			panic(fmt.Sprintf("T1: transaction %d was answered as committed, and %d of its %d records are", i,
				both[Committed], len(of.records)))
		case of.told == Aborted && both[Committed] > 0:
			panic(fmt.Sprintf("T1: transaction %d was answered as aborted, and %d of its records are committed", i,
				both[Committed]))
		}
	}
	x.judgeEndable(state)
}

// judgePartition compares what a state says of transactions with what was served. The state may
// have a few offsets more.
func (x *simTxns) judgePartition(at int, p *partition, first map[int64]int64, aborted []AbortedTransaction,
	served int) {
	if p == nil || p.end != int64(served) {
		return
	}
	stable := p.end
	for _, offset := range first {
		stable = min(stable, offset)
	}
	if p.lastStable() != stable {
		panic(fmt.Sprintf("partition %d is stable up to %d, should be up to %d", at, p.lastStable(), stable))
	}
	var listed []AbortedTransaction
	if p.txns != nil {
		listed = p.txns.aborted
	}
	if !slices.Equal(listed, aborted) {
		panic(fmt.Sprintf("partition %d lists as aborted %v, should be %v", at, listed, aborted))
	}
}

// judgeEndable opens a coordinator with a state, and ends what is open, without any producer.
func (x *simTxns) judgeEndable(state *State) {
	ctx := context.Background()
	e := NewEmbedded(EmbeddedOptions{Clock: time.Now})
	in := state.incarnation
	must := func(entry Entry, err error) {
		if err == nil {
			err = e.Confirm(ctx, in, []uint64{entry.Seq})
		}
		if err != nil {
			panic(fmt.Sprintf("T4: %v", err))
		}
	}
	state.opening = &opening{}
	if err := e.Open(ctx, state); err != nil {
		panic(err)
	}
	for i, id := range slices.Sorted(maps.Keys(state.transactions.ids)) {
		must(e.Propose(ctx, in, Change{ID: segments.ID{9, byte(i)}, Fence: &Fence{ID: id, NewProducerID: 1 << 40}}))
		now, err := e.TransactionalID(ctx, in, id)
		if err != nil {
			panic(err)
		}
		req := CommitRequest{Segment: segments.NewID(time.Now()), Endings: []Ending{{Incarnation: in, ID: id,
			Producer: Producer{now.ProducerID, now.Epoch}, Ordinal: now.Ordinal, Result: Aborted, ByOwner: true,
			NewProducerID: -1}}}
		for j, at := range now.Open {
			req.Runs = append(req.Runs, CommitRun{Partition: at, Position: int64(j), Batches: []CommitBatch{{Length: 1,
				Records:    1,
				ProducerID: now.ProducerID, ProducerEpoch: now.Epoch, BaseSequence: -1, Ending: 1}}})
		}
		answer, err := e.Commit(ctx, in, req)
		if err == nil {
			err = answer.Endings[0]
		}
		must(answer.Entry, err)
		if now, err = e.TransactionalID(ctx, in, id); err != nil || len(now.Open) > 0 || !now.Complete {
			panic(fmt.Sprintf("T4: after an abort %q is open in %v, complete %v: %v", id, now.Open, now.Complete, err))
		}
	}
}
