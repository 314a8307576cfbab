package coordinator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
)

// Functions of the simulation. A group reads inputs, numbered from 0. The node that holds its lease
// hands the next input to a function, which answers it with an atomic request: records for some
// partitions, and the next input as the group's offset. Its segment is committed by that node,
// again and again and in later lives; a function may send the request once more, with the same key,
// in another segment. The judge wants that of each request all is there or nothing, in every state
// that a recovery makes and in the end; that of each input there is one request at most; and that
// offsets and records are there together.

var atomicSeeds = flag.Int("firn.atomicseeds", 10, "how many random simulations of functions to run")

func TestAtomicProtocol(t *testing.T) {
	var inputs, moved, refused, duplicates, recoveries int
	for seed := range *atomicSeeds {
		s, violation := simulateAtomic(t, seed, atomicFlaws{}, false)
		if violation != nil {
			s, _ = simulateAtomic(t, seed, atomicFlaws{}, true)
			t.Fatalf("seed %d: %v\n%s", seed, violation, strings.Join(s.trace[max(0, len(s.trace)-300):], "\n"))
		}
		inputs, moved, recoveries = inputs+len(s.atomic.done), moved+s.atomic.moved, recoveries+s.recoveries
		refused, duplicates = refused+s.atomic.refused, duplicates+s.atomic.duplicates
	}
	t.Logf("%d inputs were worked on, the group moved %d times, %d requests were refused, %d were duplicates, "+
		"%d recoveries in %d runs", inputs, moved, refused, duplicates, recoveries, *atomicSeeds)
	least := *atomicSeeds
	if inputs < 2*least || moved < 2*least || refused < 1 || duplicates < least/4 || recoveries < least {
		t.Error("the simulation does not get far enough to show anything")
	}
}

// TestAtomicProtocolNeeds leaves out what the owner of a group does, one rule at a time, and
// expects that the judge finds a violation. It begins shortly before a seed that did when this was
// written. Rules of the coordinator are in the table of test/mutants.
func TestAtomicProtocolNeeds(t *testing.T) {
	for name, flaw := range map[string]struct {
		atomicFlaws
		from int
	}{
		"R11: the commit compares the lease's epoch":      {atomicFlaws{anyLease: true}, 65},
		"R12: a new owner waits for what is decided":      {atomicFlaws{handsOver: true}, 40},
		"R12: an owner waits for the requests of its own": {atomicFlaws{forgets: true}, 298},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := flaw.from; seed < 5000; seed++ {
				if _, violation := simulateAtomic(t, seed, flaw.atomicFlaws, false); violation != nil {
					t.Logf("seed %d: %v", seed, violation)
					return
				}
			}
			t.Error("the judge found nothing wrong")
		})
	}
}

// atomicFlaws break the rules of owners.
type atomicFlaws struct{ anyLease, handsOver, forgets bool }

func simulateAtomic(t *testing.T, seed int, f atomicFlaws, tracing bool) (s *simulation, violation any) {
	synctest.Test(t, func(*testing.T) {
		s = newSimulation(rand.New(rand.NewPCG(uint64(seed), 3)), flaws{})
		s.tracing = tracing
		s.atomic = &simAtomic{flaws: f, of: map[record]*simFunction{}, done: map[int]*simFunction{}}
		defer func() { violation = recover() }()
		s.run(3 * simSteps)
	})
	return s, violation
}

// simAtomic is what the judge knows.
type simAtomic struct {
	flaws     atomicFlaws
	functions []*simFunction
	of        map[record]*simFunction
	done      map[int]*simFunction // which request is there, by input

	moved, refused, duplicates int
}

// simFunction is a request that follows from an input.
type simFunction struct {
	name       int
	input      int
	key        RequestKey
	partitions []int32
	offsets    CommitOffsets
}

// simOwner is what a node knows as the owner of the group, in one life.
type simOwner struct {
	lease   Lease
	barrier uint64
	version uint64
	busy    []*simAtomicCommit // that may still be decided, or are not complete
}

// simAtomicCommit is a segment of a request on its way through a node.
type simAtomicCommit struct {
	req     CommitRequest
	of      *simFunction
	owner   *simOwner // nil: of a former life
	decided bool
}

const (
	simGroup, simLease = "functions", "group/0"
	simTTL             = 30 * time.Minute
)

// epoch is that of the group's lease, whoever holds it.
func (s *simServer) epoch(in Incarnation) uint64 {
	lease, _ := s.e.Acquire(context.Background(), in, simLease, "nobody", time.Nanosecond)
	return lease.Epoch
}

// simInput is the partition whose records the group reads.
var simInput = segments.Partition{Topic: segments.TopicID{2}}

// serveAtomic does one of the things that a node does for functions.
func (n *simNode) serveAtomic() error {
	switch n.sim.pick(6, "function") {
	case 0, 1:
		return n.commitAtomic()
	case 2:
		if n.owner != nil && n.sim.pick(12, "give up") == 0 {
			return n.giveUpLease()
		}
	}
	if n.owner == nil {
		return n.takeLease()
	}
	return n.handOut()
}

// takeLease makes the node the owner. It waits for requests of its own that were on their way when
// it was the owner before, under the same epoch perhaps.
func (n *simNode) takeLease() error {
	if n.underWay() && !n.sim.atomic.flaws.forgets {
		return nil
	}
	var lease Lease
	err := n.call("acquire", func(e Embedded) (err error) {
		lease, err = e.Acquire(context.Background(), n.chain.generation.Incarnation, simLease, n.chain.life, simTTL)
		return err
	})
	if err != nil {
		return onlyLife(err)
	}
	var entry Entry
	err = n.call("barrier", func(e Embedded) (err error) {
		entry, err = e.Propose(context.Background(), n.chain.generation.Incarnation,
			Change{Offsets: &CommitOffsets{Lease: simLease, Epoch: lease.Epoch}})
		return err
	})
	if err != nil {
		return onlyLife(err)
	}
	n.decided = append(n.decided, entry)
	n.owner = &simOwner{lease: lease, barrier: entry.Seq, version: entry.Fact.Offsets.Version}
	n.sim.atomic.moved++
	return nil
}

// underWay says whether a request of this life may still be decided.
func (n *simNode) underWay() bool {
	return slices.ContainsFunc(n.atomics, func(c *simAtomicCommit) bool { return c.owner != nil })
}

func (n *simNode) giveUpLease() error {
	owner := n.owner
	n.owner = nil
	if n.sim.pick(2, "release") == 0 {
		return nil // it forgets, and takes the lease again with the same epoch
	}
	return onlyLife(n.call("release", func(e Embedded) error {
		return e.Release(context.Background(), n.chain.generation.Incarnation, simLease, n.chain.life, owner.lease.Epoch)
	}))
}

// handOut hands the next input to a function, or sends a request of one again.
func (n *simNode) handOut() error {
	o, x := n.owner, n.sim.atomic
	if n.view.seq < o.barrier || n.view.hasAtomic(func(string) bool { return true }) && !x.flaws.handsOver {
		return nil
	}
	if len(o.busy) > 0 {
		if n.sim.pick(4, "again") > 0 {
			return nil
		}
		return n.send(o.busy[0].of) // the same key, in another segment
	}
	input := 0
	if g := n.view.state.groups[simGroup]; g != nil {
		input = int(g.offsets[simInput].offset)
	}
	// The owner has read: nobody else may have been the owner since.
	err := n.call("renew", func(e Embedded) error {
		lease, err := e.Acquire(context.Background(), n.chain.generation.Incarnation, simLease, n.chain.life, simTTL)
		if err == nil && lease.Epoch != o.lease.Epoch {
			err = ErrLeaseLost
		}
		return err
	})
	if err == nil {
		var newest Incarnation
		newest, err = newestIncarnation(context.Background(), simStore{n}, n.chain.generation.Incarnation)
		if err == nil && newest != n.chain.generation.Incarnation {
			err = ErrIncarnation
		}
	}
	if errors.Is(err, ErrLeaseLost) || errors.Is(err, ErrLeaseHeld) {
		n.owner = nil
	}
	if err != nil {
		return onlyLife(err)
	}
	o.version++
	f := &simFunction{name: len(x.functions), input: input, key: RequestKey{
		ID: simRequest(1<<24 + len(x.functions)).id(), Partitions: simPartitions},
		offsets: CommitOffsets{Lease: simLease, Epoch: o.lease.Epoch, Version: o.version,
			Group: simGroup, Offsets: []GroupOffset{{Partition: simInput, Offset: int64(input) + 1, LeaderEpoch: -1}}}}
	for p := range int32(simPartitions) {
		if n.sim.pick(4, "partition") > 0 {
			f.partitions = append(f.partitions, p)
		}
	}
	if len(f.partitions) == 0 {
		f.partitions = []int32{0}
	}
	x.functions = append(x.functions, f)
	return n.send(f)
}

// send puts the segment of a request.
func (n *simNode) send(f *simFunction) error {
	id, owner := n.sim.newID(), n.owner
	req := CommitRequest{Segment: id, Atomic: []Atomic{{Batches: len(f.partitions), Offsets: &f.offsets}}}
	for _, p := range f.partitions {
		r := record{p, id, int64(100 * p)}
		n.sim.atomic.of[r] = f
		n.sim.keys.of[r] = requestOf(f.key.ID)
		key := f.key
		req.Runs = append(req.Runs, CommitRun{Partition: simPartition(p), Position: r.position,
			Batches: []CommitBatch{{Length: 1, Records: 1, ProducerID: -1, Key: &key, Atomic: 1}}})
	}
	c := &simAtomicCommit{req: req, of: f, owner: owner}
	owner.busy = append(owner.busy, c)
	n.atomics = append(n.atomics, c)
	if !n.putSegment(id) {
		n.overAtomic(c)
	}
	return nil
}

// overAtomic says that nothing will become of a commit any more, or all has.
func (n *simNode) overAtomic(c *simAtomicCommit) {
	same := func(other *simAtomicCommit) bool { return other == c }
	n.atomics = slices.DeleteFunc(n.atomics, same)
	if c.owner != nil {
		c.owner.busy = slices.DeleteFunc(c.owner.busy, same)
	}
}

// commitAtomic commits one of the segments, perhaps again and in another life. One that is refused
// is over, and one that is a duplicate or accepted when the view serves it.
func (n *simNode) commitAtomic() error {
	if len(n.atomics) == 0 {
		return nil
	}
	c := n.atomics[n.sim.pick(len(n.atomics), "commit")]
	req := c.req
	if n.sim.atomic.flaws.anyLease {
		req.Atomic = slices.Clone(req.Atomic)
		o := *req.Atomic[0].Offsets
		o.Epoch = n.on.epoch(n.chain.generation.Incarnation)
		req.Atomic[0].Offsets = &o
	}
	var answer CommitAnswer
	err := n.call("commit", func(e Embedded) (err error) {
		answer, err = e.Commit(context.Background(), n.chain.generation.Incarnation, req)
		return err
	})
	switch {
	case lifeOver(err):
		return err
	case errors.Is(err, ErrTooOld):
		n.overAtomic(c)
		n.owner = nil // an earlier try may have been decided: a barrier tells
		return nil
	case err != nil:
		return nil
	}
	if answer.Entry.Seq != 0 {
		n.decided = append(n.decided, answer.Entry)
	}
	refused, accepted, duplicates := 0, 0, 0
	for _, run := range answer.Runs {
		switch err := run[0].Err; {
		case err == nil:
			accepted++
		case errors.Is(err, ErrDuplicate):
			duplicates++
		default:
			refused++
		}
	}
	switch {
	case accepted > 0 && refused+duplicates > 0, refused > 0 && duplicates > 0:
		panic(fmt.Sprintf("R10: of request %d %d batches are accepted, %d refused, %d duplicates", c.of.name, accepted,
			refused, duplicates))
	case refused > 0:
		n.sim.atomic.refused++
		n.overAtomic(c)
	case duplicates > 0 && !c.decided:
		n.sim.atomic.duplicates++
	}
	c.decided = c.decided || refused == 0
	return nil
}

// acknowledgeAtomic answers requests that this node's view serves.
func (n *simNode) acknowledgeAtomic() {
	for _, c := range slices.Clone(n.atomics) {
		whole := c.decided
		for _, p := range c.of.partitions {
			state := n.view.state.partitions[simPartition(p)]
			offset, served := n.sim.keys.offsets[simPartitionRequest{p, requestOf(c.of.key.ID)}]
			whole = whole && served && state != nil && state.end > offset
		}
		if whole {
			n.overAtomic(c)
		}
	}
}

// judge looks at a record that is served for the first time.
func (x *simAtomic) judge(who string, r record, offset int64) {
	f := x.of[r]
	if f == nil {
		return
	}
	if other := x.done[f.input]; other != nil && other != f {
		panic(fmt.Sprintf("R11: %s: partition %d offset %d is of request %d, and request %d was there for input %d", who,
			r.partition, offset, f.name, other.name, f.input))
	}
	x.done[f.input] = f
}

// judgeState looks at a state in which everything is complete, as a recovery makes it.
func (x *simAtomic) judgeState(s *simulation, who string, state *State) {
	next := 0
	if g := state.groups[simGroup]; g != nil {
		next = int(g.offsets[simInput].offset)
	}
	for _, f := range x.functions {
		in := 0
		for _, p := range f.partitions {
			if q := state.partitions[simPartition(p)]; q != nil {
				if _, known := q.keys[f.key.ID]; known {
					in++
				}
			}
		}
		switch {
		case in > 0 && in < len(f.partitions):
			panic(fmt.Sprintf("R10: %s: request %d is in %d of its %d partitions", who, f.name, in, len(f.partitions)))
		case in > 0 && f.input >= next:
			panic(fmt.Sprintf("R10: %s: request %d is there, its offset %d is not: %d", who, f.name, f.input+1, next))
		}
	}
	for input := range next {
		if x.done[input] == nil {
			panic(fmt.Sprintf("R10: %s: offset %d counts, and nothing follows from input %d", who, next, input))
		}
	}
}
