package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
)

var toRedis = boundary{
	patience: 3 * time.Second,
	refused:  fmt.Errorf("%w: LOADING", coordinator.ErrUnavailable),
	silent:   fmt.Errorf("%w: i/o timeout", coordinator.ErrUnavailable),
}

var errCut = fmt.Errorf("%w: connection refused", coordinator.ErrUnavailable)

// server is one Redis. Its run id changes with each start; what was opened on another run is not
// trusted, as the Redis scripts have it.
type server struct {
	mu       sync.Mutex
	state    *embedded.Coordinator
	run      int
	openedOn int           // the run on which the state was opened
	lost     int           // how often it lost what it held
	changed  chan struct{} // closed when the connections of followers break
	skew     time.Duration // of its clock
}

func (w *world) newServer() *server {
	s := &server{run: w.nextRun(), changed: make(chan struct{})}
	s.state = s.empty(w)
	return s
}

func (s *server) empty(w *world) *embedded.Coordinator {
	return embedded.New(embedded.Options{CommitDeadline: w.plan.CommitDeadline, Clock: w.redisTime, Retain: 64})
}

// replace has the server go on with another state.
func (s *server) replace(state *embedded.Coordinator, openedOn, run int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.openedOn, s.run = state, openedOn, run
	s.lost++
	close(s.changed)
	s.changed = make(chan struct{})
}

// restart has it go on with what it holds, under another run id.
func (s *server) restart(run int) { s.replace(s.state, s.openedOn, run) }

// snapshot is a replica of the server, as current as it will be.
func (s *server) replica() *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &server{state: s.state.Copy(), openedOn: s.openedOn, changed: make(chan struct{})}
}

// connection is a server as a request sees it that was sent to it: it does not survive a restart.
type connection struct {
	s   *server
	run int
}

func (s *server) connect() connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return connection{s, s.run}
}

// trusted returns what decides, and what is closed when it does no more.
func (c connection) trusted() (*embedded.Coordinator, <-chan struct{}, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case c.run != c.s.run:
		return nil, nil, errCut
	case c.s.openedOn != c.s.run:
		return nil, nil, coordinator.ErrNotOpen
	}
	return c.s.state, c.s.changed, nil
}

// reached returns what the server holds, trusted or not.
func (c connection) reached(cut bool) (*embedded.Coordinator, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if cut || c.run != c.s.run {
		return nil, errCut
	}
	return c.s.state, nil
}

// opening is an Open on its way: what the server held when it was looked at, and the state, loaded
// under a name of its own.
type opening struct {
	c        connection
	lost     int
	held     coordinator.Incarnation
	prepared *embedded.Coordinator
}

// look is the beginning of an Open.
func (c connection) look(ctx context.Context, in coordinator.Incarnation) (*opening, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	held, _ := c.s.state.Generation(ctx)
	switch {
	case c.run != c.s.run:
		return nil, errCut
	case held.Incarnation >= in:
		return nil, coordinator.ErrIncarnation
	}
	return &opening{c: c, lost: c.s.lost, held: held.Incarnation}, nil
}

// open makes the state the current one, unless anything came between.
func (o *opening) open(ctx context.Context) error {
	s := o.c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	held, _ := s.state.Generation(ctx)
	switch {
	case o.c.run != s.run || o.lost != s.lost:
		return errCut
	case held.Incarnation != o.held:
		return coordinator.ErrIncarnation
	}
	s.state, s.openedOn = o.prepared, s.run
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// redis is the coordinator as one process sees it.
type redis struct {
	p    *process
	node int // which it is, for those who are cut off; -1: none
}

var _ coordinator.Coordinator = (*redis)(nil)

// ask makes a call to the server that the process talks to. Names are those of the methods of
// coordinator.Coordinator.
func ask[T any](
	ctx context.Context, r *redis, name string, do func(ctx context.Context, e *embedded.Coordinator) (T, error),
) (T, error) {
	c, cut := r.p.w.connect(r.node)
	return call(ctx, r.p, &toRedis, name, func(ctx context.Context) (answer T, err error) {
		if cut {
			return answer, errCut
		}
		e, _, err := c.trusted()
		if err != nil {
			return answer, err
		}
		return do(ctx, e)
	})
}

// Generation implements coordinator.Log.
func (r *redis) Generation(ctx context.Context) (coordinator.Generation, error) {
	return ask(ctx, r, "Generation", func(ctx context.Context, e *embedded.Coordinator) (coordinator.Generation, error) {
		return e.Generation(ctx)
	})
}

// Open implements coordinator.Log, as the client of Redis does it: it looks and loads, which may be
// done again, and then sends the opening, once.
func (r *redis) Open(ctx context.Context, state *coordinator.State) error {
	c, cut := r.p.w.connect(r.node)
	o, err := call(ctx, r.p, &toRedis, "load", func(ctx context.Context) (*opening, error) {
		if cut {
			return nil, errCut
		}
		return c.look(ctx, state.Incarnation())
	})
	if err != nil {
		return err
	}
	o.prepared = c.s.empty(r.p.w)
	if err := o.prepared.Open(ctx, state); err != nil {
		return err
	}
	_, err = call(ctx, r.p, &toRedis, "Open", func(ctx context.Context) (struct{}, error) {
		err := o.open(ctx)
		if err == nil {
			r.p.w.opened(r.p.name, state.Incarnation())
		}
		return done(err)
	})
	if errors.Is(err, coordinator.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", coordinator.ErrOpening, err)
	}
	return err
}

// AnnounceRecovery implements coordinator.Recoveries: whatever is open.
func (r *redis) AnnounceRecovery(ctx context.Context, in coordinator.Incarnation, ttl time.Duration) error {
	c, cut := r.p.w.connect(r.node)
	_, err := call(ctx, r.p, &toRedis, "AnnounceRecovery", func(ctx context.Context) (struct{}, error) {
		e, err := c.reached(cut)
		if err == nil {
			err = e.AnnounceRecovery(ctx, in, ttl)
		}
		return done(err)
	})
	return err
}

// AnnouncedRecovery implements coordinator.Recoveries.
func (r *redis) AnnouncedRecovery(ctx context.Context) (coordinator.Incarnation, error) {
	c, cut := r.p.w.connect(r.node)
	return call(ctx, r.p, &toRedis, "AnnouncedRecovery", func(ctx context.Context) (coordinator.Incarnation, error) {
		e, err := c.reached(cut)
		if err != nil {
			return 0, err
		}
		return e.AnnouncedRecovery(ctx)
	})
}

// Commit implements coordinator.Log.
func (r *redis) Commit(ctx context.Context, in coordinator.Incarnation,
	req coordinator.CommitRequest) (coordinator.CommitAnswer, error) {
	return ask(ctx, r, "Commit", func(ctx context.Context, e *embedded.Coordinator) (coordinator.CommitAnswer, error) {
		return e.Commit(ctx, in, req)
	})
}

// Propose implements coordinator.Log.
func (r *redis) Propose(ctx context.Context, in coordinator.Incarnation,
	change coordinator.Change) (coordinator.Entry, error) {
	return ask(ctx, r, "Propose", func(ctx context.Context, e *embedded.Coordinator) (coordinator.Entry, error) {
		entry, err := e.Propose(ctx, in, change)
		if err == nil {
			r.p.w.judge.coord(entry)
		}
		return entry, err
	})
}

// Confirm implements coordinator.Log.
func (r *redis) Confirm(ctx context.Context, in coordinator.Incarnation, seqs []uint64) error {
	_, err := ask(ctx, r, "Confirm", func(ctx context.Context, e *embedded.Coordinator) (struct{}, error) {
		err := e.Confirm(ctx, in, seqs)
		if err == nil {
			r.p.w.judge.confirms(in, seqs)
		}
		return done(err)
	})
	return err
}

// Settled implements coordinator.Log.
func (r *redis) Settled(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	return ask(ctx, r, "Settled", func(ctx context.Context, e *embedded.Coordinator) (uint64, error) {
		return e.Settled(ctx, in)
	})
}

// Latest implements coordinator.Log.
func (r *redis) Latest(ctx context.Context, in coordinator.Incarnation) (uint64, error) {
	return ask(ctx, r, "Latest", func(ctx context.Context, e *embedded.Coordinator) (uint64, error) {
		return e.Latest(ctx, in)
	})
}

// Topic implements coordinator.Log.
func (r *redis) Topic(ctx context.Context, in coordinator.Incarnation, name string) (coordinator.TopicFact, error) {
	return ask(ctx, r, "Topic", func(ctx context.Context, e *embedded.Coordinator) (coordinator.TopicFact, error) {
		return e.Topic(ctx, in, name)
	})
}

// HighWatermarks implements coordinator.Log.
func (r *redis) HighWatermarks(ctx context.Context, in coordinator.Incarnation,
	ps []segments.Partition) ([]int64, error) {
	return ask(ctx, r, "HighWatermarks", func(ctx context.Context, e *embedded.Coordinator) ([]int64, error) {
		return e.HighWatermarks(ctx, in, ps)
	})
}

// TransactionalID implements coordinator.Log.
func (r *redis) TransactionalID(ctx context.Context, in coordinator.Incarnation,
	id string) (coordinator.DecidedID, error) {
	return ask(ctx, r, "TransactionalID", func(ctx context.Context,
		e *embedded.Coordinator) (coordinator.DecidedID, error) {
		return e.TransactionalID(ctx, in, id)
	})
}

// Keyed implements coordinator.Log.
func (r *redis) Keyed(ctx context.Context, in coordinator.Incarnation, topic segments.TopicID,
	ids ...[16]byte) ([]*coordinator.RequestKey, error) {
	return ask(ctx, r, "Keyed", func(ctx context.Context, e *embedded.Coordinator) ([]*coordinator.RequestKey, error) {
		return e.Keyed(ctx, in, topic, ids...)
	})
}

// Acquire implements coordinator.Leases.
func (r *redis) Acquire(ctx context.Context, in coordinator.Incarnation, name, holder string,
	ttl time.Duration) (coordinator.Lease, error) {
	return ask(ctx, r, "Acquire", func(ctx context.Context, e *embedded.Coordinator) (coordinator.Lease, error) {
		return e.Acquire(ctx, in, name, holder, ttl)
	})
}

// Now implements coordinator.Leases.
func (r *redis) Now(ctx context.Context, in coordinator.Incarnation) (time.Time, error) {
	return ask(ctx, r, "Now", func(ctx context.Context, e *embedded.Coordinator) (time.Time, error) {
		return e.Now(ctx, in)
	})
}

// Release implements coordinator.Leases.
func (r *redis) Release(ctx context.Context, in coordinator.Incarnation, name, holder string, epoch uint64) error {
	_, err := ask(ctx, r, "Release", func(ctx context.Context, e *embedded.Coordinator) (struct{}, error) {
		return done(e.Release(ctx, in, name, holder, epoch))
	})
	return err
}

// Register implements coordinator.Registry.
func (r *redis) Register(ctx context.Context, in coordinator.Incarnation, node coordinator.NodeInfo,
	ttl time.Duration) error {
	_, err := ask(ctx, r, "Register", func(ctx context.Context, e *embedded.Coordinator) (struct{}, error) {
		return done(e.Register(ctx, in, node, ttl))
	})
	return err
}

// Nodes implements coordinator.Registry.
func (r *redis) Nodes(ctx context.Context, in coordinator.Incarnation) ([]coordinator.NodeInfo, error) {
	return ask(ctx, r, "Nodes", func(ctx context.Context, e *embedded.Coordinator) ([]coordinator.NodeInfo, error) {
		return e.Nodes(ctx, in)
	})
}

// Follow implements coordinator.Log. Its faults strike when it is called; afterwards it breaks with
// the server, and when the process is cut off.
func (r *redis) Follow(ctx context.Context, in coordinator.Incarnation, after uint64) iter.Seq2[coordinator.Entry,
	error] {
	return func(yield func(coordinator.Entry, error) bool) {
		c, cut := r.p.w.connect(r.node)
		type followed struct {
			e      *embedded.Coordinator
			broken <-chan struct{}
		}
		f, err := call(ctx, r.p, &toRedis, "Follow", func(context.Context) (f followed, err error) {
			if cut {
				return f, errCut
			}
			f.e, f.broken, err = c.trusted()
			return f, err
		})
		if err != nil {
			yield(coordinator.Entry{}, err)
			return
		}
		following, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		r.p.w.tasks.Go(func() {
			select {
			case <-f.broken:
				stop(errCut)
			case <-r.p.w.cutting(r.node):
				stop(errCut)
			case <-r.p.died:
				stop(errKilled)
			case <-following.Done():
			}
		})
		for entry, err := range f.e.Follow(following, in, after) {
			if errors.Is(err, context.Canceled) {
				err = context.Cause(following)
			}
			if err == nil {
				err = r.p.gate()
			}
			if err == nil {
				err = r.p.pause(following, r.p.w.streamDelay(r.p.name))
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}
