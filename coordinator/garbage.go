package coordinator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"firn/segments"
)

// Garbage is what a collector may delete once it has been garbage for a grace time.
type Garbage struct {
	Objects []segments.Object // segments that nothing refers to and nothing ever will, in order of their keys
	Bytes   int64             // of them
	Listed  int               // segments in the bucket
	Now     time.Time         // by the store's clock, about: when the newest of them was created
}

// Unreferenced finds the segments that no committed span needs, and no commit or merge still in flight: left over from merges, from nodes that died between a put
// and its commit, from records and topics that were deleted. It deletes nothing, and what it returns is to be deleted only if it was returned before, by a call that
// ended at least a grace time ago: nodes that are a little behind, and readers of the bucket, still read by an index in which it was needed.
//
// The order of its steps is what makes it safe:
//
//  1. List the segments. Objects that come later are none of this call's business.
//  2. Ask for the newest entry of the commit stream. A segment that is too old to be committed or merged was decided before this, or will never be. Too old is
//     one that is older than MergeDeadline and grace in both ways of telling: by the time in its id, which the coordinator refuses by, and by when the
//     store created it, so that a node whose clock was behind when it drew the id makes nobody delete what it has just put. Both are measured against the
//     newest time that the store has stamped, not against this node's clock, which may be ahead. The grace has to be longer than the store's clock and the coordinator's
//     ever differ.
//  3. Wait until everything up to there is confirmed, and so in the journal: by now a decision in flight is in the bucket.
//  4. Load the state from the bucket, as a recovery would, and not from the view, which somebody else's decisions reach when they reach it. Of this life's incarnation: should
//     that be history by now, then what is in its journal up to here stays in every later state, which give no span to a segment that was too old in this one. So what
//     a collector finds whose life is over without its knowing is garbage all the same.
//  5. What no span of that state refers to is garbage, and stays it.
//
// It needs memory for each segment that is referred to or garbage, tens of bytes, and for one state.
func (n *Node) Unreferenced(ctx context.Context, grace time.Duration) (Garbage, error) {
	life, err := n.Life(ctx)
	if err != nil {
		return Garbage{}, err
	}
	c := collector{store: n.opts.Store, age: MergeDeadline(n.opts.CommitDeadline) + grace, needed: n.view.references()}
	if err := c.list(ctx); err != nil {
		return Garbage{}, err
	}
	if err := life.settleAll(ctx); err != nil {
		return Garbage{}, err
	}
	l := loader{n.opts.Store, 8}
	found, err := l.load(ctx, life.incarnation)
	if err != nil {
		return Garbage{}, err
	}
	return c.unreferenced(found.state), nil
}

// settlePause is how long settleAll waits before it asks again. Facts that nobody journals are stalled after a second, and helped along.
const settlePause = 100 * time.Millisecond

// settleAll returns once everything that was decided before the call is in the journal.
func (l *Life) settleAll(ctx context.Context) error {
	c := l.node.opts.Coordinator
	latest, err := c.Latest(ctx, l.incarnation)
	if err != nil {
		return l.check(err)
	}
	for {
		settled, err := c.Settled(ctx, l.incarnation)
		if err != nil {
			return l.check(err)
		}
		if settled >= latest {
			return nil
		}
		if err := pause(ctx, settlePause); err != nil {
			return fmt.Errorf("entry %d of the commit stream is not in the journal yet: %w", settled+1, err)
		}
	}
}

// collector finds segments that nothing refers to.
type collector struct {
	store  segments.Store
	age    time.Duration
	needed map[segments.ID]struct{} // as the view has it: what is needed there is not looked at, which spares memory and does no harm

	listed int
	now    time.Time // by the store's clock, about
	loose  []loose
}

// loose is a segment that the view does not need.
type loose struct {
	id       segments.ID
	size     int64
	modified time.Time
}

// list is step 1.
func (c *collector) list(ctx context.Context) error {
	for object, err := range c.store.List(ctx, segments.Prefix, "") {
		if err != nil {
			return err
		}
		if object.Modified.After(c.now) {
			c.now = object.Modified
		}
		id, ok := parseSegmentKey(object.Key)
		if !ok {
			continue
		}
		c.listed++
		if _, needed := c.needed[id]; !needed {
			c.loose = append(c.loose, loose{id, object.Size, object.Modified})
		}
	}
	return nil
}

// unreferenced is step 5.
func (c *collector) unreferenced(state *State) Garbage {
	needed := state.references()
	g := Garbage{Listed: c.listed, Now: c.now}
	for _, o := range c.loose {
		if _, referred := needed[o.id]; !referred && tooOld(o.id, o.modified, c.now, c.age) {
			g.Objects = append(g.Objects, segments.Object{Key: o.id.Key(), Size: o.size, Modified: o.modified})
			g.Bytes += o.size
		}
	}
	return g
}

// tooOld says whether a segment is older than that by the time in its id and by its store's.
func tooOld(id segments.ID, modified, now time.Time, age time.Duration) bool {
	return now.Sub(modified) > age && now.Sub(id.Time()) > age
}

// parseSegmentKey reads what segments.ID.Key wrote.
func parseSegmentKey(key string) (segments.ID, bool) {
	text, found := strings.CutPrefix(key, segments.Prefix)
	if !found {
		return segments.ID{}, false
	}
	id, err := segments.ParseID(text)
	return id, err == nil && id.Key() == key
}

// references are the segments that spans refer to, also those that wait: for offsets before them, or for an earlier merge.
func (s *State) references() map[segments.ID]struct{} {
	found := map[segments.ID]struct{}{}
	for _, p := range s.partitions {
		for span := range p.allSpans() {
			found[span.Segment] = struct{}{}
		}
	}
	return found
}

// references are the segments that readers of the view may need. Spans are looked at without the lock: nobody changes them.
func (v *View) references() map[segments.ID]struct{} {
	v.mu.RLock()
	partitions := make([][]placed, 0, len(v.state.partitions))
	for _, p := range v.state.partitions {
		partitions = append(partitions, p.spans)
	}
	v.mu.RUnlock()
	found := map[segments.ID]struct{}{}
	for _, spans := range partitions {
		for i := range spans {
			found[spans[i].Segment] = struct{}{}
		}
	}
	return found
}
