package coordinator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// The simulation runs several nodes, made of the same chain, View, Embedded, Recover and snapshot
// code that Node is made of, on one bucket. Each node is a coroutine that stops before every call
// to the bucket and to the coordinator; a seeded generator decides which node goes on, whose call
// is lost or delayed, which node crashes, and when the coordinator is replaced by an empty one or
// by a copy of an earlier state, for some nodes or for all. One thing happens at a time, so that a
// failing seed can be run again.
//
// After every step the judge looks at what nodes serve: P1, P2, P3 and P6, and that nothing is
// written twice (P4), neither by commits that are repeated nor by clients that send a request with
// a key to several nodes (sim_keyed_test.go).

// flaws break the protocol, to see that the judge notices.
type flaws struct {
	confirmBeforeJournal bool
	trustRewound         bool // no run_id check
	openTwice            bool // an opening whose reply was lost is sent again
	noSeals              bool
	ignoreNewest         bool // a life begins although the bucket knows a newer incarnation
	forgetCommits        bool // commits are not idempotent by segment id
	forgetKeys           bool // requests are not remembered
	openWithoutKeys      bool // … by a coordinator that is opened with a recovered state
	mergeBlindly         bool // merges are decided although others came between
	collectYoung         bool // objects are collected at first sight, although a commit or merge of them may be on its way
	collectByView        bool // at first sight, by what one node's view shows
	collectArchived      bool // what only index objects list is collected
}

// commit has a commit decided by a coordinator that remembers only what it is to remember: what it
// is not to know again has another name each time that it is asked, and in the fact its own.
func (f *flaws) commit(e Embedded, in Incarnation, req CommitRequest) (CommitAnswer, error) {
	asked := req
	if f.forgetCommits {
		asked.Segment = segments.NewID(req.Segment.Time())
	}
	names := map[[16]byte][16]byte{} // of requests
	if f.forgetKeys {
		asked.Runs = slices.Clone(req.Runs)
		for i := range asked.Runs {
			asked.Runs[i].Batches = slices.Clone(req.Runs[i].Batches)
			for j := range asked.Runs[i].Batches {
				if b := &asked.Runs[i].Batches[j]; b.Key != nil {
					key := *b.Key
					key.ID = segments.NewTopicID()
					names[key.ID] = b.Key.ID
					b.Key = &key
				}
			}
		}
	}
	answer, err := e.Commit(context.Background(), in, asked)
	if fact := answer.Entry.Fact; err == nil && fact != nil {
		fact.Commit.Segment = req.Segment
		for i := range fact.Commit.Spans {
			s := &fact.Commit.Spans[i]
			s.Span.Segment = req.Segment
			for j := range s.Keyed {
				if name, renamed := names[s.Keyed[j].ID]; renamed {
					s.Keyed[j].ID = name
				}
			}
		}
	}
	return answer, err
}

const (
	simNodes      = 3
	simPartitions = 2
	simSteps      = 1700
)

// simSeeds is how many random simulations TestProtocol runs; -firn.seeds asks for more.
var simSeeds = flag.Int("firn.seeds", 200, "how many random simulations of the protocol to run")

func TestProtocol(t *testing.T) {
	var records, recoveries, reopened, retries, merges, archived, collected, sealed int
	for seed := range *simSeeds {
		s, violation := simulate(t, seed, flaws{}, false)
		if violation != nil {
			s, _ = simulate(t, seed, flaws{}, true)
			t.Fatalf("seed %d: %v\n%s", seed, violation, strings.Join(s.trace[max(0, len(s.trace)-200):], "\n"))
		}
		records, recoveries, retries = records+len(s.places), recoveries+s.recoveries, retries+s.keys.retries
		merges, collected, sealed = merges+s.merges.decided, collected+s.merges.collected, sealed+s.merges.sealed
		archived, reopened = archived+s.merges.archived, reopened+s.lostOpenings
	}
	t.Logf("%d records served, %d recoveries, %d lost replies to openings, %d answers to retries, %d merges, "+
		"%d of them into index objects, %d objects collected, %d silent chains sealed in %d runs",
		records, recoveries, reopened, retries, merges, archived, collected, sealed, *simSeeds)
	n := *simSeeds
	few := records < 8*n || recoveries < n || reopened < n/8 || retries < n
	if few || merges < n/2 || archived < n/8 || collected < n/4 || sealed < n/4 {
		t.Error("the simulation does not get far enough to show anything")
	}
}

// A seed that failed can be run again: two runs of one take the same steps.
func TestSimulationReplays(t *testing.T) {
	for seed := range 5 {
		once, _ := simulate(t, seed, flaws{}, true)
		again, _ := simulate(t, seed, flaws{}, true)
		if !slices.Equal(once.trace, again.trace) {
			t.Errorf("seed %d took other steps", seed)
		}
	}
}

// TestProtocolNeeds leaves out one rule of the protocol at a time and expects that the
// judge finds a violation.
func TestProtocolNeeds(t *testing.T) {
	for name, f := range map[string]flaws{
		"journal before confirmation": {confirmBeforeJournal: true},
		"run_id check":                {trustRewound: true},
		"opening once":                {openTwice: true},
		"seals":                       {noSeals: true},
		"newest incarnation check":    {ignoreNewest: true},
		"idempotent commits":          {forgetCommits: true},
		"keys":                        {forgetKeys: true},
		"keys of before a recovery":   {openWithoutKeys: true},
		"one merge after the other":   {mergeBlindly: true},
		"collecting what is old":      {collectYoung: true},
		"collecting by the bucket":    {collectByView: true},
		"looking into index objects":  {collectArchived: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 5000 {
				if _, violation := simulate(t, seed, f, false); violation != nil {
					t.Logf("seed %d: %v", seed, violation)
					return
				}
			}
			t.Error("the judge found nothing wrong")
		})
	}
}

// simulate runs one random simulation, in a time of its own that passes in no time, and returns
// what the judge found wrong with it. Tracing is for a second run of a seed that failed.
func simulate(t *testing.T, seed int, f flaws, tracing bool) (s *simulation, violation any) {
	synctest.Test(t, func(*testing.T) {
		s = newSimulation(rand.New(rand.NewPCG(uint64(seed), 1)), f)
		s.tracing = tracing
		defer func() { violation = recover() }()
		s.run(simSteps)
	})
	return s, violation
}

type simulation struct {
	random  *rand.Rand
	flaws   flaws
	tracing bool
	trace   []string
	bucket  *memory.Store
	late    []latePut // puts that have timed out and may still arrive
	opening []lateOpening

	servers []*simServer
	nodes   []*simNode
	backup  Embedded // an earlier state of the coordinator
	ids     int

	recoveries   int
	lostOpenings int                     // replies to openings that were lost
	served       [simPartitions][]record // by offset
	places       map[record]int64        // offset of each
	keys         simKeys
	merges       simMerges
	txns         *simTxns   // nil: there are no transactions
	atomic       *simAtomic // nil: there are no functions
}

// record is the identity of a record: batches are one byte and one record, so segment
// and position name it.
type record struct {
	partition int32
	segment   segments.ID
	position  int64
}

type latePut struct {
	key  string
	body []byte
}

// lateOpening is an opening whose sender has given up. It may still arrive.
type lateOpening struct {
	server *simServer
	before Generation // that was open when it was sent: with another it is refused
	state  *State
}

func (o lateOpening) arrive() bool {
	if o.server.generation() != o.before || o.server.e.Open(context.Background(), o.state) != nil {
		return false
	}
	o.server.trusted = true
	return true
}

var simTopic = segments.TopicID{1}

func newSimulation(random *rand.Rand, f flaws) *simulation {
	s := &simulation{random: random, flaws: f, bucket: memory.New(), places: map[record]int64{}, keys: newSimKeys(),
		merges: simMerges{contents: map[segments.ID]map[int64]record{}}}
	state := NewState(1, "cluster")
	state.applyTopic(&TopicFact{ID: simTopic, Name: "topic", Version: 1, Partitions: simPartitions})
	opening := snapshotObject{incarnation: 1, state: state}
	first := incarnationObject{n: 1, clusterID: "cluster"}
	s.must(s.bucket.Put(context.Background(), incarnationKey(1), first.encode()))
	s.must(s.bucket.Put(context.Background(), snapshotKey(1, 0), opening.encode()))
	s.servers = []*simServer{s.server(nil)}
	s.backup = s.servers[0].e.Copy()
	for i := range simNodes {
		n := &simNode{sim: s, name: i, server: s.servers[0]}
		n.start()
		s.nodes = append(s.nodes, n)
	}
	return s
}

func (s *simulation) must(err error) {
	if err != nil {
		panic(err)
	}
}

// pick draws a number below n.
func (s *simulation) pick(n int, what string) int {
	drawn := s.random.IntN(n)
	if s.tracing {
		s.trace = append(s.trace, fmt.Sprintf("%s %d", what, drawn))
	}
	return drawn
}

func (s *simulation) run(steps int) {
	defer func() {
		for _, n := range s.nodes {
			n.stop()
		}
	}()
	calm := 300 << s.pick(5, "calm") // some runs are wild, others get far
	long := s.txns != nil || s.atomic != nil
	if long {
		calm *= 6 // what a transaction or a function needs is many steps
	}
	for range steps {
		switch p := s.pick(calm, "step"); {
		default:
			s.nodes[s.pick(simNodes, "node")].step()
		case p < 10:
			n := s.nodes[s.pick(simNodes, "crash")]
			n.stop()
			n.start()
		case p < 25:
			s.backup = s.servers[len(s.servers)-1].e.Copy()
		case p < 33:
			s.failover()
		case p < 50:
			s.nodes[s.pick(simNodes, "reroute")].server = s.servers[len(s.servers)-1]
		case p < 80:
			if len(s.late) == 0 {
				continue
			}
			i := s.pick(len(s.late), "late")
			_ = s.bucket.Put(context.Background(), s.late[i].key, s.late[i].body)
			s.late = slices.Delete(s.late, i, i+1)
		case p < 90:
			if len(s.opening) == 0 {
				continue
			}
			i := s.pick(len(s.opening), "late opening")
			s.opening[i].arrive()
			s.opening = slices.Delete(s.opening, i, i+1)
		case p < 130 && !long, p < 93: // in which segments grow too old to be committed
			s.tick()
		}
	}
	// What the bucket has in the end, by a recovery without faults.
	state, err := Recover(context.Background(), s.bucket, RecoverOptions{Parallel: 1})
	s.must(err)
	s.judge("final recovery", state)
	s.judgeObjects(state)
	for at := range s.served {
		p := state.partitions[simPartition(int32(at))]
		if len(s.served[at]) > 0 && (p == nil || p.end < int64(len(s.served[at]))) {
			panic(fmt.Sprintf("partition %d: %d records were served, the final recovery has fewer: %+v",
				at, len(s.served[at]), p))
		}
	}
	if s.txns != nil {
		s.txns.judgeEnd(s, state)
	}
	if s.atomic != nil {
		s.atomic.judgeState(s, "final recovery", state)
	}
}

// failover puts another coordinator in place of the present one: empty, or in an earlier state.
// Some nodes go on talking to the old one.
func (s *simulation) failover() {
	var from Embedded
	if s.pick(3, "rewound") > 0 {
		from = s.backup.Copy()
	}
	next := s.server(from)
	s.servers = append(s.servers, next)
	for _, n := range s.nodes {
		if s.pick(3, "moves") > 0 {
			n.server = next
		}
	}
}

// server is a coordinator; one that was replaced does not trust its state, because that was not
// opened on this server.
func (s *simulation) server(e Embedded) *simServer {
	trusted := e != nil && s.flaws.trustRewound
	if e == nil {
		e = NewEmbedded(EmbeddedOptions{CommitDeadline: simDeadline, Retain: 64,
			Clock: func() time.Time { return time.Now().Add(-simSkew) }})
	}
	return &simServer{e: e, trusted: trusted}
}

// judge looks at a state that is served, or was recovered.
func (s *simulation) judge(who string, state *State) {
	for at := range s.served {
		p := state.partitions[simPartition(int32(at))]
		if p == nil {
			continue
		}
		next := int64(0)
		for _, span := range p.spans {
			if span.Base != next {
				panic(fmt.Sprintf("P3: %s: partition %d has a hole before %d", who, at, span.Base))
			}
			next = span.Last + 1
			for o := span.Base; o <= span.Last; o++ {
				s.judgeRecord(who, o, s.recordAt(int32(at), &span.Span, o))
			}
		}
		if next != p.end {
			panic(fmt.Sprintf("P3: %s: partition %d ends at %d, its spans at %d", who, at, p.end, next))
		}
		s.judgeRemembered(who, int32(at), p)
	}
}

func (s *simulation) judgeRecord(who string, offset int64, r record) {
	served := &s.served[r.partition]
	if offset < int64(len(*served)) {
		if before := (*served)[offset]; before != r {
			panic(fmt.Sprintf("P2: %s: partition %d offset %d is %v, was served as %v", who, r.partition, offset, r, before))
		}
		return
	}
	if place, twice := s.places[r]; twice {
		panic(fmt.Sprintf("P4: %s: record %v is at %d and at %d", who, r, place, offset))
	}
	*served = append(*served, r)
	s.places[r] = offset
	s.judgeKey(who, offset, r)
	if s.txns != nil {
		s.txns.judge(who, r, offset)
	}
	if s.atomic != nil {
		s.atomic.judge(who, r, offset)
	}
}

func simPartition(i int32) segments.Partition { return segments.Partition{Topic: simTopic, Index: i} }

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
		n.live()
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

// live is what Node.run does, one life after another.
func (n *simNode) live() {
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

// simStore is the bucket as one node sees it: slow and unreliable.
type simStore struct{ n *simNode }

func (s simStore) Put(ctx context.Context, key string, body []byte) error {
	s.n.pausing("put " + key)
	sim := s.n.sim
	if sim.flaws.noSeals && strings.HasPrefix(key, journalPrefix) && journalKind(body[headerLen]) == journalSeal {
		return nil
	}
	switch sim.pick(16, "put") {
	case 13: // the request is lost
		return errLost
	case 14: // it arrives later
		sim.late = append(sim.late, latePut{key, slices.Clone(body)})
		return errLost
	case 15: // the reply is lost
		_ = sim.bucket.Put(ctx, key, body)
		return errLost
	}
	return sim.bucket.Put(ctx, key, body)
}

// Create is of no use here: no node of the simulation writes an object in pieces.
func (s simStore) Create(context.Context, string) (segments.Upload, error) {
	return nil, errLost
}

func (s simStore) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	s.n.pausing("get " + key)
	return s.n.sim.bucket.Get(ctx, key, offset, length)
}

func (s simStore) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	s.n.pausing("list " + prefix)
	return s.n.sim.bucket.List(ctx, prefix, after)
}

func (s simStore) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		s.n.pausing("delete " + key)
		s.n.sim.must(s.n.sim.bucket.Delete(ctx, key))
	}
	return nil
}
