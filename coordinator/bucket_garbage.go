package coordinator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"firn.dev/retry"
	"firn.dev/segments"
)

// Garbage is what a collector may delete once it has been garbage for a grace time.
type Garbage struct {
	Objects []segments.Object // segments and index objects that nothing refers to and nothing ever will, ordered by key
	Bytes   int64             // of them
	Listed  int               // segments and index objects in the bucket
	Now     time.Time         // that the store's clock has passed; zero if the bucket holds none

	Incarnation Incarnation // by whose state this is garbage: see Delete
}

// Unreferenced finds the segments and the index objects that no committed span needs, and no
// commit or merge in flight: left over from merges, from nodes that died between a put and its
// commit, from records and topics that were deleted. It deletes nothing. A caller may delete an
// object that it returns only if an earlier call, which ended at least a grace time ago, returned
// it too: nodes that are a little behind, and readers of the bucket, still read by an index in
// which it was needed.
//
// The order of its steps makes it safe:
//
//  1. List segments and index objects. This call has nothing to do with objects that come later.
//  2. Ask for the newest entry of the commit stream. A segment that is too old to be committed or
//     merged was decided before this, or never will be. Too old means older than MergeDeadline and
//     grace, measured in two ways: by the time in its id, by which the coordinator refuses it, and
//     by the time at which the store created it, so that a node whose clock was behind when it drew
//     the id makes nobody delete what it has just put. The creation is measured against what the
//     store's clock has passed (passedClock), the id against that and the coordinator's clock,
//     neither against this node's clock, which may be ahead. The grace has to be longer than the
//     clocks of the store and the coordinator ever differ.
//  3. Wait until everything up to that entry is confirmed, and so in the journal: a decision that
//     was in flight is in the bucket now.
//  4. Load the state from the bucket, as a recovery would, and not from the view, which decisions
//     of other nodes reach some time later. It is the state of this life's incarnation, which may
//     be history by now without this node's knowledge: then segments of the incarnations after it
//     look like garbage here.
//  5. What no span of that state refers to is garbage, and stays garbage if no later incarnation
//     has begun by now. Delete looks whether one has. Spans that stand for others refer to their
//     index object, and to the segments in it that do not lie wholly below the log start. An index
//     object that is missing ends the call: nobody knows what it lists.
//
// It needs memory for one state, 16 bytes for each segment that is referred to (32 while they
// are gathered), and 72 for each that is garbage. It reads every index object of the view,
// eight at a time.
func (n *Node) Unreferenced(ctx context.Context, grace time.Duration) (Garbage, error) {
	life, err := n.Life(ctx)
	if err != nil {
		return Garbage{}, err
	}
	l := loader{n.opts.Store, 8}
	c := collector{loader: l, age: MergeDeadline(n.opts.CommitDeadline) + grace}
	if err := c.list(ctx, n.view); err != nil {
		return Garbage{}, err
	}
	c.now = n.storeClock.passed(c.now)
	if c.decided, err = n.opts.Coordinator.Now(ctx, life.incarnation); err != nil {
		return Garbage{}, life.check(err)
	}
	if err := life.settleAll(ctx); err != nil {
		return Garbage{}, err
	}
	found, err := l.load(ctx, life.incarnation)
	if err != nil {
		return Garbage{}, err
	}
	g, err := c.unreferenced(ctx, found.state)
	g.Incarnation = life.incarnation
	return g, err
}

// settlePause is how long settleAll waits before it asks again. Facts that nobody journals are
// stalled after a second, and then journaled by another node.
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
		if err := retry.Pause(ctx, settlePause); err != nil {
			return fmt.Errorf("entry %d of the commit stream is not in the journal yet: %w", settled+1, err)
		}
	}
}

// collector finds segments that nothing refers to.
type collector struct {
	loader
	age    time.Duration
	needed *references // as the view has it: what is needed there is not looked at, which spares memory and does no harm
	known  idSet       // index objects whose segments are in needed

	listed  int
	now     time.Time // by the store's clock, about
	decided time.Time // by the coordinator's, afterwards
	loose   []loose
}

// loose is a segment, or an index object, that the view does not need.
type loose struct {
	id       segments.ID
	index    bool
	size     int64
	modified time.Time
}

// list is step 1. Segments of an index object that lie below the log start in the view do so
// in every later state.
func (c *collector) list(ctx context.Context, v *View) error {
	c.needed = v.references()
	gone, err := c.needed.read(ctx, c.loader, &c.known)
	if err != nil {
		return err
	}
	for _, a := range c.needed.archived {
		if !slices.ContainsFunc(gone, func(g archived) bool { return g.span.Segment == a.span.Segment }) {
			c.known.add(a.span.Segment)
		}
	}
	c.known.sort()
	for _, prefix := range []string{indexPrefix, segments.Prefix} {
		for object, err := range c.store.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			c.see(object)
		}
	}
	return nil
}

func (c *collector) see(object segments.Object) {
	if object.Modified.After(c.now) {
		c.now = object.Modified
	}
	id, index, ok := parseReferredKey(object.Key)
	if !ok {
		return
	}
	c.listed++
	if !c.needed.has(id, index) {
		c.loose = append(c.loose, loose{id, index, object.Size, object.Modified})
	}
}

// unreferenced is step 5.
func (c *collector) unreferenced(ctx context.Context, state *State) (Garbage, error) {
	needed := state.references()
	gone, err := needed.read(ctx, c.loader, &c.known)
	if err == nil && len(gone) > 0 {
		err = fmt.Errorf("index object %s of %s is missing, and without it no node can tell what is garbage; "+
			"nothing is deleted until it is back", IndexKey(gone[0].span.Segment), gone[0].at)
	}
	if err != nil {
		return Garbage{}, err
	}
	g := Garbage{Listed: c.listed, Now: c.now}
	for _, o := range c.loose {
		if !needed.has(o.id, o.index) && tooOld(o.id, o.modified, c.decided, c.now, c.age) {
			g.Objects = append(g.Objects, segments.Object{Key: referredKey(o.id, o.index), Size: o.size, Modified: o.modified})
			g.Bytes += o.size
		}
	}
	return g, nil
}

// tooOld says whether a segment is older than age: by its creation, for the store's clock, and by
// the time in its id, for the later of the coordinator's and the store's: a store whose clock is
// behind does not keep the segment for that much longer.
func tooOld(id segments.ID, created, coordinators, stores time.Time, age time.Duration) bool {
	return stores.Sub(created) > age && max(coordinators.Sub(id.Time()), stores.Sub(id.Time())) > age
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
