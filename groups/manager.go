package groups

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/time/rate"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
)

// Manager coordinates the consumer groups that this node owns. Its methods are safe for concurrent
// use.
type Manager struct {
	opts     Options
	ofGroups protocol.Options // the same, as groups know them
	metrics  *metrics
	failures rate.Sometimes
	flusher  *flusher

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	shards  [shardCount]shard
	groups  atomic.Int64 // that are kept in memory
	members atomic.Int64
	bytes   atomic.Int64 // of what members sent
	claims  atomic.Int64 // that are kept in memory

	topics   atomic.Pointer[protocol.Catalog]
	learning sync.Mutex // of topics
}

// shardCount is the number of leases that all groups share. All nodes have to agree on it.
const shardCount = 32

// shard is a part of all groups: those with one hash. They are owned together.
type shard struct {
	taking chan struct{} // holds an element while somebody takes the lease
	held   atomic.Pointer[shardOwnership]
	numbers
	requests inFlight // of this node, under any of its ownerships
}

// New returns a manager.
func New(opts Options) (*Manager, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m := &Manager{opts: opts, ofGroups: opts.ofGroups(), failures: rate.Sometimes{First: 3, Interval: time.Second}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for i := range m.shards {
		m.shards[i].taking = make(chan struct{}, 1)
	}
	m.flusher = newFlusher(opts.FlushInterval, opts.Limits.Unjournaled, opts.Logger)
	m.metrics = newMetrics(opts.Registerer, m)
	m.topics.Store(protocol.NewCatalog(1, opts.Node.View().Topics()))
	m.tasks.Go(func() { m.flusher.run(m.ctx) })
	m.tasks.Go(func() { m.sweep(m.ctx) })
	m.tasks.Go(func() { m.followTopics(m.ctx) })
	return m, nil
}

// Options are those that hold.
func (m *Manager) Options() Options { return m.opts }

// Limits are those that hold.
func (m *Manager) Limits() Limits { return m.opts.Limits }

// GroupCount is how many groups this node may have to list: those with members, and all with
// committed offsets.
func (m *Manager) GroupCount() int { return int(m.groups.Load()) + m.opts.Node.View().GroupCount() }

// MemberBytes is how much memory the members of all groups take.
func (m *Manager) MemberBytes() int64 { return m.bytes.Load() }

// Close tells everybody who waits to look for another node, has what was committed journaled, and
// hands the leases back.
func (m *Manager) Close(ctx context.Context) error {
	var held []*shardOwnership
	for i := range m.shards {
		select {
		case m.shards[i].taking <- struct{}{}: // for good: nobody takes the lease any more
		case <-ctx.Done():
		}
		if t := m.shards[i].held.Load(); t != nil {
			held = append(held, t)
			t.keepAll(ctx)
			t.end()
		}
	}
	m.cancel()
	m.tasks.Wait()
	err := m.flusher.flush(ctx)
	for _, t := range held {
		t.release(ctx)
	}
	return err
}

// shardOf is the number of a group's shard. All nodes have to agree on it.
func shardOf(group string) int {
	h := fnv.New32a()
	h.Write([]byte(group))
	return int(h.Sum32() % shardCount)
}

// leaseName names the lease of a shard.
func leaseName(shard int) string { return "group/" + strconv.Itoa(shard) }

// Owner returns the node that owns a group, or should: the live node that wins the rendezvous hash
// of the group's shard. Every node gives the same answer once it has heard of the same nodes.
// False: no node is alive.
func (m *Manager) Owner(group string) (coordinator.NodeInfo, bool) { return m.ownerOf(shardOf(group)) }

func (m *Manager) ownerOf(shard int) (coordinator.NodeInfo, bool) {
	return coordinator.Rendezvous(m.opts.Node.Nodes(), binary.BigEndian.AppendUint32([]byte("group/"), uint32(shard)))
}

// mine says whether a shard is this node's to own.
func (m *Manager) mine(shard int) bool {
	owner, any := m.ownerOf(shard)
	return any && owner.ID == m.opts.Node.Info().ID
}

// takeTimeout is how long a request waits for its group's lease to be taken.
const takeTimeout = 10 * time.Second

// ownership returns this node's ownership of a group, and takes it if it is free and this node's to
// take.
func (m *Manager) ownership(ctx context.Context, group string) (*shardOwnership, error) {
	if group == "" {
		return nil, kerr.InvalidGroupID
	}
	n := shardOf(group)
	s := &m.shards[n]
	if t := s.held.Load(); t != nil && t.holds() {
		return t, nil
	}
	if !m.mine(n) {
		return nil, kerr.NotCoordinator
	}
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	select {
	case s.taking <- struct{}{}:
		defer func() { <-s.taking }()
	case <-m.ctx.Done():
		return nil, kerr.NotCoordinator
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if t := s.held.Load(); t != nil {
		if t.holds() {
			return t, nil
		}
		t.end()
	}
	t, err := m.take(ctx, n)
	if err != nil {
		return nil, err
	}
	s.held.Store(t)
	for _, l := range t.all() { // that were not told of topics since they were taken over
		l.see(m.topics.Load())
	}
	m.tasks.Go(t.run)
	return t, nil
}

// take acquires the lease of a shard. Everything that former owners committed shows in the view
// when it returns: the barrier was decided after it, and it waits for atomic requests. Those of
// this node are over before it asks for the lease, which may have the same epoch again.
func (m *Manager) take(ctx context.Context, shard int) (*shardOwnership, error) {
	life, err := m.opts.Node.Life(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.shards[shard].requests.wait(ctx); err != nil {
		return nil, err
	}
	lease, err := life.Hold(ctx, leaseName(shard), m.opts.LeaseTTL)
	if err != nil {
		return nil, err
	}
	t := &shardOwnership{m: m, shard: shard, life: life, lease: lease,
		groups: map[string]*hostedGroup{}, ended: make(chan struct{})}
	entry, err := life.Decide(ctx, coordinator.Change{Offsets: &coordinator.CommitOffsets{Lease: lease.Name,
		Epoch: lease.Epoch}})
	m.flusher.add(life, entry)
	if err != nil {
		return nil, err
	}
	if err := life.AwaitAtomic(ctx, func(group string) bool { return shardOf(group) == shard }); err != nil {
		return nil, err
	}
	m.shards[shard].begin(lease.Epoch, entry.Fact.Offsets.Version)
	t.renewed, t.stop = lease.While(m.ctx, t.regained)
	m.learnTopics() // to see which came since the former owner assigned them
	t.takeOver()
	m.opts.Logger.Debug("groups are this node's now", "shard", shard, "epoch", lease.Epoch)
	return t, nil
}
