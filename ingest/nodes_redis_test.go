package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/transactions"
)

// redisNode is a node with its writer, and a direct writer that goes the same way to Redis.
type redisNode struct {
	node   *coordinator.Node
	writer *ingest.Writer
	direct *ingest.Direct
}

// redisWorld is nodes on a bucket and a Redis, and what they acknowledged.
type redisWorld struct {
	t      *testing.T
	store  segments.Store
	server *redistest.Server
	proxy  *redistest.Proxy // on the way of the first node
	at     segments.Partition
	acked  map[string]int64
	ids    map[int64]bool // ends of the ranges of producer ids that were handed out
	n      int
}

func newRedisWorld(t *testing.T) *redisWorld {
	server := redistest.Start(t)
	return &redisWorld{t: t, store: memory.New(), server: server, proxy: redistest.StartProxy(t, server.Addr),
		at: segments.Partition{Topic: segments.NewTopicID()}, acked: map[string]int64{}, ids: map[int64]bool{}}
}

// join starts a node. The first creates the topic.
func (w *redisWorld) join(id int32, addr string) *redisNode {
	w.t.Helper()
	logger := slog.New(slog.NewTextHandler(w.t.Output(), nil)).With("node", id)
	c := connectRedis(w.t, addr)
	node, err := coordinator.Join(w.t.Context(), coordinator.NodeOptions{Store: w.store, Coordinator: c,
		Info: coordinator.NodeInfo{ID: id}, Logger: logger, Patience: 100 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	writer, err := ingest.New(ingest.Options{Store: w.store, Node: node, Logger: logger})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := errors.Join(writer.Close(context.Background()), node.Close(context.Background())); err != nil {
			w.t.Error(err)
		}
	})
	if id == 1 {
		create := &coordinator.CreateTopic{ID: w.at.Topic, Name: "a", Partitions: 1}
		if _, err := node.Change(w.t.Context(), coordinator.Change{CreateTopic: create}); err != nil {
			w.t.Fatal(err)
		}
	}
	direct, err := ingest.OpenDirect(w.t.Context(), ingest.DirectOptions{Store: w.store, Coordinator: c, Logger: logger,
		TopicLifetime: time.Nanosecond}) // so that it looks up the topic for each write
	if err != nil {
		w.t.Fatal(err)
	}
	return &redisNode{node, writer, direct}
}

// write appends one record.
func (w *redisWorld) write(n *redisNode) (value string, p *ingest.Pending) {
	w.t.Helper()
	w.n++
	value = fmt.Sprint("value ", w.n)
	packed, err := ingest.Pack(values(value), ingest.PackOptions{Topic: w.at.Topic, Partitions: 1})
	if err == nil {
		p, err = n.writer.Append(w.t.Context(), []ingest.Batch{packed[0].Batch})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return value, p
}

// wait notes where the record is.
func (w *redisWorld) wait(value string, p *ingest.Pending) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	results, err := p.Wait(ctx)
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		w.t.Fatalf("%s: %v", value, err)
	}
	w.acked[value] = results[0].BaseOffset
}

// judge compares what was acknowledged with what the bucket has.
func (w *redisWorld) judge() {
	w.t.Helper()
	found := readAll(w.t, w.store, w.at)
	for value, offset := range w.acked {
		if at := found[value]; len(at) != 1 || at[0] != offset {
			w.t.Errorf("%s was acknowledged at %d, and is at %v", value, offset, at)
		}
	}
	if len(found) != len(w.acked) {
		w.t.Errorf("%d values are in the log, %d were written", len(found), len(w.acked))
	}
}

func script(t *testing.T, name string) []byte {
	t.Helper()
	for hash, is := range redis.Scripts() {
		if is == name {
			return []byte(hash)
		}
	}
	t.Fatalf("there is no script %s", name)
	return nil
}

// A node's opening takes effect, and the reply is lost. While the node is cut off another lives in
// that incarnation and acknowledges; then Redis loses its state. The first node does not open what
// it had recovered a second time: it recovers anew, with the next number, and commits what it has
// not acknowledged yet behind all that the other did.
func TestWriterAfterALostOpening(t *testing.T) {
	w := newRedisWorld(t)
	first := w.join(1, w.proxy.Addr)
	w.wait(w.write(first))
	lost := w.proxy.CutAfter(script(t, "open"))
	w.server.Do("FLUSHALL")
	held, pending := w.write(first)
	<-lost
	second := w.join(2, w.server.Addr)
	lived := incarnationOf(t, second)
	if lived != 2 {
		t.Fatalf("the second node lives in incarnation %d, should be in the one that the first opened, 2", lived)
	}
	for range 3 {
		w.wait(w.write(second))
	}
	w.server.Do("FLUSHALL")
	w.proxy.Lead(w.server.Addr)
	w.wait(held, pending)
	for range 3 {
		w.wait(w.write(first))
		w.wait(w.write(second))
	}
	if now := incarnationOf(t, first); now <= lived {
		t.Errorf("the first node lives in incarnation %d, others have lived in %d", now, lived)
	}
	w.judge()
}

func incarnationOf(t *testing.T, n *redisNode) coordinator.Incarnation {
	t.Helper()
	life, err := n.node.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return life.Incarnation()
}

// Two nodes and their direct writers write, and make every other call. Of each script the next
// request of the first node is lost, and then the reply to one: whoever sends it, a life, a
// follower, a heartbeat, a recovery. Everything goes on, and nothing is lost, written twice or
// moved.
func TestNodesLoseEachScript(t *testing.T) {
	for hash, name := range redis.Scripts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRedisWorld(t)
			first, second := w.join(1, w.proxy.Addr), w.join(2, w.server.Addr)
			for _, lose := range []func([]byte){w.proxy.LoseRequest, w.proxy.LoseReply} {
				w.everything(first, second)
				lose([]byte(hash))
				for until := time.Now().Add(time.Minute); w.proxy.Sent() == 0; {
					switch name {
					case "look", "load", "open", "recovering": // of a recovery; the next may be the first node's
						w.server.Do("FLUSHALL")
					}
					if w.everything(first, second); time.Now().After(until) {
						t.Fatal("nobody sends it")
					}
				}
			}
			w.everything(first, second)
			w.judge()
			w.leases(second)
		})
	}
}

// everything makes all calls, until they have succeeded where nodes insist.
func (w *redisWorld) everything(nodes ...*redisNode) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for _, n := range nodes {
		w.wait(w.write(n))
		w.n++
		key := fmt.Sprint("key ", w.n)
		written, err := n.direct.Write(ctx, "a", values(key), ingest.IdempotencyKey(key))
		if err != nil {
			w.t.Fatalf("a direct writer: %v", err)
		}
		w.acked[key] = written[0].Offset
		fact, err := n.node.Change(ctx, coordinator.Change{ProducerIDs: 1})
		if err != nil {
			w.t.Fatalf("producer ids: %v", err)
		}
		if w.ids[fact.ProducerIDs.End] {
			w.t.Errorf("producer id %d was handed out twice", fact.ProducerIDs.End-1)
		}
		w.ids[fact.ProducerIDs.End] = true
		when := fmt.Sprint(w.n)
		change := coordinator.Change{Configure: &coordinator.Configure{Topic: w.at.Topic,
			Set: map[string]*string{"retention.ms": &when}}}
		if _, err := n.node.Change(ctx, change); err != nil {
			w.t.Fatalf("a config: %v", err)
		}
		if got := n.node.View().TopicByID(w.at.Topic).Configs["retention.ms"]; got != when {
			w.t.Errorf("a config is %q, was set to %q", got, when)
		}
		w.topic(ctx, n)
		if err := n.node.CatchUp(ctx); err != nil {
			w.t.Fatalf("catching up: %v", err)
		}
		w.time(ctx, n)
		w.offsets(ctx, n)
		w.transaction(ctx, n)
	}
}

// transaction begins one and ends it.
func (w *redisWorld) transaction(ctx context.Context, n *redisNode) {
	w.t.Helper()
	m, err := transactions.New(transactions.Options{Node: n.node, Writer: n.writer})
	if err != nil {
		w.t.Fatal(err)
	}
	defer m.Close(ctx)
	id := fmt.Sprint("transactions of node ", n.node.Info().ID)
	p, err := m.Begin(ctx, id, time.Minute, nil)
	if err != nil {
		w.t.Fatalf("beginning transactions: %v", err)
	}
	next, err := m.End(ctx, id, p, coordinator.Committed, true)
	if err != nil || next.ProducerID != p.ProducerID || next.Epoch != p.Epoch+1 {
		w.t.Errorf("ending a transaction of %v: %v, %v", p, next, err)
	}
}

// time asks for the coordinator's time, as a cleaner does, which asks again in its next round.
func (w *redisWorld) time(ctx context.Context, n *redisNode) {
	w.t.Helper()
	now, err := n.node.CoordinatorTime(ctx)
	if err != nil {
		now, err = n.node.CoordinatorTime(ctx)
	}
	if off := time.Since(now); err != nil || off.Abs() > time.Minute {
		w.t.Errorf("the coordinator's clock is %v off, %v", off, err)
	}
}

// topic creates a topic and deletes it.
func (w *redisWorld) topic(ctx context.Context, n *redisNode) {
	w.t.Helper()
	w.n++
	id := segments.NewTopicID()
	create := &coordinator.CreateTopic{ID: id, Name: fmt.Sprint("topic ", w.n), Partitions: 2}
	if _, err := n.node.Change(ctx, coordinator.Change{CreateTopic: create}); err != nil {
		w.t.Fatalf("creating a topic: %v", err)
	}
	if _, err := n.node.Change(ctx, coordinator.Change{DeleteTopic: &id}); err != nil {
		w.t.Fatalf("deleting a topic: %v", err)
	}
	if !n.node.View().Deleted(id) {
		w.t.Error("a topic was deleted, and is there")
	}
}

const leaseTTL = time.Second

// offsets commits a group's offset under a lease, which is given back. A caller of these insists by
// itself.
func (w *redisWorld) offsets(ctx context.Context, n *redisNode) {
	w.t.Helper()
	life, err := n.node.Life(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	lease, err := life.Acquire(ctx, "l", leaseTTL)
	if err != nil {
		return
	}
	_, _ = life.Decide(ctx, coordinator.Change{Offsets: &coordinator.CommitOffsets{
		Lease: lease.Name, Epoch: lease.Epoch, Group: "g",
		Offsets: []coordinator.GroupOffset{{Partition: w.at, Offset: 1, LeaderEpoch: -1}}}})
	_ = life.Release(ctx, lease)
}

// leases makes sure that nobody holds the lease for longer than it lasts.
func (w *redisWorld) leases(n *redisNode) {
	w.t.Helper()
	for try := range 3 {
		life, err := n.node.Life(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		lease, err := life.Acquire(w.t.Context(), "l", leaseTTL)
		switch {
		case err == nil:
			return
		case !errors.Is(err, coordinator.ErrLeaseHeld) || try == 2:
			w.t.Fatalf("nobody uses the lease, and it cannot be had: %v", err)
		}
		<-time.After(lease.Expires)
	}
}
