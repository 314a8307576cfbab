package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"firn.dev/retry"
	"firn.dev/segments"
)

// ErrEmptyBucket says that no incarnation ever opened in this bucket.
var ErrEmptyBucket = errors.New("the bucket holds no firn cluster")

// errMoved says that objects are missing. Mostly they were deleted while others were read, because
// a newer snapshot covers them: read again.
var errMoved = errors.New("objects are missing that no snapshot covers")

// loads is how many times a load begins again when objects are deleted under it.
const loads = 8

// loader reads states from the bucket.
type loader struct {
	store    segments.Store
	parallel int // objects read at once; 1 reads them in the caller's goroutine
}

// loaded is a state as the bucket has it, and what it was made of.
type loaded struct {
	state    *State
	covers   map[string]cover // what of the journal is in state
	snapshot uint64           // number of the snapshot below
	objects  int              // of the journal, applied on top
}

// Load reads the newest state that the bucket has, without any coordinator and without writing: for
// readers. It holds only what was journaled, up to the first hole of each partition.
func Load(ctx context.Context, store segments.Store) (*State, error) {
	l := loader{store, defaultParallel}
	return again(ctx, func() (*State, error) { // from the start: perhaps the whole incarnation is history by now
		base, err := l.newestOpened(ctx)
		if err != nil {
			return nil, err
		}
		found, err := l.loadOnce(ctx, base)
		if err != nil {
			return nil, err
		}
		return found.state, nil
	})
}

// newestOpened returns the newest incarnation that is not void.
func (l *loader) newestOpened(ctx context.Context) (Incarnation, error) {
	snapshots, err := l.listSnapshots(ctx, snapshotPrefix)
	if err != nil {
		return 0, err
	}
	for _, snapshot := range slices.Backward(snapshots) {
		if s := snapshot; s.n > 0 {
			return s.incarnation, nil
		}
		s, err := l.snapshot(ctx, snapshot)
		if errors.Is(err, segments.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if s.state != nil {
			return s.incarnation, nil
		}
	}
	return 0, ErrEmptyBucket
}

// load reads the state of one incarnation: its newest snapshot and the journal on top.
func (l *loader) load(ctx context.Context, base Incarnation) (*loaded, error) {
	return again(ctx, func() (*loaded, error) { return l.loadOnce(ctx, base) })
}

// again loads until nothing was deleted meanwhile.
func again[T any](ctx context.Context, load func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		found, err := load()
		if !errors.Is(err, errMoved) || try == loads {
			return found, err
		}
		if ended := retry.Pause(ctx, time.Duration(try)*10*time.Millisecond); ended != nil {
			return found, ended
		}
	}
}

func (l *loader) loadOnce(ctx context.Context, base Incarnation) (*loaded, error) {
	snapshot, err := l.newestSnapshot(ctx, base)
	if err != nil {
		return nil, err
	}
	chains, err := l.listChains(ctx, snapshot.covers)
	if err != nil {
		return nil, err
	}
	return l.apply(ctx, snapshot, chains)
}

// newestSnapshot reads the newest snapshot of an incarnation that opened.
func (l *loader) newestSnapshot(ctx context.Context, in Incarnation) (*snapshotObject, error) {
	found, err := l.listSnapshots(ctx, snapshotKey(in, 0)[:len(snapshotKey(in, 0))-20])
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: incarnation %d has no snapshot", errMoved, in)
	}
	s, err := l.snapshot(ctx, found[len(found)-1])
	switch {
	case errors.Is(err, segments.ErrNotFound):
		return nil, errMoved
	case err != nil:
		return nil, err
	case s.state == nil:
		return nil, fmt.Errorf("incarnation %d: %w", in, errVoid)
	}
	return s, nil
}

// errVoid says that an incarnation never opens.
var errVoid = errors.New("was settled as void by a later recovery")

// snapshotRef names a snapshot.
type snapshotRef struct {
	incarnation Incarnation
	n           uint64
}

// listSnapshots lists snapshots, oldest first.
func (l *loader) listSnapshots(ctx context.Context, prefix string) ([]snapshotRef, error) {
	var refs []snapshotRef
	for object, err := range l.store.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		if in, n, ok := parseSnapshotKey(object.Key); ok {
			refs = append(refs, snapshotRef{in, n})
		}
	}
	return refs, nil
}

func (l *loader) snapshot(ctx context.Context, ref snapshotRef) (*snapshotObject, error) {
	key := snapshotKey(ref.incarnation, ref.n)
	b, err := l.store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	s, err := decodeSnapshotObject(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if s.incarnation != ref.incarnation || s.n != ref.n {
		return nil, fmt.Errorf("%s: %w: is snapshot %d of incarnation %d", key, ErrMalformed, s.n, s.incarnation)
	}
	return s, nil
}

// chainListing is what the bucket has of a chain: the numbers of its objects, ascending.
// It is never empty.
type chainListing struct {
	life    string
	numbers []uint64
}

func (c *chainListing) last() uint64 { return c.numbers[len(c.numbers)-1] }

// listChains lists the journal, by life. Objects that a snapshot with these covers has are not all
// in the listing: those that carry segments may be many.
func (l *loader) listChains(ctx context.Context, covers map[string]cover) ([]*chainListing, error) {
	var chains []*chainListing
	for after, more := "", true; more; {
		more = false
		for object, err := range l.store.List(ctx, journalPrefix, after) {
			if err != nil {
				return nil, err
			}
			life, n, ok := parseJournalKey(object.Key)
			if !ok {
				continue
			}
			if cov := covers[life]; cov.upTo > n+skipped {
				after, more = journalKey(life, cov.upTo-1), true
				break
			}
			if len(chains) == 0 || chains[len(chains)-1].life != life {
				chains = append(chains, &chainListing{life: life})
			}
			c := chains[len(chains)-1]
			c.numbers = append(c.numbers, n)
		}
	}
	return chains, nil
}

// skipped is how many objects a new listing skips at least. A page of one has up to 1000.
const skipped = 500

// beyond returns the numbers of the objects that a snapshot with these covers does not
// include, and the key of the first that is missing, if any. Only objects that a newer
// snapshot covers are ever deleted.
func (c *chainListing) beyond(covers map[string]cover) (numbers []uint64, missing string) {
	cov, covered := covers[c.life]
	if covered && cov.sealed {
		return nil, ""
	}
	numbers, next := c.numbers, uint64(0)
	if covered {
		next = cov.upTo + 1
		for len(numbers) > 0 && numbers[0] < next {
			numbers = numbers[1:]
		}
	}
	for i, n := range numbers {
		if n != next+uint64(i) {
			return numbers, journalKey(c.life, next+uint64(i))
		}
	}
	return numbers, ""
}

// apply reads what of the chains the snapshot does not have, and adds it.
func (l *loader) apply(ctx context.Context, snapshot *snapshotObject, chains []*chainListing) (*loaded, error) {
	found := &loaded{state: snapshot.state, covers: map[string]cover{}, snapshot: snapshot.n}
	missing := map[string]string{}
	var keys []string
	for _, c := range chains {
		if cov, covered := snapshot.covers[c.life]; covered && (cov.sealed || cov.upTo <= c.last()) {
			found.covers[c.life] = cov
		}
		var numbers []uint64
		numbers, missing[c.life] = c.beyond(snapshot.covers)
		for _, n := range numbers {
			keys = append(keys, journalKey(c.life, n))
		}
	}
	for life, cov := range snapshot.covers {
		if _, there := found.covers[life]; there {
			continue
		}
		if !cov.sealed {
			return nil, fmt.Errorf("%w: %s", errMoved, journalKey(life, cov.upTo))
		}
		found.covers[life] = cov // of a chain whose seal is gone: keep recording that nothing after it counts
	}
	objects, err := l.journalObjects(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, o := range objects {
		// Of other incarnations' lives there is nothing to miss.
		if key := missing[o.life]; key != "" && o.incarnation == snapshot.incarnation {
			return nil, fmt.Errorf("%w: %s", errMoved, key)
		}
		// A seal in the middle lies where an object was that a newer snapshot covers.
		goesOn := i+1 < len(objects) && objects[i+1].life == o.life
		if o.kind == journalSeal && goesOn && o.incarnation == snapshot.incarnation {
			return nil, fmt.Errorf("%w: %s", errMoved, o.key())
		}
	}
	found.objects = len(objects)
	return found, found.apply(objects)
}

// apply adds journal objects, ordered by life and number. Chains of lives in other incarnations
// have no facts for this state. Those of later incarnations must not count as covered; those of
// earlier ones do, once they are sealed.
//
// Facts of one incarnation do not contradict each other, since it is opened once. If they do all
// the same, what was served first stands, as far as the bucket can tell: the facts of the
// generation that the snapshot names, otherwise of the generation of the first life, by its id,
// that has facts and names one; a life's id begins with the time at which it began. Facts of
// another generation are left out. Facts whose generation is not known count with the facts that
// stand, as far as they do not contradict them (gathered.apply). A contradiction never makes the
// bucket unreadable, and what is left out is in the state's doubts.
func (f *loaded) apply(objects []*readObject) error {
	commits, doubtful := gathered{}, gathered{}
	var ended []*Commit
	for _, o := range objects {
		if f.state.nonce == (Nonce{}) && o.incarnation == f.state.incarnation && len(o.facts) > 0 {
			f.state.nonce = o.nonce
		}
	}
	for _, o := range objects {
		switch {
		case o.incarnation > f.state.incarnation:
		case o.kind == journalSeal:
			f.covers[o.life] = cover{o.n, true}
		case o.incarnation == f.state.incarnation:
			f.covers[o.life] = cover{o.n, false}
			other := o.nonce != (Nonce{}) && o.nonce != f.state.nonce
			for _, fact := range o.facts {
				switch {
				case fact.Incarnation != f.state.incarnation:
				case fact.Commit != nil && other:
					doubtful.add(fact, o.nonce)
				case fact.Commit != nil:
					commits.add(fact, o.nonce)
					if len(fact.Commit.Endings)+len(fact.Commit.Atomic) > 0 {
						ended = append(ended, fact.Commit)
					}
				case !other:
					if err := f.state.Apply(fact); err != nil {
						return fmt.Errorf("%s: %w", o.key(), err)
					}
				}
			}
		default:
			delete(f.covers, o.life)
		}
	}
	f.state.addDoubts(commits.apply(f.state))
	for _, c := range ended {
		f.state.applyEndings(c)
		f.state.applyAtomic(c)
	}
	f.state.complete(false)
	f.state.addDoubts(doubtful.all(f.state.incarnation))
	return nil
}

// readObject is a journal object with its facts decoded.
type readObject struct {
	*journalObject
	facts []*Fact
}

// journalObjects reads objects, several at once.
func (l *loader) journalObjects(ctx context.Context, keys []string) ([]*readObject, error) {
	objects := make([]*readObject, len(keys))
	err := l.each(ctx, len(keys), func(ctx context.Context, i int) error {
		o, err := l.journalObject(ctx, keys[i])
		if errors.Is(err, segments.ErrNotFound) {
			return fmt.Errorf("%w: %s", errMoved, keys[i])
		}
		if err != nil {
			return err
		}
		facts, err := o.decodeFacts()
		if err != nil {
			return fmt.Errorf("%s: %w", keys[i], err)
		}
		objects[i] = &readObject{o, facts}
		return nil
	})
	return objects, err
}

// journalEnd is how much of a journal object is read at first: the whole of nearly all, and of
// those that carry a segment what comes behind it.
const journalEnd = 64 << 10

func (l *loader) journalObject(ctx context.Context, key string) (*journalObject, error) {
	b, err := l.store.Get(ctx, key, -journalEnd, -1)
	if err != nil {
		return nil, err
	}
	o, err := decodeJournalObject(b)
	if err != nil && len(b) == journalEnd { // perhaps because its beginning is missing
		if b, err = l.store.Get(ctx, key, 0, -1); err != nil {
			return nil, err
		}
		o, err = decodeJournalObject(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if o.key() != key {
		return nil, fmt.Errorf("%s: %w: says that it is %s", key, ErrMalformed, o.key())
	}
	return o, nil
}

// defaultParallel is how many small objects are read at once.
const defaultParallel = 32

// each calls do for 0 to n-1, several at once, until one fails.
func (l *loader) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	if l.parallel == 1 || n == 1 {
		for i := range n {
			if err := do(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(l.parallel)
	for i := range n {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}
