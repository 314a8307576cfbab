package coordinator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// simServer is one coordinator process.
type simServer struct {
	e       Embedded
	trusted bool // what it holds was opened on it: the run_id check
}

// generation is what is open on the server; zero if nothing is.
func (s *simServer) generation() Generation {
	g, _ := s.e.Generation(context.Background())
	return g
}

var errLost = errors.New("reply lost")

// simNode is one node: a coroutine.
type simNode struct {
	sim    *simulation
	name   int
	server *simServer
	next   func() (string, bool)
	stop   func()
	yield  func(string) bool

	// of the present life
	chain    *chain
	begun    *chain // of a life that could not begin: see beginning.chain
	view     *View
	on       *simServer
	decided  []Entry // committed, not journaled
	unsettle []CommitRequest
	commits  []*simCommit // of transactions
	owner    *simOwner    // of the group of functions; nil: it is not

	atomics    []*simAtomicCommit
	duplicates []duplicate          // that are not answered
	garbage    map[string]time.Time // that was seen, and since when
}

// errCrash unwinds a coroutine that is stopped.
var errCrash = errors.New("crash")

func (n *simNode) start() {
	n.unsettle, n.decided, n.view, n.chain, n.begun, n.duplicates, n.garbage = nil, nil, nil, nil, nil, nil, nil
	n.commits, n.atomics, n.owner = nil, nil, nil
	n.next, n.stop = iter.Pull(func(yield func(string) bool) {
		defer func() {
			r := recover()
			if err, _ := r.(error); r != nil && !errors.Is(err, errCrash) {
				panic(r)
			}
		}()
		n.yield = yield
		n.run()
	})
}

func (n *simNode) step() {
	what, _ := n.next()
	if n.sim.tracing {
		n.sim.trace = append(n.sim.trace, fmt.Sprintf("        node %d stops before: %s", n.name, what))
	}
}

// pausing stops before a call; the simulation decides when it goes on.
func (n *simNode) pausing(what string) {
	if !n.yield(what) {
		panic(errCrash)
	}
}

// lost draws whether the reply to a call is lost.
func (n *simNode) lost() bool { return n.sim.pick(12, "lost") == 11 }

// run is what Node.run does, one life after another.
func (n *simNode) run() {
	for {
		n.pausing("begin")
		n.chain, n.decided, n.duplicates, n.owner = nil, nil, nil, nil
		for _, c := range n.atomics {
			c.owner = nil
		}
		if n.begin() != nil {
			continue
		}
		for n.act() == nil {
		}
	}
}

func (n *simNode) who() string { return fmt.Sprintf("node %d", n.name) }

// call makes a coordinator call, whose reply may be lost.
func (n *simNode) call(what string, do func(e Embedded) error) error {
	n.pausing(what)
	if !n.on.trusted {
		return ErrNotOpen
	}
	if err := do(n.on.e); err != nil {
		return err
	}
	if n.lost() {
		return errLost
	}
	return nil
}

// begin is what beginning.generation and beginning.chain do.
func (n *simNode) begin() error {
	ctx := context.Background()
	n.on = n.server
	now, err := n.generation()
	if errors.Is(err, ErrNotOpen) {
		return n.recover()
	}
	if err != nil {
		return err
	}
	if n.begun == nil || n.begun.generation != now {
		n.sim.ids++
		n.begun = &chain{store: simStore{n}, life: fmt.Sprintf("life-%04d", n.sim.ids), generation: now,
			clock: time.Now, shared: true}
	}
	newest, err := n.begun.begin(ctx, n.who())
	if err != nil {
		return err
	}
	if newest != now.Incarnation && !n.sim.flaws.ignoreNewest {
		if n.sim.pick(2, "patience") == 0 {
			return n.recover()
		}
		return errWait
	}
	if err := n.load(now.Incarnation); err != nil {
		return err
	}
	n.chain, n.begun = n.begun, nil
	return nil
}

func (n *simNode) generation() (now Generation, err error) {
	err = n.call("generation", func(e Embedded) (err error) { now, err = e.Generation(context.Background()); return err })
	return now, err
}

// recover is what beginning.recover does.
func (n *simNode) recover() error {
	state, err := Recover(context.Background(), simStore{n}, RecoverOptions{Who: n.who(), Parallel: 1})
	if err != nil {
		return err
	}
	for {
		err := n.open(state)
		if errors.Is(err, errLost) && n.sim.flaws.openTwice {
			state.opening = &opening{}
			n.on = n.server
			continue
		}
		if errors.Is(err, errLost) {
			err = n.opened(state.Generation())
		}
		if err != nil {
			return err
		}
		n.sim.recoveries++
		return errWait
	}
}

// open opens a recovered state. It may arrive long after it was sent, and its reply may be lost.
func (n *simNode) open(state *State) error {
	n.pausing("open")
	n.sim.judge(n.who()+" recovering", state)
	if n.sim.atomic != nil {
		n.sim.atomic.judgeState(n.sim, n.who()+" recovering", state)
	}
	if n.lost() {
		n.sim.opening = append(n.sim.opening, lateOpening{n.on, n.on.generation(), state})
		return errLost
	}
	loaded := state
	if n.sim.flaws.openWithoutKeys {
		loaded = state.clone(false)
		for _, p := range loaded.partitions {
			p.keys = nil
			clear(p.requests)
		}
	}
	if err := n.on.e.Open(context.Background(), loaded); err != nil {
		return err
	}
	n.on.trusted = true
	if n.lost() {
		n.sim.lostOpenings++
		return errLost
	}
	return nil
}

// opened is what beginning.opened does.
func (n *simNode) opened(sent Generation) error {
	for {
		n.on = n.server
		switch now, err := n.generation(); {
		case err == nil && now == sent:
			return nil
		case err == nil, errors.Is(err, ErrNotOpen):
			return errWait
		}
	}
}

func (n *simNode) load(in Incarnation) error {
	ctx := context.Background()
	var seq uint64
	err := n.call("settled", func(e Embedded) (err error) { seq, err = e.Settled(ctx, in); return err })
	if err != nil {
		return err
	}
	l := loader{simStore{n}, 1}
	found, err := l.load(ctx, in)
	if err != nil {
		return err
	}
	if err := n.confirmLoaded(found.state, seq); err != nil {
		return err
	}
	if n.view == nil {
		n.view = NewView(found.state)
		n.view.seq = seq
	} else {
		n.sim.must(n.view.replace(found.state, seq))
	}
	n.sim.judge(n.who()+" loading", n.view.state)
	return nil
}

// confirmLoaded is what the function of that name does.
func (n *simNode) confirmLoaded(state *State, after uint64) error {
	var entries []Entry
	err := n.call("follow", func(e Embedded) (err error) {
		entries, err = followed(e, state.incarnation, after, 1000)
		return err
	})
	if err != nil {
		return err
	}
	found := journaled{state: state, seqs: map[uint64]bool{}}
	for i := range entries {
		found.look(&entries[i])
	}
	if len(found.seqs) == 0 {
		return nil
	}
	return n.call("confirm", func(e Embedded) error { return found.confirm(context.Background(), e) })
}

// act does one of the things that a living node does. An error ends the life.
func (n *simNode) act() error {
	if n.sim.txns != nil && n.sim.pick(3, "transactions") > 0 {
		return n.transact()
	}
	if n.sim.atomic != nil && n.sim.pick(3, "functions") > 0 {
		return n.serveAtomic()
	}
	switch p := n.sim.pick(15, "act"); {
	case p < 3:
		return n.follow()
	case p < 5:
		n.newSegment()
		return n.commit()
	case p < 6:
		return n.commit()
	case p < 8:
		return n.settle(n.decided)
	case p < 9:
		stalled, _, _ := n.view.stalled(0, time.Now().Add(time.Second))
		return n.settle(stalled)
	case p < 10:
		return n.snapshot()
	case p < 11:
		return n.merge()
	case p < 12:
		return n.collect()
	case p < 13:
		return n.archive()
	default:
		n.pausing("acknowledge")
		n.acknowledge()
		return nil
	}
}

// followed returns the entries behind a number that are there, up to most of them.
func followed(e Embedded, in Incarnation, after uint64, most int) (entries []Entry, err error) {
	latest, err := e.Latest(context.Background(), in)
	if err != nil || latest <= after {
		return nil, err
	}
	for entry, err := range e.Follow(context.Background(), in, after) {
		if err != nil {
			return nil, err
		}
		if entries = append(entries, entry); entry.Seq == latest || len(entries) == most {
			break
		}
	}
	return entries, nil
}

func (n *simNode) follow() error {
	var entries []Entry
	err := n.call("follow", func(e Embedded) (err error) {
		entries, err = followed(e, n.chain.generation.Incarnation, n.view.seq, 4)
		return err
	})
	if errors.Is(err, ErrTrimmed) {
		return n.load(n.chain.generation.Incarnation)
	}
	for _, e := range entries {
		n.sim.must(n.view.follow(e, time.Now()))
	}
	n.sim.judge(n.who()+" following", n.view.state)
	if lifeOver(err) {
		return err
	}
	return nil
}

func (n *simNode) newSegment() {
	id := n.sim.newID()
	req := CommitRequest{Segment: id}
	for at := range int32(simPartitions) {
		run := CommitRun{Partition: simPartition(at), Position: int64(at) * 100}
		for i := range n.sim.pick(3, "batches") {
			r := record{at, id, run.Position + int64(i)}
			run.Batches = append(run.Batches, CommitBatch{Length: 1, Records: 1, ProducerID: -1, Key: n.sim.key(r)})
		}
		req.Runs = append(req.Runs, run)
	}
	if n.putSegment(id) {
		n.unsettle = append(n.unsettle, req)
	}
}

// commit commits one of the segments that are not acknowledged, perhaps again.
func (n *simNode) commit() error {
	if len(n.unsettle) == 0 {
		return nil
	}
	req := n.unsettle[n.sim.pick(len(n.unsettle), "segment")]
	var answer CommitAnswer
	err := n.call("commit", func(e Embedded) (err error) {
		answer, err = n.sim.flaws.commit(e, n.chain.generation.Incarnation, req)
		return err
	})
	if lifeOver(err) {
		return err
	}
	if errors.Is(err, ErrTooOld) {
		n.unsettle = slices.DeleteFunc(n.unsettle, func(r CommitRequest) bool { return r.Segment == req.Segment })
	}
	if err == nil {
		if !n.sim.has(req.Segment.Key()) {
			panic(fmt.Sprintf("P7: segment %s is gone, and its commit is answered", req.Segment))
		}
		n.noteDuplicates(req, answer)
		if answer.Entry.Seq != 0 {
			n.decided = append(n.decided, answer.Entry)
		}
	}
	return nil
}

// settle is what the journal does: one object, tried until it is there, then the confirmation.
func (n *simNode) settle(entries []Entry) error {
	var facts [][]byte
	var seqs []uint64
	for _, e := range entries {
		facts, seqs = append(facts, AppendFact(nil, e.Fact)), append(seqs, e.Seq)
	}
	if len(facts) == 0 {
		return nil
	}
	confirm := func(e Embedded) error { return e.Confirm(context.Background(), n.chain.generation.Incarnation, seqs) }
	if n.sim.flaws.confirmBeforeJournal {
		if err := n.call("confirm", confirm); lifeOver(err) {
			return err
		}
	}
	body := n.chain.object(facts)
	for {
		err := n.chain.put(context.Background(), body)
		if err == nil {
			break
		}
		if lifeOver(err) {
			return err
		}
	}
	n.decided = slices.DeleteFunc(n.decided, func(e Entry) bool { return slices.Contains(seqs, e.Seq) })
	for {
		if err := n.call("confirm", confirm); err == nil || lifeOver(err) {
			return err
		}
	}
}

// snapshot is what the snapshotter does, without its lease: two at once do no harm.
func (n *simNode) snapshot() error {
	ctx := context.Background()
	store := simStore{n}
	l := loader{store, 1}
	found, err := l.load(ctx, n.chain.generation.Incarnation)
	if err != nil {
		return nil // tried again some other time
	}
	in := n.chain.generation.Incarnation
	o := snapshotObject{incarnation: in, n: found.snapshot + 1, covers: found.covers, state: found.state}
	if created, err := create(ctx, store, snapshotKey(o.incarnation, o.n), o.encode()); err != nil || !created {
		return nil
	}
	t := tidier{loader: l, in: n.chain.generation.Incarnation, retention: simRetention}
	untidy, err := t.look(ctx)
	if err != nil {
		return nil
	}
	_ = store.Delete(ctx, untidy.keys...)
	_ = store.Delete(ctx, untidy.seals...)
	sealed, _ := t.sealSilent(ctx, untidy.silent, nil, n.who()) // whoever lives
	n.sim.merges.sealed += sealed
	return nil
}

// acknowledge forgets the segments whose records this node's view serves, as ingest does; the judge
// knows them as served.
func (n *simNode) acknowledge() {
	n.answerDuplicates()
	n.acknowledgeTxns()
	n.acknowledgeAtomic()
	n.unsettle = slices.DeleteFunc(n.unsettle, func(req CommitRequest) bool {
		for _, run := range req.Runs {
			for i := range run.Batches {
				offset, served := n.sim.place(record{run.Partition.Index, req.Segment, run.Position + int64(i)})
				if p := n.view.state.partitions[run.Partition]; !served || p == nil || p.end <= offset {
					return false
				}
			}
		}
		return true
	})
}
