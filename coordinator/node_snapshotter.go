package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"firn.dev/segments"
)

// snapshotLease is the lease whose holder writes snapshots.
const snapshotLease = "snapshots"

// snapshotTTL is for how long it is taken.
const snapshotTTL = 2 * time.Minute

// snapshotter writes snapshots of the bucket's journal and deletes what they cover. It reads the
// bucket and not the view: it writes what a recovery would find, so that nothing is deleted that
// the snapshot does not have.
type snapshotter struct {
	node  *Node
	count atomic.Int64 // journal objects since the last snapshot, about
	due   atomic.Int64 // at how many the next is written
	wake  chan struct{}
	held  atomic.Pointer[Hold] // the lease that was taken last, or nil

	carriers carriers
}

// snapshotEvery is how often a snapshot is due if anything was journaled since the last: what it
// covers is deleted, and with it the segments in the journal that nobody needs any more.
const snapshotEvery = 30 * time.Minute

// carriers are journal objects that carry segments, by key, and since when none of the states that
// this process has seen needs them (zero: one does). Readers go on by an older state for a while.
type carriers map[string]time.Time

// see takes in what a state needs, and forgets what nobody has needed for a while.
func (c carriers) see(needed *idSet, now time.Time, grace time.Duration) {
	for key, since := range c {
		if since.IsZero() {
			c[key] = now
		} else if now.Sub(since) > grace {
			delete(c, key)
		}
	}
	for _, id := range needed.ids {
		c[id.Key()] = time.Time{}
	}
}

// leaving says whether some are kept that nobody needs.
func (c carriers) leaving() bool {
	for _, since := range c {
		if !since.IsZero() {
			return true
		}
	}
	return false
}

func newSnapshotter(n *Node) *snapshotter {
	s := &snapshotter{node: n, wake: make(chan struct{}, 1), carriers: carriers{}}
	s.due.Store(int64(n.opts.SnapshotObjects))
	return s
}

// journaled counts an object.
func (s *snapshotter) journaled() {
	if s.count.Add(1) < s.due.Load() {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run writes a snapshot whenever one is due. It begins with the leftovers of earlier incarnations,
// and sees to it that what goes after a while goes, also while nothing is written.
func (s *snapshotter) run(ctx context.Context, l *Life) error {
	if err := s.clean(ctx, l); err != nil {
		return err
	}
	timed := time.NewTicker(snapshotEvery)
	defer timed.Stop()
	for {
		due := s.due.Load()
		select {
		case <-s.wake:
		case <-timed.C:
			due = 1
		case <-ctx.Done():
			return ctx.Err()
		}
		if s.count.Load() < due {
			if due == 1 && s.carriers.leaving() {
				if err := s.clean(ctx, l); err != nil {
					return err
				}
			}
			continue
		}
		s.count.Store(0)
		begun := time.Now()
		if err := s.exclusively(ctx, l, s.write); lifeOver(err) {
			return err
		} else if err != nil && ctx.Err() == nil {
			l.logger.Error("writing a snapshot failed; the journal is kept", "error", err)
		}
		s.node.metrics.snapshots.Observe(time.Since(begun).Seconds())
	}
}

// clean deletes what the newest snapshot covers. It fails only when the life is over.
func (s *snapshotter) clean(ctx context.Context, l *Life) error {
	err := s.exclusively(ctx, l, s.tidy)
	if err == nil || lifeOver(err) {
		return err
	}
	if ctx.Err() == nil {
		l.logger.Warn("deleting what a snapshot covers failed; the next snapshot tries again", "error", err)
	}
	return nil
}

// exclusively calls do if this node holds the lease, or can have it.
func (s *snapshotter) exclusively(ctx context.Context, l *Life, do func(context.Context, *Life) error) error {
	lease, err := l.Hold(ctx, snapshotLease, snapshotTTL)
	if errors.Is(err, ErrLeaseHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	s.held.Store(lease)
	held, stop := lease.While(ctx, nil)
	defer stop()
	err = do(held, l)
	if ctx.Err() == nil && held.Err() != nil { // another node has the lease now, or this life is over
		return context.Cause(held)
	}
	return err
}

// release hands the lease back.
func (s *snapshotter) release(ctx context.Context, l *Life) {
	lease := s.held.Load()
	if lease == nil {
		return
	}
	if err := lease.Release(ctx); err != nil {
		l.logger.Debug("handing the snapshot lease back failed", "error", err)
	}
}

// write writes a snapshot of this life's incarnation.
func (s *snapshotter) write(ctx context.Context, l *Life) error {
	n := s.node
	shown := n.view.ends()
	reader := loader{n.opts.Store, 8} // gently: commits go first
	found, err := reader.load(ctx, l.incarnation)
	if err != nil {
		return err
	}
	for at, end := range shown {
		p := found.state.partitions[at]
		if t := found.state.topics[at.Topic]; (p == nil || p.end < end) && (t == nil || !t.Deleted) {
			return fmt.Errorf("the bucket lacks records of partition %s below offset %d that this node has served", at, end)
		}
	}
	if err := n.sameOpening(l.generation, found.state); err != nil {
		return err
	}
	found.state.nonce = l.generation.Nonce
	spans := found.state.spans()
	n.metrics.spans.Set(float64(spans))
	least := int64(n.opts.SnapshotObjects)
	// The cost of a snapshot stays in proportion to what is new.
	s.due.Store(min(max(least, int64(spans)/64), 10*least))
	found.state.Forget(n.commitClock.passed(found.state.newest()))
	o := snapshotObject{incarnation: l.incarnation, n: found.snapshot + 1, covers: found.covers, state: found.state}
	created, err := create(ctx, n.opts.Store, snapshotKey(o.incarnation, o.n), o.encode())
	if err != nil || !created {
		return err
	}
	l.logger.Debug("snapshot written", "number", o.n, "spans", spans, "journal_objects", found.objects)
	return s.tidy(ctx, l)
}

// tidy deletes what the newest snapshot makes superfluous, and ends the chains of lives that
// seem to be over.
func (s *snapshotter) tidy(ctx context.Context, l *Life) error {
	n := s.node
	t := tidier{
		loader: loader{n.opts.Store, 1}, in: l.incarnation, retention: n.opts.SealRetention,
		carriers: s.carriers, grace: n.opts.Grace,
	}
	found, err := t.look(ctx)
	if err != nil {
		return err
	}
	n.metrics.carriers.Set(float64(len(s.carriers)))
	for _, keys := range [][]string{found.keys, found.seals} {
		if err := Delete(ctx, n.opts.Store, l.incarnation, keys...); err != nil {
			return err
		}
		for _, key := range keys {
			if strings.HasPrefix(key, journalPrefix) {
				n.metrics.deleted.Inc()
			}
		}
	}
	if n.exclusive {
		return nil // its predecessors' chains were sealed by its recovery
	}
	alive := map[string]bool{l.id: true}
	for _, node := range n.Nodes() {
		alive[node.Life] = true
	}
	if err := current(ctx, n.opts.Store, l.incarnation); err != nil {
		return err // of lives in a later one this node has not heard
	}
	sealed, err := t.sealSilent(ctx, found.silent, alive, n.who())
	if sealed > 0 {
		l.logger.Info("sealed the journals of lives that are over", "chains", sealed)
	}
	return err
}

// tidier finds what may be deleted.
type tidier struct {
	loader
	in        Incarnation
	retention time.Duration
	carriers  carriers
	grace     time.Duration // for how long they stay when nobody needs them
}

// untidy is what a tidier found.
type untidy struct {
	keys  []string // of objects that nobody needs
	seals []string // the same, but to be deleted only when keys are gone: see chain.connected
	// silent are the chains of lives that have written nothing for a long time, and have no seal that
	// the newest snapshot covers.
	silent []*chainListing
}

// look finds journal objects that the newest snapshot covers, and whatever is older
// than that snapshot.
//
// It keeps the last object of a chain that is not sealed, so that a recovery finds the chain's end,
// and for days the seal of a sealed chain, so that a late put of its writer still meets it. It also
// keeps the opening snapshot of this incarnation, because its absence would mean that the
// incarnation never opened, and, for as long as seals, the incarnations before and their void
// snapshots, so that recoveries which began then find out that they are late.
func (t *tidier) look(ctx context.Context) (*untidy, error) {
	newest, err := t.newestSnapshot(ctx, t.in)
	if err != nil {
		return nil, err
	}
	var now time.Time // by the store's clock, about: the newest time that it has stamped
	var listed []segments.Object
	for _, prefix := range []string{snapshotPrefix, incarnationPrefix, journalPrefix} {
		for object, err := range t.store.List(ctx, prefix, "") {
			if err != nil {
				return nil, err
			}
			if object.Modified.After(now) {
				now = object.Modified
			}
			listed = append(listed, object)
		}
	}
	if t.carriers == nil {
		t.carriers = carriers{}
	}
	t.carriers.see(newest.state.carriers(), time.Now(), t.grace)
	found := &untidy{}
	carrying := "" // the life of the last carrier: the seal of its chain stays as well
	for i, object := range listed {
		age := now.Sub(object.Modified)
		life, number, ok := parseJournalKey(object.Key)
		_, carrier := t.carriers[object.Key]
		if carrier {
			carrying = life
		}
		switch {
		case carrier || !t.needless(object, newest, age > t.retention):
			if ok && age > silentChain && !newest.covers[life].sealed && !follows(listed, i, life) {
				found.silent = append(found.silent, &chainListing{life, []uint64{number}})
			}
		case ok && life == carrying && number == newest.covers[life].upTo:
		case ok && number == newest.covers[life].upTo:
			found.seals = append(found.seals, object.Key)
		default:
			found.keys = append(found.keys, object.Key)
		}
	}
	return found, nil
}

// follows says whether the object behind the i-th is of the same life.
func follows(listed []segments.Object, i int, life string) bool {
	if i+1 == len(listed) {
		return false
	}
	next, _, ok := parseJournalKey(listed[i+1].Key)
	return ok && next == life
}

func (t *tidier) needless(object segments.Object, newest *snapshotObject, old bool) bool {
	if in, n, ok := parseSnapshotKey(object.Key); ok {
		if in == t.in {
			return n > 0 && n < newest.n
		}
		void := object.Size <= voidSize
		return in < t.in && (old || !void)
	}
	if in, ok := parseIncarnationKey(object.Key); ok {
		return in < t.in && old
	}
	if life, n, ok := parseJournalKey(object.Key); ok {
		cov, covered := newest.covers[life]
		return covered && (n < cov.upTo || n == cov.upTo && cov.sealed && old)
	}
	return false
}
