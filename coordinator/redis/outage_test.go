package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// The next call notices whatever is lost with Redis, or comes back of it; one node recovers
// from the bucket, the other goes on with it; and every write that was acknowledged is there,
// once, at its offset.
func TestOutages(t *testing.T) {
	// happen does something to the server that stands behind the proxy, in the middle of the load;
	// more lets some writes pass.
	for name, test := range map[string]struct {
		options []string
		happen  func(t *testing.T, proxy *redistest.Proxy, master *redistest.Server, more func())
	}{
		"wiped": {nil, func(_ *testing.T, _ *redistest.Proxy, master *redistest.Server, _ func()) {
			master.Do("FLUSHALL")
		}},
		"restarted empty": {nil, func(_ *testing.T, _ *redistest.Proxy, master *redistest.Server, _ func()) {
			master.Kill()
			master.Restart()
		}},
		"restarted from its log": {[]string{"--appendonly", "yes", "--appendfsync", "everysec"},
			func(_ *testing.T, _ *redistest.Proxy, master *redistest.Server, _ func()) {
				master.Kill()
				master.Restart()
			}},
		"rewound to a dump": {nil, func(_ *testing.T, _ *redistest.Proxy, master *redistest.Server, more func()) {
			master.Do("SAVE")
			more()
			master.Kill()
			master.Restart()
		}},
		"unreachable for a while": {nil, func(_ *testing.T, proxy *redistest.Proxy, master *redistest.Server, _ func()) {
			proxy.Lead("")
			time.Sleep(300 * time.Millisecond) // an outage lasts
			proxy.Lead(master.Addr)
		}},
		"failed over to a replica that lags": {nil, func(
			t *testing.T, proxy *redistest.Proxy, master *redistest.Server, more func(),
		) {
			replica := redistest.Start(t)
			follow(replica, master)
			more()
			replica.Do("REPLICAOF", "NO", "ONE")
			more() // which the replica never hears of
			proxy.Lead(replica.Addr)
		}},
		"failed over and back": {nil, func(t *testing.T, _ *redistest.Proxy, master *redistest.Server, more func()) {
			replica := redistest.Start(t)
			follow(replica, master)
			more()
			replica.Do("REPLICAOF", "NO", "ONE")
			more()
			follow(master, replica) // which takes away what was written meanwhile
			master.Do("REPLICAOF", "NO", "ONE")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			master := redistest.Start(t, test.options...)
			c := newCluster(t, redistest.StartProxy(t, master.Addr))
			c.start(t)
			for range 2 {
				c.more()
				test.happen(t, c.proxy, master, c.more)
				c.more()
			}
			c.finish(t)
		})
	}
}

func follow(replica, master *redistest.Server) {
	replica.Do("REPLICAOF", "127.0.0.1", master.Port)
	replica.Eventually("master_link_status:up", "INFO", "replication")
}

// cluster is two nodes on one bucket and one Redis behind a proxy, and writers that insist.
type cluster struct {
	t     *testing.T
	proxy *redistest.Proxy
	store segments.Store
	nodes []*coordinator.Node
	at    segments.Partition

	ctx    context.Context // ends the load
	stop   context.CancelFunc
	group  sync.WaitGroup
	mu     sync.Mutex
	stored map[int64]segments.ID // what was acknowledged, by offset
	grown  chan struct{}         // closed, and replaced, when something is acknowledged
}

func newCluster(t *testing.T, proxy *redistest.Proxy) *cluster {
	c := &cluster{t: t, proxy: proxy, store: memory.New(), stored: map[int64]segments.ID{}, grown: make(chan struct{})}
	prefix := newPrefix()
	for id := range int32(2) {
		n := join(t, c.store, proxy.Addr, prefix, coordinator.NodeOptions{
			Info: coordinator.NodeInfo{ID: id}, Patience: 200 * time.Millisecond, SnapshotObjects: 200,
		})
		c.nodes = append(c.nodes, n)
	}
	id := segments.NewTopicID()
	create := &coordinator.CreateTopic{ID: id, Name: "a", Partitions: 1}
	if _, err := c.nodes[0].Change(t.Context(), coordinator.Change{CreateTopic: create}); err != nil {
		t.Fatal(err)
	}
	c.at = segments.Partition{Topic: id}
	return c
}

// join makes a node of what Redis has under a prefix, behind an address.
func join(t *testing.T, store segments.Store, addr, prefix string, opts coordinator.NodeOptions) *coordinator.Node {
	opts.Store = store
	opts.Coordinator = connect(t, redis.Options{Addrs: []string{addr}, Prefix: prefix})
	opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	n, err := coordinator.Join(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) }) //nolint:errcheck // Redis may be gone by then
	return n
}

// start begins to write, through both nodes.
func (c *cluster) start(t *testing.T) {
	c.ctx, c.stop = context.WithCancel(t.Context())
	t.Cleanup(func() {
		c.stop()
		c.group.Wait()
	})
	for w := range 4 {
		c.group.Go(func() {
			for c.ctx.Err() == nil {
				c.write(c.nodes[w%2])
			}
		})
	}
}

// write writes one record until it is acknowledged.
func (c *cluster) write(n *coordinator.Node) {
	req := request(c.at)
	for c.ctx.Err() == nil {
		offset, err := attempt(c.ctx, n, req)
		if err != nil {
			if c.ctx.Err() == nil && !passing(err) {
				c.t.Errorf("a write: %v", err)
				c.stop()
			}
			continue
		}
		c.mu.Lock()
		if before, twice := c.stored[offset]; twice {
			c.t.Errorf("offset %d was acknowledged for %s and for %s", offset, before, req.Segment)
		}
		c.stored[offset] = req.Segment
		close(c.grown)
		c.grown = make(chan struct{})
		c.mu.Unlock()
		return
	}
}

// passing says whether a write may be tried again: after all errors but those that the coordinator
// gives to this very request.
func passing(err error) bool {
	for _, final := range []error{
		coordinator.ErrTooOld, coordinator.ErrUnknownPartition, coordinator.ErrMalformed, coordinator.ErrClosed,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// attempt writes in the present life, as ingest does.
func attempt(ctx context.Context, n *coordinator.Node, req coordinator.CommitRequest) (int64, error) {
	life, err := n.Life(ctx)
	if err != nil {
		return 0, err
	}
	answer, err := life.Commit(ctx, req)
	if err != nil {
		return 0, err
	}
	if err := answer.Runs[0][0].Err; err != nil {
		return 0, err
	}
	if err := life.Settle(ctx, answer.Entry); err != nil {
		return 0, err
	}
	base := answer.Runs[0][0].BaseOffset
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-life.Ended(): // its pending commits are dropped: commit again
			cancel()
		case <-waiting.Done():
		}
	}()
	return base, coordinatortest.WaitFor(waiting, n.View(), answerPartition(req), base)
}

func answerPartition(req coordinator.CommitRequest) segments.Partition { return req.Runs[0].Partition }

// more waits until more is acknowledged.
func (c *cluster) more() {
	c.t.Helper()
	late := time.After(30 * time.Second)
	for range 40 {
		c.mu.Lock()
		grown := c.grown
		c.mu.Unlock()
		select {
		case <-grown:
		case <-c.ctx.Done():
			c.t.Fatal(c.ctx.Err())
		case <-late:
			c.t.Fatal("nothing is acknowledged any more")
		}
	}
}

// finish ends the load and compares what was acknowledged with what both nodes serve, and
// what the bucket has.
func (c *cluster) finish(t *testing.T) {
	t.Helper()
	c.stop()
	c.group.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	end := int64(-1)
	for offset := range c.stored {
		end = max(end, offset)
	}
	views := map[string]*coordinator.View{}
	for _, n := range c.nodes {
		if err := coordinatortest.WaitFor(ctx, n.View(), c.at, end); err != nil {
			t.Fatal(err)
		}
		views["node"+string('0'+n.Info().ID)] = n.View()
	}
	state, err := coordinator.Load(ctx, c.store)
	if err != nil {
		t.Fatal(err)
	}
	views["bucket"] = coordinator.NewView(state)
	for who, view := range views {
		records := map[segments.ID]int64{}
		next := int64(0)
		for _, s := range view.Spans(c.at, 0, 1<<30) {
			if s.Base != next {
				t.Errorf("%s: a hole before %d", who, s.Base)
			}
			next = s.Last + 1
			if before, twice := records[s.Segment]; twice {
				t.Errorf("%s: segment %s is at %d and at %d", who, s.Segment, before, s.Base)
			}
			records[s.Segment] = s.Base
		}
		for offset, id := range c.stored {
			if at, found := records[id]; !found || at != offset {
				t.Errorf("%s: segment %s was acknowledged at %d, is at %d, %v", who, id, offset, at, found)
			}
		}
	}
	for _, n := range c.nodes {
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d acknowledged", len(c.stored))
}

// slow is a store whose puts take their time.
type slow struct{ segments.Store }

func (s slow) Put(ctx context.Context, key string, body []byte) error {
	time.Sleep(40 * time.Millisecond) // that of an object store
	return s.Store.Put(ctx, key, body)
}

// Several nodes that notice one after the other that Redis was wiped leave the recovery to the
// first of them. Before, each ended the recovery of the one before, for as long as recoveries took
// longer than they noticed one after the other.
func TestOneRecoveryForAWipe(t *testing.T) {
	master := redistest.Start(t)
	store := slow{memory.New()}
	prefix := newPrefix()
	var nodes []*coordinator.Node
	for id := range int32(5) {
		nodes = append(nodes, join(t, store, master.Addr, prefix, coordinator.NodeOptions{
			Info: coordinator.NodeInfo{ID: id}, Patience: 20 * time.Second,
		}))
	}
	const wipes = 3
	for range wipes {
		before := life(t, nodes[0]).Incarnation()
		master.Do("FLUSHALL")
		for i, n := range nodes {
			go func() { // notices in its turn, while the first recover
				time.Sleep(time.Duration(i) * 25 * time.Millisecond)
				n.CatchUp(t.Context()) //nolint:errcheck // it fails if the test does
			}()
		}
		for _, n := range nodes {
			for life(t, n).Incarnation() == before {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	begun := 0
	for _, err := range store.List(t.Context(), "incarnations/", "") {
		if err != nil {
			t.Fatal(err)
		}
		begun++
	}
	if begun > 1+wipes {
		t.Errorf("%d recoveries were begun for the start and %d wipes", begun, wipes)
	}
}

func life(t *testing.T, n *coordinator.Node) *coordinator.Life {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l, err := n.Life(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
