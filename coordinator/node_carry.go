package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"firn.dev/segments"
)

// A segment that is not large can travel in the journal object that has its fact: one put instead
// of two, one after the other. It is committed first, under an id that says in which object it will
// be, and then put together with the fact. If its writer dies in between then there is a commit
// whose bytes never come. Others can tell only by a recovery, which seals the chain: see
// Life.Abandon.

// Carriage is the right to the next object of a life's journal. It ends with Settle or Release.
type Carriage struct {
	life  *Life
	id    segments.ID
	ended atomic.Bool
}

// Carry waits until the next object of the journal is nobody's, and returns the right to it. It
// returns nil if there is no id for a segment that is sealed then: the life is too old, the clock
// was set back, or ids of that second were of no use.
func (l *Life) Carry(ctx context.Context, sealed time.Time) (*Carriage, error) {
	select {
	case l.journal.turn <- struct{}{}:
	case <-l.ctx.Done():
		return nil, l.over()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := &Carriage{life: l}
	if id, ok := l.nextCarried(sealed); ok {
		c.id = id
		return c, nil
	}
	c.Release()
	return nil, nil
}

// nextCarried returns an id for the next object that none was given for it before, should one have
// been of no use: as if the segment were sealed a little later, but not much. The caller
// has the turn.
func (l *Life) nextCarried(sealed time.Time) (segments.ID, bool) {
	life, err := segments.ParseID(l.id)
	if err != nil {
		return segments.ID{}, false
	}
	n := l.journal.chain.next
	id, ok := segments.CarriedID(life, n, sealed)
	if ok && bytes.Compare(id[:], l.carried[:]) <= 0 {
		after := l.carried.Time().Add(time.Second)
		id, ok = segments.CarriedID(life, n, after)
		ok = ok && after.Sub(sealed) < 2*time.Second
	}
	if ok {
		l.carried = id
	}
	return id, ok
}

// ID is the id under which the segment that the object is to carry has to be committed.
func (c *Carriage) ID() segments.ID { return c.id }

// Release gives the right up, unless Settle has taken it: nothing that was committed under the id
// is to be put.
func (c *Carriage) Release() {
	if c.ended.CompareAndSwap(false, true) {
		<-c.life.journal.turn
		c.life.journal.poke()
	}
}

// Settle is Life.Settle for the commit of the segment, whose bytes come with it.
func (c *Carriage) Settle(ctx context.Context, entry Entry, segment []byte) error {
	s, err := newSettlement(c.life.incarnation, []Entry{entry})
	if err != nil {
		return err
	}
	s.carries, s.segment = c.id, segment
	return c.life.settled(ctx, s, func(s *settlement) {
		c.ended.Store(true)
		c.life.journal.addCarried(s)
	})
}

// ErrCarrierGone says that nobody can tell any more whether a segment was in the journal.
var ErrCarrierGone = errors.New("the journal object that was to carry it is gone, or never was")

// ErrNotCarried says that a fact cannot be settled, because the bytes that it speaks of are not in
// the bucket, and may never be.
var ErrNotCarried = errors.New("the journal object that is to carry its segment is not there")

// Carries says whether the journal has the object that was to carry a segment. Once it has, it is a
// segment as any other. If it has not then it may still come, unless seal is set: then the chain is
// sealed before Carries says no. Only the process that the chain is of may ask for that.
func (l *Life) Carries(ctx context.Context, id segments.ID, seal bool) (bool, error) {
	reader := loader{l.node.opts.Store, 1}
	for range loads {
		there, err := carries(ctx, reader, l.incarnation, id)
		if !seal || !errors.Is(err, segments.ErrNotFound) {
			return there, absent(err)
		}
		of, n, _ := id.Carrier()
		last, now := chainListing{of.String(), []uint64{n - 1}}, l.node.Now()
		r := recovery{
			loader: reader, in: l.incarnation, now: now,
			who: l.node.who() + ", ending a chain of its own " + segments.NewID(now).String(),
		}
		if end, err := r.sealChain(ctx, &last); err != nil || end > 0 {
			return false, err
		}
		_, err = reader.store.Get(ctx, journalKey(last.life, n-1), 0, 1)
		if errors.Is(err, segments.ErrNotFound) {
			return false, fmt.Errorf("segment %s: %w", id, ErrCarrierGone)
		}
	}
	return false, fmt.Errorf("%w: the object that is to carry segment %s comes and goes", ErrUnavailable, id)
}

// Carries is Life.Carries without seal.
func (l *GuestLife) Carries(ctx context.Context, id segments.ID) (bool, error) {
	there, err := carries(ctx, loader{l.guest.begin.store, 1}, l.incarnation, id)
	return there, absent(err)
}

func absent(err error) error {
	if errors.Is(err, segments.ErrNotFound) {
		return nil
	}
	return err
}

// carries looks for the journal object that is to carry a segment. It returns segments.ErrNotFound
// if there is none in its place. One that landed when the seal in its place had been deleted is not
// of the journal: then the newest snapshot says that the chain was sealed before it.
func carries(ctx context.Context, l loader, in Incarnation, id segments.ID) (bool, error) {
	of, n, carried := id.Carrier()
	if !carried || n == 0 {
		return false, fmt.Errorf("%w: no journal object carries segment %s", ErrMalformed, id)
	}
	life := of.String()
	o, err := l.journalObject(ctx, journalKey(life, n))
	if err != nil || o.carries != id {
		return false, err
	}
	newest, err := again(ctx, func() (*snapshotObject, error) { return l.newestSnapshot(ctx, in) })
	if err != nil {
		return false, err
	}
	cov := newest.covers[life]
	return !cov.sealed || cov.upTo > n, nil
}

// settleable fails if the bytes that facts speak of are to be carried and are not there.
func settleable(ctx context.Context, l loader, in Incarnation, entries []Entry) error {
	for _, e := range entries {
		if e.Fact == nil || e.Fact.Commit == nil {
			continue
		}
		id := e.Fact.Commit.Segment
		if _, _, carried := id.Carrier(); !carried {
			continue
		}
		there, err := carries(ctx, l, in, id)
		if err = absent(err); err == nil && !there {
			err = fmt.Errorf("segment %s: %w", id, ErrNotCarried)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Abandon ends this life and its incarnation: the next life begins with a recovery. It is for when
// everybody waits behind a commit that a dead node was to put into its journal, which only a
// recovery can rule out.
func (l *Life) Abandon(why error) {
	g := l.generation
	l.node.distrusted.Store(&g)
	l.logger.Warn("recovering the coordinator from the bucket", "cause", why)
	l.end(fmt.Errorf("%w: %w", ErrFenced, why))
}

// Abandon is Life.Abandon. It returns why the life is over.
func (l *GuestLife) Abandon(why error) error {
	g := l.journal.chain.generation
	l.guest.begin.distrusted = &g
	l.guest.begin.logger.Warn("recovering the coordinator from the bucket", "cause", why)
	l.end(fmt.Errorf("%w: %w", ErrFenced, why))
	return l.over
}
