package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/retry"
	"firn.dev/segments"
)

// NodeOptions is what a Node needs. Zero values of the numbers mean their defaults.
type NodeOptions struct {
	Store       segments.Store
	Coordinator Coordinator
	Info        NodeInfo // Life is filled in
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	Clock       func() time.Time // this machine's, which may be wrong; time.Now

	// as the coordinator has it: how old a segment may be when it is committed; DefaultCommitDeadline
	CommitDeadline time.Duration

	SnapshotObjects int           // journal objects after which a snapshot is due; 1000
	SealRetention   time.Duration // how long the seal of a chain outlives it; 7 days
	Grace           time.Duration // how long a segment in the journal outlives the need of it; DefaultGrace
	// Retry says whether Join tries again after an error that may pass; nil: it does not. Tries of one
	// Join leave one chain in the journal, however many they are; calls of Join leave one each.
	Retry func(error) bool

	Patience time.Duration // how long to wait for another node's recovery before starting one; 3 s
	Probe    time.Duration // with an exclusive coordinator: how often an idle node looks whether it is fenced; 10 s
}

const defaultSealRetention = 7 * 24 * time.Hour

func (o NodeOptions) withDefaults() NodeOptions {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.CommitDeadline == 0 {
		o.CommitDeadline = DefaultCommitDeadline
	}
	if o.SnapshotObjects == 0 {
		o.SnapshotObjects = 1000
	}
	if o.SealRetention == 0 {
		o.SealRetention = defaultSealRetention
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Patience == 0 {
		o.Patience = 3 * time.Second
	}
	if o.Probe == 0 {
		o.Probe = 10 * time.Second
	}
	return o
}

// ErrClosed is what a node's calls return after Close.
var ErrClosed = errors.New("the node is closed")

// exclusive is implemented by coordinators that serve one process alone. For such a process to be
// fenced means that another one has taken the bucket over: it must not fight back.
type exclusive interface{ Exclusive() bool }

// Node is this process's membership of a cluster. It lives one life after another: when a recovery
// seals its journal chain, or the incarnation changes, the life ends and Life returns the next.
// With an embedded coordinator, being fenced means that another process has taken the bucket over:
// then there is no next life, Done is closed and Err says so.
type Node struct {
	opts      NodeOptions
	exclusive bool
	metrics   *metrics
	hedges    *hedges
	view      *View
	snapshots *snapshotter
	producers producerIDs
	heard     atomic.Pointer[[]NodeInfo]
	twin      atomic.Bool // that another node claims this one's address has been told

	distrusted atomic.Pointer[Generation] // see distrust

	storeClock  passedClock // the store's, by when it created objects
	commitClock passedClock // the coordinator's, by when it decided what a State remembers

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	life    *Life         // nil while the next begins
	changed chan struct{} // closed, and replaced, when life changes
	err     error
}

// Join recovers the coordinator's state if it has none, begins the first life, loads the view and
// follows the commit stream.
func Join(ctx context.Context, opts NodeOptions) (*Node, error) {
	opts = opts.withDefaults()
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	n := &Node{opts: opts, metrics: m, hedges: newHedges(m),
		done: make(chan struct{}), changed: make(chan struct{}),
		producers: producerIDs{turn: make(chan struct{}, 1)}}
	if x, ok := opts.Coordinator.(exclusive); ok {
		n.exclusive = x.Exclusive()
	}
	n.snapshots = newSnapshotter(n)
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	life, err := n.nextLife(ctx, 0)
	if err != nil {
		n.cancel()
		return nil, err
	}
	if err := n.registerGauges(opts.Registerer); err != nil {
		n.cancel()
		life.end(err)
		life.tasks.Wait()
		return nil, err
	}
	go n.run(life)
	return n, nil
}

// run lives one life after another.
func (n *Node) run(life *Life) {
	defer close(n.done)
	defer n.hedges.running.Wait()
	for {
		select {
		case <-life.Ended():
		case <-n.ctx.Done():
		}
		n.setLife(nil)
		if n.ctx.Err() != nil {
			n.fail(ErrClosed)
		}
		cause := context.Cause(life.ctx)
		life.end(ErrClosed)
		life.tasks.Wait()
		if n.ctx.Err() != nil {
			return
		}
		if n.exclusive {
			n.fail(n.takenOver(cause))
			return
		}
		n.opts.Logger.Warn("this node's life is over, beginning the next", "life", life.id, "incarnation", life.incarnation,
			"cause", cause)
		var err error
		if life, err = n.nextLife(n.ctx, life.incarnation); err != nil {
			n.fail(err)
			return
		}
	}
}

// takenOver explains the end of a node with an embedded coordinator. It meets another's seal, or it
// looks and finds a newer incarnation: both say that another has recovered.
func (n *Node) takenOver(cause error) error {
	if !errors.Is(cause, ErrFenced) && !errors.Is(cause, ErrIncarnation) {
		return fmt.Errorf("this node cannot go on: %w", cause)
	}
	ctx, cancel := context.WithTimeout(n.ctx, 5*time.Second)
	defer cancel()
	return explainFence(ctx, n.opts.Store)
}

// explainFence says who has taken the bucket over.
func explainFence(ctx context.Context, store segments.Store) error {
	newest, err := newestIncarnation(ctx, store, 0)
	if err == nil {
		if o, err := readIncarnation(ctx, store, newest); err == nil {
			who, _, _ := strings.Cut(o.who, recoveryMark)
			return fmt.Errorf("%w: another firn (%s) took this bucket over at %s, so this one acknowledges nothing more",
				ErrFenced, who, time.UnixMilli(o.when).UTC().Format(time.RFC3339))
		}
	}
	return fmt.Errorf("%w: another firn took this bucket over, so this one acknowledges nothing more", ErrFenced)
}

func (n *Node) setLife(l *Life) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life = l
	close(n.changed)
	n.changed = make(chan struct{})
}

// fail says that there will be no further life.
func (n *Node) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.err = err
		close(n.changed)
		n.changed = make(chan struct{})
	}
}

// View is the state that this node's readers share; it stays the same through all lives.
func (n *Node) View() *View { return n.view }

// Now is the time by this machine's clock. It may be wrong: what must not go wrong with it goes by
// the coordinator's clock, or by the store's.
func (n *Node) Now() time.Time { return n.opts.Clock() }

// Life returns the current life, and waits for it while it begins. It fails with ErrFenced when
// there will be none any more.
func (n *Node) Life(ctx context.Context) (*Life, error) {
	for {
		n.mu.Lock()
		life, changed, err := n.life, n.changed, n.err
		n.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if life != nil && life.ctx.Err() == nil {
			return life, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// changeBackoff is how long a change waits for a coordinator that is not available.
const changeBackoff = 50 * time.Millisecond

// Change proposes, journals and confirms a change, and returns once this node's view shows it. It
// goes on in the next life when one ends, and waits as long as ctx allows for a coordinator that is
// not available.
func (n *Node) Change(ctx context.Context, change Change) (Fact, error) {
	if change.ID == (segments.ID{}) {
		change.ID = segments.NewID(n.Now())
	}
	for again := false; ; again = true {
		life, err := n.Life(ctx)
		if err != nil {
			return Fact{}, err
		}
		fact, err := life.change(ctx, change)
		if errors.Is(err, ErrUnavailable) {
			if err := retry.Pause(ctx, changeBackoff); err != nil {
				return Fact{}, err
			}
			continue
		}
		if err == nil || !lifeOver(err) {
			if again && n.madeBefore(change, err) {
				return Fact{Topic: n.view.topicFact(change)}, nil
			}
			return fact, err
		}
	}
}

func (l *Life) change(ctx context.Context, change Change) (Fact, error) {
	entry, err := l.propose(ctx, change)
	if err != nil {
		return Fact{}, err
	}
	if err := l.Settle(ctx, entry); err != nil {
		return Fact{}, err
	}
	if err := l.node.view.waitShown(ctx, l.incarnation, entry.Seq); err != nil {
		return Fact{}, err
	}
	return *entry.Fact, nil
}

// madeBefore says whether a change that is refused in this life was made in the life before: its
// fact was journaled, but that life was over before it could say so.
func (n *Node) madeBefore(c Change, refused error) bool {
	fact := n.view.topicFact(c)
	switch {
	case refused == nil || fact == nil:
		return false
	case c.CreateTopic != nil:
		return errors.Is(refused, ErrTopicExists)
	case c.DeleteTopic != nil:
		return errors.Is(refused, ErrUnknownTopic) && fact.Deleted
	case c.Grow != nil:
		return errors.Is(refused, ErrPartitionCount) && fact.Partitions == c.Grow.Partitions
	}
	return false
}

// CatchUp returns once this node's view shows all that any node has told anybody before the call. A
// view is a little behind those of other nodes, and far behind while this node is cut off: then
// CatchUp waits as long as ctx allows.
func (n *Node) CatchUp(ctx context.Context) error {
	for {
		life, err := n.Life(ctx)
		if err != nil {
			return err
		}
		newest, err := n.opts.Coordinator.Latest(ctx, life.incarnation)
		if errors.Is(err, ErrUnavailable) { // one reply may be lost; of two the coordinator is away
			newest, err = n.opts.Coordinator.Latest(ctx, life.incarnation)
		}
		if err == nil {
			err = n.view.waitSeen(ctx, life.incarnation, newest)
		}
		if err == nil && n.exclusive {
			err = life.takenOver(ctx)
		}
		if err = life.check(err); err == nil || !lifeOver(err) {
			return err
		}
	}
}

// CoordinatorTime returns the time by the coordinator's clock: see Leases.
func (n *Node) CoordinatorTime(ctx context.Context) (time.Time, error) {
	life, err := n.Life(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now, err := n.opts.Coordinator.Now(ctx, life.incarnation)
	return now, life.check(err)
}

// takenOver says whether another process has begun to take the bucket over from a coordinator that
// serves this process alone, which may hear of it much later. By then the other may have told
// clients more than this node knows.
func (l *Life) takenOver(ctx context.Context) error {
	_, err := readIncarnation(ctx, l.node.opts.Store, l.incarnation+1)
	switch {
	case errors.Is(err, segments.ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("%w: another firn takes this bucket over", ErrUnavailable)
	}
	return err
}

// Nodes returns the live nodes of the cluster, ordered by id, as last heard.
func (n *Node) Nodes() []NodeInfo {
	if heard := n.heard.Load(); heard != nil {
		return *heard
	}
	return nil
}

// Info is how this node was introduced to the others, without its life.
func (n *Node) Info() NodeInfo { return n.opts.Info }

// Done is closed when the node cannot go on; Err then says why.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err says why Done is closed, or nil.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Slowness knows when a put of this node is slow, whatever is put.
func (n *Node) Slowness() *segments.Slowness { return n.hedges.slow }

// Close ends the membership: it hands leases back, leaves the registry and waits for everything
// that it started.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	life := n.life
	n.mu.Unlock()
	var err error
	if life != nil && life.ctx.Err() == nil {
		n.snapshots.release(ctx, life)
		if err = life.leave(ctx); lifeOver(err) {
			err = nil
		}
	}
	n.cancel()
	select {
	case <-n.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
