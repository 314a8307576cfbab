package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// A node recovers, its opening takes effect, and the reply is lost. While it is cut off, another
// node lives in that incarnation and acknowledges; then Redis loses its state. When the first is
// back it must not open the same state again: what the other acknowledged is not in it.
func TestOpeningWhoseReplyIsLost(t *testing.T) {
	for name, records := range map[string]int32{"as many records": 1, "more records": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			proxy := redistest.StartProxy(t, server.Addr)
			w := newLostOpening(t)
			first := w.join(t, proxy.Addr, 1)
			w.write(t, first, 1)

			lost := proxy.CutAfter([]byte(redis.ScriptHash("open")))
			server.Do("FLUSHALL")
			<-lost
			second := w.join(t, server.Addr, 2)
			w.write(t, second, records)
			server.Do("FLUSHALL")
			proxy.Lead(server.Addr)
			for range 3 {
				w.write(t, first, 1)
				w.write(t, second, 1)
			}
			w.judge(t)
		})
	}
}

// lostOpening is a bucket, and what was acknowledged to those who wrote to it.
type lostOpening struct {
	store  segments.Store
	prefix string
	at     segments.Partition
	acked  map[segments.ID]coordinator.Span
}

func newLostOpening(t *testing.T) *lostOpening {
	return &lostOpening{store: memory.New(), prefix: newPrefix(), acked: map[segments.ID]coordinator.Span{}}
}

func (w *lostOpening) join(t *testing.T, addr string, id int32) *coordinator.Node {
	t.Helper()
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: w.store, Info: coordinator.NodeInfo{ID: id},
		Coordinator: connect(t, redis.Options{Addrs: []string{addr}, Prefix: w.prefix}),
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)), Patience: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if w.at.Topic == (segments.TopicID{}) {
		w.at.Topic = segments.NewTopicID()
		create := coordinator.CreateTopic{ID: w.at.Topic, Name: "a", Partitions: 1}
		if _, err := n.Change(t.Context(), coordinator.Change{CreateTopic: &create}); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// write writes until it is acknowledged, and notes where.
func (w *lostOpening) write(t *testing.T, n *coordinator.Node, records int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req := request(w.at, coordinator.CommitBatch{Length: 100, Records: records, ProducerID: -1})
	for {
		base, err := attempt(ctx, n, req)
		if err == nil {
			w.acked[req.Segment] = coordinator.Span{Segment: req.Segment, Base: base, Last: base + int64(records) - 1}
			return
		}
		if ctx.Err() != nil || !passing(err) {
			t.Fatalf("a write: %v", err)
		}
	}
}

// judge compares what was acknowledged with what the bucket has.
func (w *lostOpening) judge(t *testing.T) {
	t.Helper()
	state, err := coordinator.Load(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	found := map[segments.ID]coordinator.Span{}
	for _, s := range coordinator.NewView(state).Spans(w.at, 0, 1000) {
		found[s.Segment] = s
	}
	for id, want := range w.acked {
		if got := found[id]; got.Base != want.Base || got.Last != want.Last {
			t.Errorf("segment %s was acknowledged at %d-%d, the bucket has it at %d-%d",
				id, want.Base, want.Last, got.Base, got.Last)
		}
	}
}

// While Redis does not answer, a recovery whose opening may or may not have taken effect waits for
// an answer, and begins no other incarnation. Neither does one that cannot load its parts.
func TestNoIncarnationForEachTry(t *testing.T) {
	for name, script := range map[string]string{"the opening": "open", "a part": "load"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			proxy := redistest.StartProxy(t, server.Addr)
			w := newLostOpening(t)
			n := w.join(t, proxy.Addr, 1)
			w.write(t, n, 1)
			lost := proxy.CutAfter([]byte(redis.ScriptHash(script)))
			server.Do("FLUSHALL")
			<-lost
			proxy.Refused(4) // tries of whatever kind
			before := w.incarnations(t)
			proxy.Lead(server.Addr)
			w.write(t, n, 1)
			if after := w.incarnations(t); before != 2 || after != 2 {
				t.Errorf("%d incarnations while Redis was away, %d afterwards; "+
					"should be the first and the one that was recovered", before, after)
			}
			w.judge(t)
		})
	}
}

func (w *lostOpening) incarnations(t *testing.T) int {
	t.Helper()
	n := 0
	for _, err := range w.store.List(t.Context(), "incarnations/", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// An opening that was refused, or whose reply was lost, cannot be tried again with the same state:
// not in another Redis, nor after this one has forgotten everything.
func TestStateIsOpenedOnce(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	c := connect(t, redis.Options{Addrs: []string{proxy.Addr}})
	if err := c.LoadScripts(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := coordinator.NewState(1, "x")
	proxy.LoseReply([]byte(redis.ScriptHash("open")))
	if err := c.Open(t.Context(), state); !errors.Is(err, coordinator.ErrOpening) {
		t.Fatalf("an opening whose reply was lost: %v", err)
	}
	if now, err := c.Generation(t.Context()); err != nil || now != state.Generation() {
		t.Errorf("%v is open, %v; sent was %v", now, err, state.Generation())
	}
	server.Do("FLUSHALL")
	if err := c.Open(t.Context(), state); !errors.Is(err, coordinator.ErrOpenedBefore) {
		t.Errorf("opening it again: %v", err)
	}
	if proxy.Sent() != 1 {
		t.Errorf("the opening was sent %d times", proxy.Sent())
	}
	if _, err := c.Generation(t.Context()); !errors.Is(err, coordinator.ErrNotOpen) {
		t.Errorf("something is open: %v", err)
	}
}

// A request to open that arrives once more, long after it was carried out, opens nothing: neither
// beside a newer incarnation, nor when Redis has lost that.
func TestOpeningThatArrivesTwice(t *testing.T) {
	for what, happen := range map[string]func(server *redistest.Server, c *redis.Coordinator){
		"while it is open": func(*redistest.Server, *redis.Coordinator) {},
		"after a newer one": func(_ *redistest.Server, c *redis.Coordinator) {
			if err := c.Open(t.Context(), coordinator.NewState(2, "x")); err != nil {
				t.Error(err)
			}
		},
		"after all was lost":        func(server *redistest.Server, _ *redis.Coordinator) { server.Do("FLUSHALL") },
		"after its key was deleted": func(server *redistest.Server, c *redis.Coordinator) { server.Do("DEL", c.Current()) },
	} {
		t.Run(what, func(t *testing.T) {
			server := redistest.Start(t)
			proxy := redistest.StartProxy(t, server.Addr)
			c := connect(t, redis.Options{Addrs: []string{proxy.Addr}})
			if err := c.LoadScripts(t.Context()); err != nil {
				t.Fatal(err)
			}
			recorded := proxy.Record([]byte(redis.ScriptHash("open")))
			if err := c.Open(t.Context(), coordinator.NewState(1, "x")); err != nil {
				t.Fatal(err)
			}
			happen(server, c)
			before, was := c.Generation(t.Context())
			if answer := server.Send(recorded()); answer[0] != '-' {
				t.Errorf("it was answered %q", answer)
			}
			if now, err := c.Generation(t.Context()); now != before || (err == nil) != (was == nil) {
				t.Errorf("%v is open, %v; before it was %v, %v", now, err, before, was)
			}
		})
	}
}
