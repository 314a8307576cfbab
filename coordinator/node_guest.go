package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"firn.dev/retry"
	"firn.dev/segments"
)

// GuestOptions is what a Guest needs. Zero values mean their defaults.
type GuestOptions struct {
	Store       segments.Store
	Coordinator GuestCoordinator
	Who         string // for people, in the objects that the guest creates
	Logger      *slog.Logger
	Registerer  prometheus.Registerer

	Patience time.Duration // how long to leave a recovery to others, whom it costs less, before starting one; 1 s
}

// Guest writes to a cluster without being one of its nodes: it does not register, it keeps no View,
// and between two calls nothing of it runs. It is for processes that live for moments, and may be
// frozen at any of them and thawed much later. Its cost does not grow with the log.
//
// It has lives as a Node has them. A life begins when there is something to settle, later calls go
// on in it, and it ends when it turns out that its journal chain was sealed or the incarnation is
// over, or when it was silent for so long that its seal may have been deleted.
//
// A Guest is used by one goroutine at a time.
type Guest struct {
	begin    beginning
	lookups  Lookups
	metrics  *metrics
	now      Generation // as last heard; zero: ask
	life     *GuestLife // nil until one begins
	fenced   error      // why there will be no life any more
	silence  time.Duration
	patience time.Duration
}

// guestSilence is how long a guest's chain may be silent before the next call begins
// another: far less than the time for which a seal is kept, by which a late writer learns
// that its chain is sealed.
const guestSilence = 10 * time.Minute

// NewGuest returns a guest. It asks nobody anything yet.
func NewGuest(opts GuestOptions) (*Guest, error) {
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Patience == 0 {
		opts.Patience = time.Second
	}
	b := beginning{
		store: opts.Store, coordinator: opts.Coordinator, who: opts.Who,
		logger: opts.Logger, metrics: m, guest: true, patience: opts.Patience,
	}
	if x, ok := opts.Coordinator.(exclusive); ok {
		b.exclusive = x.Exclusive()
	}
	return &Guest{begin: b, lookups: opts.Coordinator, metrics: m, silence: guestSilence, patience: opts.Patience}, nil
}

// Topic looks a topic up: see Lookups.Topic. A coordinator without state is recovered first.
func (g *Guest) Topic(ctx context.Context, name string) (TopicFact, error) {
	var found TopicFact
	err := g.insist(ctx, func(ctx context.Context) error {
		now, err := g.generation(ctx)
		if err == nil {
			found, err = g.lookups.Topic(ctx, now.Incarnation, name)
		}
		return err
	})
	return found, err
}

// Keyed looks requests up that were written to a topic: see Lookups.Keyed.
func (g *Guest) Keyed(ctx context.Context, topic segments.TopicID, ids ...[16]byte) ([]*RequestKey, error) {
	var found []*RequestKey
	err := g.insist(ctx, func(ctx context.Context) error {
		now, err := g.generation(ctx)
		if err == nil {
			found, err = g.lookups.Keyed(ctx, now.Incarnation, topic, ids...)
		}
		return err
	})
	return found, err
}

// Life returns the life that goes on, or begins the next, as long as ctx allows. With an exclusive
// coordinator it fails with ErrFenced once another process has taken the bucket over.
func (g *Guest) Life(ctx context.Context) (*GuestLife, error) {
	if l := g.life; l != nil && l.over == nil && !l.journal.chain.stale(time.Now()) {
		return l, nil
	}
	err := g.insist(ctx, g.nextLife)
	if err != nil {
		return nil, err
	}
	return g.life, nil
}

// nextLife tries to begin a life. Meanwhile it checks that the coordinator and the
// bucket belong together.
func (g *Guest) nextLife(ctx context.Context) error {
	now, err := g.generation(ctx)
	if err != nil {
		return err
	}
	in := now.Incarnation
	var c *chain
	var seen uint64
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() (err error) {
		seen, err = g.begin.coordinator.Settled(ctx, in)
		return err
	})
	tasks.Go(func() error { return g.sameBucket(ctx, in) })
	tasks.Go(func() (err error) {
		c, err = g.begin.chain(ctx, now)
		return err
	})
	if err := tasks.Wait(); err != nil {
		return err
	}
	g.begin.taken()
	g.begin.lived, g.begin.patience = in, g.patience
	c.silence = g.silence
	confirm := func(ctx context.Context, seqs []uint64) error { return g.begin.coordinator.Confirm(ctx, in, seqs) }
	j := &journal{chain: c, logger: g.begin.logger, metrics: g.metrics, confirm: confirm}
	g.life = &GuestLife{guest: g, incarnation: in, seen: seen, journal: j}
	g.metrics.lives.Inc()
	return nil
}

// generation is the one that calls are made in: the last one seen, otherwise the coordinator's,
// which is recovered if need be and if no other process does it.
func (g *Guest) generation(ctx context.Context) (Generation, error) {
	if g.now != (Generation{}) {
		return g.now, nil
	}
	now, err := g.begin.coordinator.Generation(ctx)
	if errors.Is(err, ErrNotOpen) {
		now, _, err = g.begin.generation(ctx)
	}
	if err == nil {
		g.now = now
	}
	return now, err
}

// insist tries until it works, ctx ends, or it cannot work any more.
func (g *Guest) insist(ctx context.Context, try func(context.Context) error) error {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		if g.fenced != nil {
			return g.fenced
		}
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w, after: %w", ctx.Err(), err)
		case lifeOver(err), errors.Is(err, errWait), errors.Is(err, ErrRecoveryLost):
			g.now = Generation{}
			if g.life != nil {
				g.life.end(err)
			}
			if g.begin.exclusive {
				g.fenced = explainFence(ctx, g.begin.store)
				continue
			}
		case errors.Is(err, ErrUnknownTopic), errors.Is(err, ErrOtherCluster):
			return err
		default:
			g.begin.logger.Warn("a call of a direct writer fails, trying again", "error", err)
		}
		if ended := retry.Pause(ctx, delay); ended != nil {
			return fmt.Errorf("%w, after: %w", ended, err)
		}
	}
}

// sameBucket refuses a coordinator that holds the state of another bucket: see Node.sameCluster.
func (g *Guest) sameBucket(ctx context.Context, in Incarnation) error {
	c, ok := g.begin.coordinator.(clustered)
	if !ok {
		return nil
	}
	id, err := c.ClusterID(ctx, in)
	if err != nil {
		return err
	}
	o, err := readIncarnation(ctx, g.begin.store, in)
	if errors.Is(err, segments.ErrNotFound) {
		return fmt.Errorf("%w: it is in incarnation %d, which this bucket does not know", ErrOtherCluster, in)
	}
	if err != nil {
		return err
	}
	if o.clusterID == "" { // made by an older version
		l := loader{g.begin.store, 1}
		s, err := l.snapshot(ctx, snapshotRef{incarnation: in})
		if err != nil {
			return err
		}
		o.clusterID = s.state.clusterID
	}
	if id != o.clusterID {
		return fmt.Errorf("%w: %s, the bucket's is %s", ErrOtherCluster, id, o.clusterID)
	}
	return nil
}

// GuestLife is one life of a guest: one journal chain, in one incarnation. It is over once a call
// has failed with an error that ends lives, and Guest.Life begins the next. Facts that were decided
// in it may be settled in the next if that is lived in the same incarnation.
type GuestLife struct {
	guest       *Guest
	incarnation Incarnation
	journal     *journal
	seen        uint64 // a number that the commit stream had reached
	over        error  // why it is
}

// Incarnation is the one that this life is lived in.
func (l *GuestLife) Incarnation() Incarnation { return l.incarnation }

// Seen is a number that the commit stream had reached before now. What the coordinator decides from
// now on gets a higher one.
func (l *GuestLife) Seen() uint64 { return l.seen }

// check ends the life if err says so.
func (l *GuestLife) check(err error) error {
	if lifeOver(err) {
		l.end(err)
	}
	return err
}

func (l *GuestLife) end(err error) {
	if l.over == nil {
		l.over = err
		l.guest.now = Generation{}
	}
}

// Commit asks the coordinator for offsets: see Log.Commit and Life.Commit.
func (l *GuestLife) Commit(ctx context.Context, req CommitRequest) (CommitAnswer, error) {
	answer, err := l.guest.begin.coordinator.Commit(ctx, l.incarnation, req)
	l.seen = max(l.seen, answer.Entry.Seq)
	return answer, l.check(err)
}

// Current returns once it is certain that what the coordinator said before the call was said in the
// newest incarnation: see Life.Current.
func (l *GuestLife) Current(ctx context.Context) error {
	return l.check(stillNewest(ctx, l.guest.begin.store, l.incarnation))
}

// HighWatermarks asks the coordinator how far the partitions may be read: see
// Lookups.HighWatermarks.
func (l *GuestLife) HighWatermarks(ctx context.Context, partitions []segments.Partition) ([]int64, error) {
	marks, err := l.guest.lookups.HighWatermarks(ctx, l.incarnation, partitions)
	return marks, l.check(err)
}

// Settle writes the facts into the journal and confirms them, as Life.Settle does, in the
// caller's goroutine. When it gives up because ctx ends, the life is over as well: it is then not
// known how its chain ends.
func (l *GuestLife) Settle(ctx context.Context, entries ...Entry) error {
	if l.over != nil {
		return fmt.Errorf("%w: %w", ErrFenced, l.over)
	}
	s, err := newSettlement(l.incarnation, entries)
	if err != nil || len(s.facts) == 0 {
		return err
	}
	if err := settleable(ctx, loader{l.guest.begin.store, 1}, l.incarnation, entries); err != nil {
		return err
	}
	if err := l.journal.write(ctx, []*settlement{s}); err != nil {
		l.end(err)
		return err
	}
	return nil
}

// Stream returns the entries of the commit stream after one number, up to another or the newest
// that there is. It fails with ErrTrimmed if they are not kept any more.
func (l *GuestLife) Stream(ctx context.Context, after, upTo uint64) ([]Entry, error) {
	log := l.guest.begin.coordinator
	latest, err := log.Latest(ctx, l.incarnation)
	if err != nil {
		return nil, l.check(err)
	}
	var entries []Entry
	for upTo = min(upTo, latest); after < upTo; after = entries[len(entries)-1].Seq {
		for e, err := range log.Follow(ctx, l.incarnation, after) {
			if err != nil {
				return nil, l.check(err)
			}
			if entries = append(entries, e); e.Seq >= upTo {
				break
			}
		}
	}
	return entries, nil
}

// Settled returns the number up to which every fact is confirmed: see Stream.Settled.
func (l *GuestLife) Settled(ctx context.Context) (uint64, error) {
	seq, err := l.guest.begin.coordinator.Settled(ctx, l.incarnation)
	return seq, l.check(err)
}
