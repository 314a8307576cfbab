package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firn.dev/segments"
)

// Merging and collecting in the simulation. Time passes in it: commits come too late, chains are
// silent for so long that they are sealed, and garbage grows old enough to go.

const (
	simDeadline  = 10 * time.Minute // of commits; of merges two hours
	simGrace     = 30 * time.Minute
	simSkew      = 10 * time.Minute // by which the coordinator's clock is behind all others
	simRetention = 4 * time.Hour    // of seals
	simHours     = 20 * time.Hour   // that pass at most
)

// simMerges is what the judge knows of merged segments: the record at each offset.
type simMerges struct {
	contents  map[segments.ID]map[int64]record
	decided   int
	archived  int // of them, into index objects
	collected int
	sealed    int // chains, without a recovery
	passed    time.Duration
}

// tick lets time pass.
func (s *simulation) tick() {
	if d := time.Duration(s.pick(40, "minutes")) * time.Minute; s.merges.passed+d < simHours {
		s.merges.passed += d
		time.Sleep(d)
	}
}

// recordAt is the record that a span has at an offset.
func (s *simulation) recordAt(at int32, span *Span, offset int64) record {
	if span.Version == 0 {
		return record{at, span.Segment, span.Position + offset - span.Base}
	}
	r, there := s.merges.contents[span.Segment][offset]
	if !there {
		panic(fmt.Sprintf("P2: merged segment %s has no record at offset %d of partition %d", span.Segment, offset, at))
	}
	return r
}

// has says whether an object is in the bucket.
func (s *simulation) has(key string) bool {
	_, err := s.bucket.Get(context.Background(), key, 0, -1)
	return err == nil
}

func (s *simulation) newID() (id segments.ID) {
	s.ids++
	ms := time.Now().UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[14], id[15] = byte(s.ids>>8), byte(s.ids)
	return id
}

// putSegment puts a segment, or gives up: then it may be there or not.
func (n *simNode) putSegment(id segments.ID) bool {
	for range 3 {
		err := (simStore{n}).Put(context.Background(), id.Key(), []byte("segment"))
		if err == nil || errors.Is(err, segments.ErrExists) {
			return true
		}
	}
	return false
}

// merge does what a merger does: plans over what the view shows, writes the merged
// segment, and proposes.
func (n *simNode) merge() error {
	at := simPartition(int32(n.sim.pick(simPartitions, "merge")))
	c := n.plan(at)
	if c == nil || !n.putSegment(c.Segment) {
		return nil
	}
	return n.proposeMerge(at, c, new(int))
}

// proposeMerge proposes a merge whose object is in the bucket, and counts it if it is decided.
func (n *simNode) proposeMerge(at segments.Partition, c *ProposeMerge, count *int) error {
	ctx := context.Background()
	var lease Lease
	err := n.call("lease", func(e Embedded) (err error) {
		lease, err = e.Acquire(ctx, n.chain.generation.Incarnation, "merges", n.chain.life, 10*time.Minute)
		return err
	})
	if err != nil {
		return n.ifOver(err)
	}
	c.Lease, c.Epoch = lease.Name, lease.Epoch
	if n.view.mergeable(c) != nil {
		return nil // it was merged meanwhile
	}
	change := Change{ID: n.sim.newID(), Merge: c}
	for range 3 {
		var entry Entry
		err = n.call("propose merge", func(e Embedded) (err error) {
			entry, err = e.Propose(ctx, n.chain.generation.Incarnation, change)
			for planned := c.After; n.sim.flaws.mergeBlindly && errors.Is(err, ErrMergedMeanwhile) && c.After < planned+64; {
				c.After++
				entry, err = e.Propose(ctx, n.chain.generation.Incarnation, change)
			}
			return err
		})
		if err == nil {
			if !n.sim.has(referredKey(c.Segment, c.Merge.Spans[0].Listed > 0)) {
				panic(fmt.Sprintf("P7: %s is gone, and its merge is decided", c.Segment))
			}
			n.sim.merges.decided++
			*count++
			n.decided = append(n.decided, entry)
			return nil
		}
		if !errors.Is(err, errLost) {
			break
		}
	}
	return n.ifOver(err)
}

// ifOver returns an error that ends the life.
func (n *simNode) ifOver(err error) error {
	if lifeOver(err) {
		return err
	}
	return nil
}

// plan draws neighbours that may be merged, and reads them. It returns nil if there are none.
func (n *simNode) plan(at segments.Partition) *ProposeMerge {
	spans, after := n.view.Plan(at, int64(n.sim.pick(10, "from")), 1+n.sim.pick(5, "spans"))
	young := slices.IndexFunc(spans, func(s Span) bool {
		return s.Version == 0 && time.Since(s.Segment.Time()) <= simDeadline+simSkew+time.Minute
	})
	if young >= 0 {
		spans = spans[:young]
	}
	if spans = n.resolved(at, spans); len(spans) == 0 {
		return nil
	}
	c := &ProposeMerge{After: after, Segment: n.sim.newID()}
	c.Merge = Merge{Partition: at, Base: spans[0].Base, Last: spans[len(spans)-1].Last}
	merged := Span{Segment: c.Segment, Base: c.Merge.Base, Last: c.Merge.Last}
	contents := map[int64]record{}
	for i := range spans {
		s := &spans[i]
		n.pausing("read " + s.Segment.String())
		if !n.sim.has(s.Segment.Key()) {
			return nil // merged away
		}
		for o := s.Base; o <= s.Last; o++ {
			contents[o] = n.sim.recordAt(at.Index, s, o)
		}
		merged.Length += s.Length
	}
	n.sim.merges.contents[c.Segment] = contents
	c.Merge.Spans = []Span{merged}
	return c
}

// collect is what a collector does with Node.Unreferenced.
func (n *simNode) collect() error {
	ctx := context.Background()
	c := collector{loader: loader{simStore{n}, 1}, age: MergeDeadline(simDeadline) + simGrace}
	if n.sim.flaws.collectYoung {
		c.age = 0
	}
	if c.list(ctx, n.view) != nil {
		return nil
	}
	c.decided = time.Now()
	state := n.view.state
	if !n.sim.flaws.collectByView {
		var err error
		if state, err = n.settledState(); err != nil || state == nil {
			return err
		}
	}
	garbage, err := c.unreferenced(ctx, state)
	if err != nil {
		return nil
	}
	if n.sim.flaws.collectArchived {
		garbage = n.sim.unlisted(state)
	}
	var keys []string
	seen := map[string]time.Time{}
	for _, o := range garbage.Objects {
		first, known := n.garbage[o.Key]
		if !known {
			first = time.Now()
		}
		seen[o.Key] = first
		atOnce := n.sim.flaws.collectYoung || n.sim.flaws.collectByView
		if atOnce || known && time.Since(first) >= simGrace {
			keys = append(keys, o.Key)
		}
	}
	n.garbage = seen
	n.sim.merges.collected += len(keys)
	if err := Delete(ctx, simStore{n}, n.chain.generation.Incarnation, keys...); !errors.Is(err, ErrSuperseded) {
		return err
	}
	return nil
}

// settledState is steps 2 to 4; nil if it is to be tried some other time.
func (n *simNode) settledState() (*State, error) {
	ctx, in := context.Background(), n.chain.generation.Incarnation
	var latest, settled uint64
	if err := n.call("latest", func(e Embedded) (err error) { latest, err = e.Latest(ctx, in); return err }); err != nil {
		return nil, n.ifOver(err)
	}
	err := n.call("settled", func(e Embedded) (err error) { settled, err = e.Settled(ctx, in); return err })
	if err != nil || settled < latest {
		return nil, n.ifOver(err)
	}
	l := loader{simStore{n}, 1}
	found, err := l.load(ctx, in)
	if err != nil {
		return nil, nil
	}
	return found.state, nil
}
