package coordinator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"firn.dev/retry"
	"firn.dev/segments"
)

// RecoverOptions is what a recovery needs. Zero values mean their defaults.
type RecoverOptions struct {
	Who      string // is written into what it creates, for people
	Logger   *slog.Logger
	Clock    func() time.Time
	Parallel int // objects read or written at once

	ForgetDoubts bool // that somebody has looked at: see Doubt

	Began func(Incarnation) // if not nil, hears which incarnation the recovery begins
}

func (o RecoverOptions) withDefaults() RecoverOptions {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	return o
}

// ErrRecoveryLost says that another recovery goes on: it took the incarnation that this one wanted,
// or settled it. The caller has to watch whether the other recovery lives to open the coordinator.
var ErrRecoveryLost = errors.New("another recovery of this bucket is under way")

// Recover makes the bucket's state the state of a new incarnation. It seals every journal chain, so
// that no node can acknowledge anything that is not in this state. The caller then loads the state
// into a coordinator with Open, which works once.
//
// It may be abandoned at any moment, run by several at once, and repeated: ARCHITECTURE.md, "Start,
// death, and the second server".
func Recover(ctx context.Context, store segments.Store, opts RecoverOptions) (*State, error) {
	opts = opts.withDefaults()
	now := opts.Clock()
	r := &recovery{loader: loader{store, opts.Parallel}, now: now, forget: opts.ForgetDoubts,
		who: opts.Who + recoveryMark + segments.NewID(now).String()}
	if err := r.createIncarnation(ctx); err != nil {
		return nil, err
	}
	if opts.Began != nil {
		opts.Began(r.in)
	}
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	chains, err := r.seal(ctx)
	if err != nil {
		return nil, err
	}
	found, err := r.rebuild(ctx, chains)
	if err != nil {
		return nil, err
	}
	if err := r.open(ctx, found); err != nil {
		return nil, err
	}
	reportDoubts(opts.Logger, found.state.doubts)
	opts.Logger.Info("recovered from the bucket", "incarnation", r.in, "base", r.base, "snapshot", found.snapshot,
		"journal_objects", found.objects, "chains_sealed", r.sealed,
		"spans", found.state.spans(), "spans_beyond_holes", r.dropped,
		"took", opts.Clock().Sub(now).Round(time.Microsecond))
	found.state.opening = &opening{}
	return found.state, nil
}

// recoveryMark comes before what makes the objects of each recovery unlike those of any other.
const recoveryMark = ", recovery "

// recovery is one run of Recover.
type recovery struct {
	loader
	who    string
	now    time.Time
	forget bool // what is in doubt

	in        Incarnation     // that it creates
	clusterID string          // drawn by it, if in is 1
	base      Incarnation     // that it starts from; 0 if none ever opened
	snapshot  *snapshotObject // newest of the base
	sealed    int             // chains
	dropped   int             // spans beyond holes
}

// createIncarnation is step 1: take the next number.
func (r *recovery) createIncarnation(ctx context.Context) error {
	newest, err := newestIncarnation(ctx, r.store, 0)
	if err != nil {
		return err
	}
	r.in = newest + 1
	o := incarnationObject{n: r.in, who: r.who, when: r.now.UnixMilli()}
	if r.in == 1 {
		var id [16]byte
		rand.Read(id[:])
		r.clusterID = base64.RawURLEncoding.EncodeToString(id[:])
		o.clusterID = r.clusterID
	} else if o.clusterID, err = r.passOn(ctx, newest); err != nil {
		return err
	}
	created, err := create(ctx, r.store, incarnationKey(r.in), o.encode())
	if err == nil && !created {
		err = fmt.Errorf("%w: it took incarnation %d", ErrRecoveryLost, r.in)
	}
	return err
}

// passOn reads the cluster id from the incarnation before, so that every incarnation says whose
// bucket it is. It is empty if the one before does not have it, because an older version made it,
// or cannot be read.
func (r *recovery) passOn(ctx context.Context, before Incarnation) (string, error) {
	o, err := readIncarnation(ctx, r.store, before)
	if errors.Is(err, segments.ErrNotFound) || errors.Is(err, ErrMalformed) || errors.Is(err, ErrNewer) {
		return "", nil
	}
	return o.clusterID, err
}

func readIncarnation(ctx context.Context, store segments.Store, in Incarnation) (incarnationObject, error) {
	b, err := store.Get(ctx, incarnationKey(in), 0, -1)
	if err != nil {
		return incarnationObject{}, err
	}
	o, err := decodeIncarnationObject(b)
	if err != nil {
		return incarnationObject{}, fmt.Errorf("%s: %w", incarnationKey(in), err)
	}
	return *o, nil
}

// newestIncarnation returns the number of the newest incarnation after one that is known; the known
// one if there is none.
func newestIncarnation(ctx context.Context, store segments.Store, known Incarnation) (Incarnation, error) {
	after := ""
	if known > 0 {
		after = incarnationKey(known)
	}
	for object, err := range store.List(ctx, incarnationPrefix, after) {
		if err != nil {
			return 0, err
		}
		if in, ok := parseIncarnationKey(object.Key); ok {
			known = in
		}
	}
	return known, nil
}

// settle is step 2: decide whether each predecessor ever opens, the newest first, down to the first
// that did open: it settled its own predecessors.
func (r *recovery) settle(ctx context.Context) error {
	for in := r.in - 1; in > 0; in-- {
		opened, err := r.settleOne(ctx, in)
		if err != nil {
			return err
		}
		if opened {
			r.base = in
			return nil
		}
	}
	r.snapshot = &snapshotObject{state: newState(0, r.clusterID)}
	if r.in == 1 {
		return nil
	}
	// Nothing ever opened, but the cluster id was drawn.
	first, err := readIncarnation(ctx, r.store, 1)
	if err != nil {
		return err
	}
	r.snapshot.state.clusterID = first.clusterID
	return nil
}

// settleOne says whether an incarnation opened, and makes sure that the answer stays the same.
func (r *recovery) settleOne(ctx context.Context, in Incarnation) (opened bool, err error) {
	for range loads {
		switch r.snapshot, err = r.newestSnapshot(ctx, in); {
		case err == nil:
			return true, nil
		case errors.Is(err, errVoid):
			return false, nil
		case !errors.Is(err, errMoved):
			return false, err
		}
		void := snapshotObject{incarnation: in}
		if created, err := create(ctx, r.store, snapshotKey(in, 0), void.encode()); err != nil || created {
			return false, err
		}
	}
	return false, err
}

// seal is step 3: end every chain that was begun before. It returns the listing in which all of
// them ended with a seal.
//
// The key behind the last listed object may be free because it now lies in the middle of a chain,
// its object deleted since a snapshot covers it. So a seal counts only when a later listing shows
// nothing behind it: the last object of a chain that is not sealed is never deleted, so the
// listing would show it.
func (r *recovery) seal(ctx context.Context) ([]*chainListing, error) {
	ends := map[string]uint64{} // numbers of seals, by life
	for life, cov := range r.snapshot.covers {
		if cov.sealed {
			ends[life] = cov.upTo
		}
	}
	var required map[string]bool
	for {
		chains, err := r.listChains(ctx, r.snapshot.covers)
		if err != nil {
			return nil, err
		}
		if required == nil {
			required = make(map[string]bool, len(chains))
			for _, c := range chains {
				required[c.life] = true
			}
		}
		var open []*chainListing
		for _, c := range chains {
			if end, sealed := ends[c.life]; required[c.life] && (!sealed || end < c.last()) {
				open = append(open, c)
			}
		}
		if len(open) == 0 {
			return chains, nil
		}
		numbers := make([]uint64, len(open))
		err = r.each(ctx, len(open), func(ctx context.Context, i int) (err error) {
			numbers[i], err = r.sealChain(ctx, open[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		for i, c := range open {
			if numbers[i] > 0 {
				ends[c.life] = numbers[i]
			}
		}
	}
}

// sealChain puts a seal behind the last known object of a chain, unless that object is a seal. It
// returns the seal's number, or 0 if the chain has moved on.
func (r *recovery) sealChain(ctx context.Context, c *chainListing) (uint64, error) {
	last, err := r.journalObject(ctx, journalKey(c.life, c.last()))
	if errors.Is(err, segments.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if last.kind == journalSeal {
		return last.n, nil
	}
	o := journalObject{kind: journalSeal, incarnation: last.incarnation, nonce: last.nonce, life: c.life, n: last.n + 1,
		who: r.who, when: r.now.UnixMilli(), by: r.in}
	created, err := create(ctx, r.store, o.key(), o.encode())
	if err != nil || !created {
		return 0, err
	}
	return o.n, nil
}

// rebuild is step 4: what the base and its journal add up to, without what lies beyond holes.
func (r *recovery) rebuild(ctx context.Context, chains []*chainListing) (*loaded, error) {
	found, err := r.apply(ctx, r.snapshot, chains)
	if errors.Is(err, errMoved) {
		found, err = r.load(ctx, r.base)
	}
	if errors.Is(err, errMoved) {
		if _, there := r.store.Get(ctx, snapshotKey(r.in, 0), 0, -1); there == nil {
			return nil, fmt.Errorf("%w: it settled incarnation %d", ErrRecoveryLost, r.in)
		}
	}
	if err != nil {
		return nil, err
	}
	r.dropped = found.state.truncate()
	found.state.incarnation, found.state.nonce = r.in, Nonce{}
	if r.forget {
		found.state.doubts = nil
	}
	listed := make(map[string]bool, len(chains))
	for _, c := range chains {
		listed[c.life] = true
	}
	for life, cov := range found.covers {
		if cov.sealed && listed[life] {
			r.sealed++
		} else {
			// The chain was begun too late to become a life, or it is gone: of an earlier incarnation
			// nothing counts that comes behind.
			delete(found.covers, life)
		}
	}
	return found, nil
}

// open is step 5: the state becomes the state of the new incarnation, unless another recovery
// has settled it meanwhile.
func (r *recovery) open(ctx context.Context, found *loaded) error {
	o := snapshotObject{incarnation: r.in, covers: found.covers, state: found.state}
	created, err := create(ctx, r.store, snapshotKey(r.in, 0), o.encode())
	if err == nil && !created {
		err = fmt.Errorf("%w: it settled incarnation %d", ErrRecoveryLost, r.in)
	}
	return err
}

// puts is how often create tries.
const puts = 4

// create puts an object that only its creator can have made: its bytes are unlike any other's. If
// it exists already and is ours, then the reply to an earlier try was lost. It reports whether
// the object is ours.
func create(ctx context.Context, store segments.Store, key string, body []byte) (bool, error) {
	var err error
	for try := range puts {
		if try > 0 {
			if ended := retry.Pause(ctx, 50*time.Millisecond<<(2*try)); ended != nil {
				return false, err
			}
		}
		if err = store.Put(ctx, key, body); err == nil {
			return true, nil
		}
		if errors.Is(err, segments.ErrExists) {
			return ours(ctx, store, key, body)
		}
	}
	return false, err
}

func ours(ctx context.Context, store segments.Store, key string, body []byte) (bool, error) {
	there, err := store.Get(ctx, key, 0, -1)
	if errors.Is(err, segments.ErrNotFound) {
		return false, nil
	}
	return err == nil && bytes.Equal(there, body), err
}
