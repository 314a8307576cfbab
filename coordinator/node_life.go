package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"firn.dev/retry"
	"firn.dev/segments"
)

// Life is one life of a node: one journal chain, in one incarnation.
type Life struct {
	node        *Node
	id          string
	incarnation Incarnation
	generation  Generation
	journal     *journal
	logger      *slog.Logger
	looks       looks
	carried     segments.ID // the newest that was given out to be carried

	ctx   context.Context // ends with the life
	end   context.CancelCauseFunc
	tasks sync.WaitGroup
}

// Incarnation is the one that this life is lived in.
func (l *Life) Incarnation() Incarnation { return l.incarnation }

// Ended is closed when this life is over.
func (l *Life) Ended() <-chan struct{} { return l.ctx.Done() }

// over is the error that calls into a life get that is over.
func (l *Life) over() error {
	cause := context.Cause(l.ctx)
	if errors.Is(cause, ErrFenced) || errors.Is(cause, ErrIncarnation) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrFenced, cause)
}

// Commit asks the coordinator for offsets: see Log.Commit. The caller may answer no client before
// Settle and the view's high watermark. ErrFenced and ErrIncarnation mean that this life is over:
// commit again in the next.
func (l *Life) Commit(ctx context.Context, req CommitRequest) (CommitAnswer, error) {
	if l.ctx.Err() != nil {
		return CommitAnswer{}, l.over()
	}
	begun := time.Now()
	answer, err := l.node.opts.Coordinator.Commit(ctx, l.incarnation, req)
	if err != nil {
		return CommitAnswer{}, l.check(err)
	}
	l.node.metrics.commits.Observe(time.Since(begun).Seconds())
	return answer, nil
}

// Decide proposes a change and returns once this node's view has seen the decision. It is not in
// the journal before Settle. An entry that is returned together with an error was decided, and has
// to be settled as well.
func (l *Life) Decide(ctx context.Context, change Change) (Entry, error) {
	if l.ctx.Err() != nil {
		return Entry{}, l.over()
	}
	entry, err := l.propose(ctx, change)
	if err != nil {
		return Entry{}, err
	}
	return entry, l.check(l.node.view.waitSeen(ctx, l.incarnation, entry.Seq))
}

func (l *Life) propose(ctx context.Context, change Change) (Entry, error) {
	if c := change.Merge; c != nil {
		if err := l.node.view.mergeable(c); err != nil {
			return Entry{}, err
		}
	}
	entry, err := l.node.opts.Coordinator.Propose(ctx, l.incarnation, change)
	return entry, l.check(err)
}

// TransactionalID asks the coordinator what is decided of a transactional id: see Lookups. The
// owner of an id builds endings by it.
func (l *Life) TransactionalID(ctx context.Context, id string) (DecidedID, error) {
	if l.ctx.Err() != nil {
		return DecidedID{}, l.over()
	}
	decided, err := l.node.opts.Coordinator.TransactionalID(ctx, l.incarnation, id)
	return decided, l.check(err)
}

// Acquire takes or renews a lease, in the name of this life: see Leases.
func (l *Life) Acquire(ctx context.Context, name string, ttl time.Duration) (Lease, error) {
	if l.ctx.Err() != nil {
		return Lease{}, l.over()
	}
	lease, err := l.node.opts.Coordinator.Acquire(ctx, l.incarnation, name, l.id, ttl)
	return lease, l.check(err)
}

// Release gives back a lease that this life holds.
func (l *Life) Release(ctx context.Context, lease Lease) error {
	return l.check(l.node.opts.Coordinator.Release(ctx, l.incarnation, lease.Name, l.id, lease.Epoch))
}

// check ends the life if err says that it is over.
func (l *Life) check(err error) error {
	if !lifeOver(err) {
		return err
	}
	l.end(err)
	return l.over()
}

// Settle writes the facts into the journal and confirms them. Concurrent calls share journal
// objects. ErrFenced means that this life is over and that it is not known whether the facts are in
// the journal: commit again in the next. It also settles facts that other nodes decided, which
// helps their commits along.
func (l *Life) Settle(ctx context.Context, entries ...Entry) error {
	s, err := newSettlement(l.incarnation, entries)
	if err != nil {
		return err
	}
	if len(s.facts) == 0 {
		return nil
	}
	if err := settleable(ctx, loader{l.node.opts.Store, 1}, l.incarnation, entries); err != nil {
		return err
	}
	return l.settled(ctx, s, l.journal.add)
}

// settled adds a settlement to the journal and waits for it.
func (l *Life) settled(ctx context.Context, s *settlement, add func(*settlement)) error {
	if l.ctx.Err() != nil {
		return l.over()
	}
	l.node.metrics.pending.Add(float64(len(s.seqs)))
	defer l.node.metrics.pending.Sub(float64(len(s.seqs)))
	add(s)
	select {
	case err := <-s.done:
		return err
	case <-l.ctx.Done():
		return l.over()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start runs a task until the life ends. A task that returns an error which is not its
// context's ends the life.
func (l *Life) start(task func(ctx context.Context) error) {
	l.tasks.Go(func() {
		if err := task(l.ctx); err != nil && l.ctx.Err() == nil {
			l.end(err)
		}
	})
}

// followBackoff is short: whoever waits for an acknowledgement waits for the stream as well.
var followBackoff = retry.Backoff{First: 50 * time.Millisecond, Most: 500 * time.Millisecond}

// follow keeps the view current.
func (l *Life) follow(ctx context.Context) error {
	n := l.node
	for tries := 0; ; tries++ {
		var failed error
		for entry, err := range n.opts.Coordinator.Follow(ctx, l.incarnation, n.view.seen()) {
			if err != nil {
				failed = err
				break
			}
			if err := n.view.follow(entry, time.Now()); err != nil {
				return n.distrust(l.generation, err)
			}
			if len(entry.Confirmed) > 0 {
				n.snapshots.journaled()
			}
			tries = 0
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case lifeOver(failed):
			return failed
		case errors.Is(failed, ErrTrimmed):
			l.logger.Warn("fell behind the commit stream, reading the bucket again")
			failed = n.loadView(ctx, l.generation, nil)
			if errors.Is(failed, errWait) { // for a newer incarnation, in which the next life begins
				failed = fmt.Errorf("%w: %w", ErrFenced, failed)
			}
			if lifeOver(failed) {
				return failed
			}
		}
		if failed != nil {
			if retry.Told(tries) {
				l.logger.Warn("following the commit stream fails, trying again", "error", failed)
			}
			if err := followBackoff.Pause(ctx, tries); err != nil {
				return err
			}
		}
	}
}

// producerSweep is how often a node's View forgets silent producers.
const producerSweep = 10 * time.Minute

// A node that died is gone from the Metadata of the others after both of these: soon enough for
// clients that wait 2.5 s before they ask again whom to write to, as franz-go does.
const (
	registrationTTL = 2 * time.Second
	heartbeat       = 300 * time.Millisecond
)

// register announces the node again and again, and hears of the others.
func (l *Life) register(ctx context.Context) error {
	swept := time.Now()
	for failures := 0; ; {
		if err := retry.Pause(ctx, heartbeat); err != nil {
			return err
		}
		switch err := l.announce(ctx); {
		case lifeOver(err):
			return err
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			if retry.Told(failures) {
				l.logger.Warn("registering this node fails, trying again", "error", err)
			}
			failures++
		}
		if time.Since(swept) >= producerSweep {
			l.node.view.forget(l.node.commitClock.passed)
			swept = time.Now()
		}
	}
}

func (l *Life) announce(ctx context.Context) error {
	c := l.node.opts.Coordinator
	info := l.node.opts.Info
	info.Life = l.id
	if err := c.Register(ctx, l.incarnation, info, registrationTTL); err != nil {
		return err
	}
	nodes, err := c.Nodes(ctx, l.incarnation)
	if err != nil {
		return err
	}
	l.node.heard.Store(&nodes)
	l.warnOfTwin(nodes)
	return nil
}

// warnOfTwin says once if another node claims the address of this one: requests that are for one
// then reach the other.
func (l *Life) warnOfTwin(nodes []NodeInfo) {
	own := l.node.opts.Info
	i := slices.IndexFunc(nodes, func(n NodeInfo) bool {
		return n.ID != own.ID && own.HTTP != "" && n.HTTP == own.HTTP
	})
	if i >= 0 && l.node.twin.CompareAndSwap(false, true) {
		l.logger.Warn("another node is told to be reached over HTTP at the address of this one: give each its own",
			"address", own.HTTP, "other_node", nodes[i].ID)
	}
}

// leave takes the node out of the registry.
func (l *Life) leave(ctx context.Context) error {
	info := l.node.opts.Info
	info.Life = l.id
	return l.node.opts.Coordinator.Register(ctx, l.incarnation, info, 0)
}
