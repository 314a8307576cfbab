package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firn.dev/segments"
)

// Index objects in the simulation: nodes archive what was merged, merge again what
// was archived, and collect.

// archive does what Node.Archive does, under the lease of mergers.
func (n *simNode) archive() error {
	ctx := context.Background()
	at := simPartition(int32(n.sim.pick(simPartitions, "archive")))
	opts := ArchiveOptions{Batch: 1 + n.sim.pick(2, "batch")}
	spans, after := n.view.archivable(at, opts)
	for i := int32(0); i < simPartitions && len(spans) == 0; i++ {
		at = simPartition(i)
		spans, after = n.view.archivable(at, opts)
	}
	if len(spans) == 0 {
		return nil
	}
	c, object := archiving(at, n.sim.newID(), spans, after)
	contents := map[int64]record{}
	for i := range spans {
		for o := spans[i].Base; o <= spans[i].Last; o++ {
			contents[o] = n.sim.recordAt(at.Index, &spans[i], o)
		}
	}
	n.sim.merges.contents[c.Segment] = contents
	for range 3 {
		err := (simStore{n}).Put(ctx, IndexKey(c.Segment), object)
		if err == nil || errors.Is(err, segments.ErrExists) {
			return n.proposeMerge(at, c, &n.sim.merges.archived)
		}
	}
	return nil
}

// resolved returns the spans that some of them stand for; nil if an index object is gone.
func (n *simNode) resolved(at segments.Partition, some []Span) (spans []Span) {
	for s, err := range Expand(context.Background(), simStore{n}, at, some, 0) {
		if errors.Is(err, segments.ErrNotFound) {
			return nil
		}
		n.sim.must(err)
		spans = append(spans, s)
	}
	return spans
}

// judgeObjects looks whether all that a state needs is there, and whether index objects
// list what they should.
func (s *simulation) judgeObjects(state *State) {
	needed := state.references()
	gone, err := needed.read(context.Background(), loader{s.bucket, 1}, &idSet{})
	if err != nil || len(gone) > 0 {
		panic(fmt.Sprintf("P7: index objects that are needed are gone: %v, %v", gone, err))
	}
	for _, id := range needed.segments.ids {
		if !s.has(id.Key()) {
			panic(fmt.Sprintf("P7: segment %s is needed and gone", id))
		}
	}
	for i := range needed.archived {
		a := &needed.archived[i]
		spans, err := ReadIndex(context.Background(), s.bucket, a.at, &a.span)
		s.must(err)
		for i := range spans {
			for o := spans[i].Base; o <= spans[i].Last; o++ {
				if r, listed := s.recordAt(a.at.Index, &spans[i], o), s.recordAt(a.at.Index, &a.span, o); r != listed {
					panic(fmt.Sprintf("P2: partition %d offset %d is %v, and %v was archived", a.at.Index, o, r, listed))
				}
			}
		}
	}
}

// unlisted are the segments that the spans of a state do not name themselves: the garbage of a
// collector that does not look into index objects.
func (s *simulation) unlisted(state *State) (garbage Garbage) {
	needed := state.references()
	for object := range s.bucket.List(context.Background(), segments.Prefix, "") {
		id, ok := parseSegmentKey(object.Key)
		if !ok || needed.segments.has(id) {
			continue
		}
		if now := time.Now(); tooOld(id, object.Modified, now, now, MergeDeadline(simDeadline)+simGrace) {
			garbage.Objects = append(garbage.Objects, object)
		}
	}
	return garbage
}
