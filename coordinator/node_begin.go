package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"firn.dev/retry"
	"firn.dev/segments"
)

// errWait says that a life cannot begin yet.
var errWait = errors.New("waiting for another node's recovery")

// nextLife begins the next life after one in the incarnation lived, however long that takes. With
// an exclusive coordinator it does not wait for others.
func (n *Node) nextLife(ctx context.Context, lived Incarnation) (*Life, error) {
	b := beginning{
		store: n.opts.Store, coordinator: n.opts.Coordinator, exclusive: n.exclusive, who: n.who(),
		logger: n.opts.Logger, metrics: n.metrics, hedges: n.hedges, patience: n.opts.Patience,
		lived: lived,
	}
	for try := 0; ; try++ {
		b.insist = n.insists
		b.distrusted = n.distrusted.Load()
		life, err := n.tryLife(ctx, &b)
		switch {
		case err == nil:
			b.taken()
			n.setLife(life)
			return life, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case lifeOver(err), errors.Is(err, errWait), errors.Is(err, ErrRecoveryLost):
			if n.exclusive {
				return nil, explainFence(ctx, n.opts.Store)
			}
		case !n.insists(err):
			return nil, err
		case retry.Told(try):
			n.opts.Logger.Error("a new life cannot begin, trying again", "error", err)
		}
		if err := beginBackoff.Pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

// beginBackoff is short: nobody can write meanwhile.
var beginBackoff = retry.Backoff{First: 20 * time.Millisecond, Most: 400 * time.Millisecond}

// tryLife begins a life, if it can.
func (n *Node) tryLife(ctx context.Context, b *beginning) (*Life, error) {
	g, recovered, err := b.generation(ctx)
	if err != nil {
		return nil, err
	}
	c, err := b.chain(ctx, g)
	if err != nil {
		return nil, err
	}
	if err := n.loadView(ctx, g, recovered); err != nil {
		return nil, err
	}
	if Elapsed(c.proved, c.clock()) >= sealsSurely {
		// Another incarnation may have opened meanwhile, and even the seals of this one be gone: then
		// nothing shows that the state that was read lacks what was tidied away with them.
		return nil, fmt.Errorf("%w: reading the bucket took too long", errWait)
	}
	return n.startLife(ctx, c)
}

// beginning is the time between two lives, of a node or of a guest.
type beginning struct {
	store       segments.Store
	coordinator interface {
		Log
		Recoveries
	}
	exclusive  bool
	who        string
	logger     *slog.Logger
	metrics    *metrics
	hedges     *hedges          // of the journal; nil: none of its puts is made twice
	patience   time.Duration    // with the recovery of somebody else
	insist     func(error) bool // whether to try again after an error; nil: never
	begun      *chain           // of a life that could not begin: the next try goes on with it; nil if there is none
	lived      Incarnation      // the last that this process lived in; 0: none, or that is not known
	guest      bool
	waitedFor  Incarnation // the newest recovery that was waited for, by what it began
	waitUntil  time.Time   // until when it is left alone
	distrusted *Generation // that contradicts the bucket, and is not lived in; nil if there is none
}

// generation returns the one that a life can begin in, and the state, if this process recovered it.
func (b *beginning) generation(ctx context.Context) (Generation, *State, error) {
	g, err := b.coordinator.Generation(ctx)
	if err == nil && b.distrusted != nil && g == *b.distrusted {
		err = ErrNotOpen
	}
	if !errors.Is(err, ErrNotOpen) {
		return g, nil, err
	}
	if err := b.giveWay(ctx); err != nil {
		return Generation{}, nil, err
	}
	recovered, err := b.recover(ctx)
	if err != nil {
		return Generation{}, nil, err
	}
	return recovered.Generation(), recovered, nil
}

// giveWay leaves time to a recovery that was begun since this process lived in an incarnation. To
// begin another would end it: if several nodes notice one after the other that the coordinator
// has lost its state, each would end the recovery of the one before. A guest leaves others that
// time in any case, and a process that has not lived yet leaves it to a recovery that says that it
// lives: it does not know how old the newest is.
func (b *beginning) giveWay(ctx context.Context) error {
	if b.exclusive {
		return nil
	}
	newest, err := newestIncarnation(ctx, b.store, b.lived)
	if err != nil || newest == b.lived && !b.guest {
		return err
	}
	if b.lived == 0 && !b.guest {
		if lives, err := b.coordinator.AnnouncedRecovery(ctx); err != nil || lives < newest {
			return nil
		}
	}
	return b.waitFor(ctx, newest, 0)
}

// waitFor leaves the recovery that began an incarnation time to open one above another, counted
// from when this process first saw it. It returns errWait, or nil when that time is over. The next
// recovery gets more time: nobody knows how long a recovery takes here.
func (b *beginning) waitFor(ctx context.Context, newest, above Incarnation) error {
	if newest != b.waitedFor {
		b.waitedFor, b.waitUntil = newest, time.Now().Add(b.patience)
		b.patience = min(2*b.patience, time.Minute)
	}
	if !time.Now().Before(b.waitUntil) {
		return nil
	}
	return b.await(ctx, newest, above)
}

// chain begins the chain of a new life, unless an earlier try has. The caller says, with taken,
// that the life has begun.
func (b *beginning) chain(ctx context.Context, g Generation) (*chain, error) {
	c := b.begun
	if c == nil || c.generation != g || Elapsed(c.proved, time.Now()) >= guestSilence {
		c = &chain{
			store: b.store, life: segments.NewLifeID(time.Now()).String(), generation: g, clock: time.Now,
			hedges: b.hedges,
		}
		b.begun = c
	}
	newest, err := c.begin(ctx, b.who)
	if errors.Is(err, ErrFenced) {
		b.begun = nil
	}
	if err != nil {
		return nil, err
	}
	if newest > g.Incarnation {
		return nil, b.behind(ctx, g.Incarnation, newest)
	}
	return c, nil
}

// taken says that a life has begun with the chain. The waiting is over: if this incarnation is lost
// as well, other recoveries get their time again.
func (b *beginning) taken() { b.begun, b.waitedFor, b.waitUntil = nil, 0, time.Time{} }

// recover rebuilds the coordinator's state. If another process is doing the same, it leaves that
// one time before it tries again.
func (b *beginning) recover(ctx context.Context) (*State, error) {
	lives := announcement{stop: func() {}}
	defer func() { lives.stop() }()
	opts := RecoverOptions{Who: b.who, Logger: b.logger}
	if !b.exclusive {
		opts.Began = func(in Incarnation) { lives.begin(ctx, b, in) }
	}
	state, err := Recover(ctx, watched{b.store, &lives.steps}, opts)
	if errors.Is(err, ErrRecoveryLost) && !b.exclusive {
		lives.stop()
		newest, err := newestIncarnation(ctx, b.store, b.lived)
		if err != nil {
			return nil, err
		}
		if err := b.waitFor(ctx, newest, 0); err != nil {
			return nil, err
		}
		return nil, errWait
	}
	if err != nil {
		return nil, err
	}
	b.waitedFor, b.waitUntil = state.incarnation, time.Time{} // if it does not open, nobody has to wait for it
	if err := b.open(ctx, state, &lives.steps); err != nil {
		return nil, err
	}
	b.metrics.recoveries.Inc()
	return state, nil
}

// open loads a recovered state. As long as the opening itself was not sent, it tries the same state
// again, however long that takes: to be slow here does no harm, while another recovery would leave
// another incarnation in the bucket with each try. Once the opening was sent it is never sent
// again: others may have lived in the incarnation since, and the coordinator may have forgotten it.
func (b *beginning) open(ctx context.Context, state *State, steps *atomic.Int64) error {
	for try, delay := 0, 50*time.Millisecond; ; try, delay = try+1, min(2*delay, time.Second) {
		err := b.coordinator.Open(ctx, state)
		steps.Add(1)
		switch {
		case errors.Is(err, ErrOpening):
			b.logger.Error("the recovered state was sent, and the reply was lost",
				"generation", state.Generation(), "error", err)
			return b.opened(ctx, state.Generation())
		case err == nil, lifeOver(err):
			return err
		case state.Generation() != Generation{}: // it was refused
			return fmt.Errorf("%w: %w", errWait, err)
		case !b.insists(err):
			return err
		}
		if try == 0 {
			b.logger.Error("loading the recovered state fails, trying again", "error", err)
		}
		if err := retry.Pause(ctx, delay); err != nil {
			return err
		}
	}
}

// opened looks whether an opening whose reply was lost took effect. It waits until the coordinator
// answers: a recovery before that would leave an incarnation in the bucket for each try. If the
// opening is not current it is given up, whatever became of it; if it still arrives, it finds that
// the bucket knows a newer incarnation (chain.begin), or is refused because that one is open.
func (b *beginning) opened(ctx context.Context, sent Generation) error {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		now, err := b.coordinator.Generation(ctx)
		switch {
		case err == nil && now == sent:
			return nil
		case err == nil, errors.Is(err, ErrNotOpen):
			b.waitedFor = sent.Incarnation // nobody else is at it
			return fmt.Errorf("%w: the opening of %s is not current", errWait, sent)
		case !b.insists(err):
			return err
		}
		if err := retry.Pause(ctx, delay); err != nil {
			return err
		}
	}
}

func (b *beginning) insists(err error) bool { return b.insist != nil && b.insist(err) }

// insists says whether a life that cannot begin is tried again: always once the node has joined.
// Before that it is the caller of Join who sees what is wrong.
func (n *Node) insists(err error) bool {
	return n.view != nil || n.opts.Retry != nil && n.opts.Retry(err)
}

// await waits for the coordinator to open an incarnation above one, for as long as the recovery
// that began the newest is left alone, and returns errWait.
func (b *beginning) await(ctx context.Context, newest, above Incarnation) error {
	for asked := (time.Time{}); time.Now().Before(b.waitUntil); {
		if now, err := b.coordinator.Generation(ctx); err == nil && now.Incarnation > above {
			break
		}
		if now := time.Now(); now.Sub(asked) >= announceEvery {
			asked = now
			lives, err := b.coordinator.AnnouncedRecovery(ctx)
			if until := now.Add(leaveAlone); err == nil && lives >= newest && until.After(b.waitUntil) {
				b.waitUntil = until
			}
		}
		if err := retry.Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return errWait
}

// behind deals with a bucket that is ahead of the coordinator: a recovery is under way, or died.
// When that recovery's time is over, this node recovers.
func (b *beginning) behind(ctx context.Context, in, newest Incarnation) error {
	if b.exclusive {
		return fmt.Errorf("%w: incarnation %d came while %d began", ErrFenced, newest, in)
	}
	if err := b.waitFor(ctx, newest, in); err != nil && !errors.Is(err, errWait) {
		return err
	}
	if now, err := b.coordinator.Generation(ctx); err == nil && now.Incarnation > in {
		return errWait
	}
	b.logger.Error("the bucket is in a newer incarnation, which is not open on this node's coordinator: "+
		"its recovery died, or another coordinator serves this bucket. If this comes again, nodes of this bucket "+
		"use different Redis servers and take it from each other: give all of them the same coordinator",
		"newer", newest, "begun", begunBy(ctx, b.store, newest), "open here", in)
	if _, err := b.recover(ctx); err != nil {
		return err
	}
	return errWait
}

// who describes this process in the objects that it creates, for people.
func (n *Node) who() string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("node %d on %s, process %d", n.opts.Info.ID, host, os.Getpid())
}

// loadView puts the state of an incarnation into the view: the one that this node has just
// recovered, if it did, otherwise the bucket's.
func (n *Node) loadView(ctx context.Context, g Generation, recovered *State) error {
	in := g.Incarnation
	seq, err := n.opts.Coordinator.Settled(ctx, in)
	if err != nil {
		return err
	}
	state := recovered
	if state == nil {
		l := loader{n.opts.Store, defaultParallel}
		found, err := l.load(ctx, in)
		if errors.Is(err, errMoved) {
			return errors.Join(err, n.strangers(ctx, in))
		}
		if err != nil {
			return err
		}
		newest, err := newestIncarnation(ctx, n.opts.Store, in)
		if err == nil && newest > in {
			// What shows that a chain was sealed may have been deleted there before it was read here, and a
			// put that came late have taken its place.
			err = errWait
		}
		if err != nil {
			return err
		}
		state = found.state
		if err := errors.Join(n.sameCluster(ctx, in, state), n.sameOpening(g, state)); err != nil {
			return err
		}
		reportDoubts(n.opts.Logger, state.doubts)
		if err := confirmLoaded(ctx, n.opts.Coordinator, state, seq); err != nil {
			return err
		}
	} else {
		seq = 0
	}
	n.metrics.spans.Set(float64(state.spans()))
	n.metrics.incarnation.Set(float64(in))
	if n.view == nil {
		n.view = NewView(state)
		n.view.seq = seq
		return nil
	}
	return n.view.replace(state, seq)
}

// confirmLoaded confirms the commits that a state has from the journal, and whose writer may have
// died before it did: those that were decided after an entry. The state shows their records, so the
// other nodes have to show them as well.
func confirmLoaded(ctx context.Context, c Log, state *State, after uint64) error {
	latest, err := c.Latest(ctx, state.incarnation)
	for err == nil && after < latest {
		found := journaled{state: state, seqs: map[uint64]bool{}}
		for e, err := range c.Follow(ctx, state.incarnation, after) {
			if errors.Is(err, ErrTrimmed) {
				break
			}
			if err != nil {
				return err
			}
			found.look(&e)
			if after = e.Seq; after >= latest {
				return found.confirm(ctx, c)
			}
		}
		after, err = c.Settled(ctx, state.incarnation) // entries after this one are kept
	}
	return err
}

// journaled are the numbers of commits that await their confirmation though a state has them.
type journaled struct {
	state *State
	seqs  map[uint64]bool
}

func (j *journaled) look(e *Entry) {
	if e.Fact != nil && e.Fact.Commit != nil && j.state.hasAll(e.Fact.Commit.Spans) {
		j.seqs[e.Seq] = true
	}
	for _, seq := range e.Confirmed {
		delete(j.seqs, seq)
	}
}

func (j *journaled) confirm(ctx context.Context, c Log) error {
	if len(j.seqs) == 0 {
		return nil
	}
	return c.Confirm(ctx, j.state.incarnation, slices.Sorted(maps.Keys(j.seqs)))
}

// hasAll says whether the state has all spans of a commit.
func (s *State) hasAll(spans []CommitSpan) bool {
	return !slices.ContainsFunc(spans, func(c CommitSpan) bool {
		p := s.partitions[c.Partition]
		return p == nil || !p.has(&c.Span)
	})
}

// sameOpening refuses to go on in a generation if the bucket has facts of another opening
// of the same incarnation.
func (n *Node) sameOpening(g Generation, state *State) error {
	if state.nonce == (Nonce{}) || state.nonce == g.Nonce {
		return nil
	}
	return n.distrust(g, fmt.Errorf("the bucket has facts of %s", Generation{g.Incarnation, state.nonce}))
}

// distrust ends the lives in a generation: the next one begins with a recovery.
func (n *Node) distrust(g Generation, why error) error {
	n.distrusted.Store(&g)
	n.opts.Logger.Error("this incarnation was opened twice, or its coordinator is broken: recovering anew",
		"generation", g, "error", why)
	return fmt.Errorf("%w: %s contradicts what is known: %w", ErrFenced, g, why)
}

// clustered is implemented by coordinators that several clusters may use by mistake.
type clustered interface {
	ClusterID(ctx context.Context, in Incarnation) (string, error)
}

// ErrOtherCluster says that a coordinator holds the state of another bucket.
var ErrOtherCluster = errors.New("the coordinator belongs to the cluster of another bucket")

// sameCluster refuses to join a coordinator that was opened with another bucket and happens to be
// in the same incarnation.
func (n *Node) sameCluster(ctx context.Context, in Incarnation, state *State) error {
	c, ok := n.opts.Coordinator.(clustered)
	if !ok {
		return nil
	}
	id, err := c.ClusterID(ctx, in)
	if err == nil && id != state.clusterID {
		err = fmt.Errorf("%w: %s, the bucket's is %s", ErrOtherCluster, id, state.clusterID)
	}
	return err
}

// strangers looks whether a bucket does not know the coordinator's incarnation because
// it is another cluster's.
func (n *Node) strangers(ctx context.Context, in Incarnation) error {
	state, err := Load(ctx, n.opts.Store)
	switch {
	case errors.Is(err, ErrEmptyBucket):
		return fmt.Errorf("%w: it is in incarnation %d, and the bucket is empty", ErrOtherCluster, in)
	case err != nil:
		return err
	}
	return n.sameCluster(ctx, in, state)
}

// startLife starts what a life needs.
func (n *Node) startLife(ctx context.Context, c *chain) (*Life, error) {
	l := &Life{node: n, id: c.life, incarnation: c.generation.Incarnation, generation: c.generation,
		looks: looks{turn: make(chan struct{}, 1)}}
	l.logger = n.opts.Logger.With("life", l.id, "incarnation", l.incarnation)
	l.ctx, l.end = context.WithCancelCause(n.ctx)
	if err := l.announce(ctx); err != nil {
		l.end(err)
		return nil, err
	}
	l.journal = &journal{chain: c, logger: l.logger, metrics: n.metrics,
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		confirm: func(ctx context.Context, seqs []uint64) error {
			return n.opts.Coordinator.Confirm(ctx, l.incarnation, seqs)
		}}
	if n.exclusive {
		l.journal.probe = n.opts.Probe
	}
	c.shared = !n.exclusive
	l.start(l.journal.run)
	l.start(l.follow)
	l.start(l.register)
	l.start(func(ctx context.Context) error { return n.snapshots.run(ctx, l) })
	n.metrics.lives.Inc()
	l.logger.Debug("a life begins")
	return l, nil
}
