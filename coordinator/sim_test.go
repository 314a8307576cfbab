package coordinator

import (
	"context"
	"flag"
	"fmt"
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
