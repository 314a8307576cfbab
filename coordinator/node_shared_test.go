package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// shared is an embedded coordinator that several nodes use, as they use Redis: being fenced
// is not the end.
type shared struct{ coordinator.Coordinator }

func joinShared(
	t *testing.T, store segments.Store, c coordinator.Coordinator, id int32, snapshotObjects int,
) *coordinator.Node {
	t.Helper()
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{
		Store:           store,
		Coordinator:     c,
		Info:            coordinator.NodeInfo{ID: id},
		Logger:          slog.New(slog.NewTextHandler(t.Output(), nil)),
		Patience:        50 * time.Millisecond,
		SnapshotObjects: snapshotObjects,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// insist writes until it is acknowledged, in whatever life.
func insist(ctx context.Context, n *coordinator.Node, req coordinator.CommitRequest) (int64, error) {
	for {
		life, err := n.Life(ctx)
		if err != nil {
			return 0, err
		}
		answer, err := life.Commit(ctx, req)
		if err == nil {
			err = life.Settle(ctx, answer.Entry)
		}
		if errors.Is(err, coordinator.ErrFenced) || errors.Is(err, coordinator.ErrIncarnation) {
			continue
		}
		if err != nil {
			return 0, err
		}
		base := answer.Runs[0][0].BaseOffset
		waiting, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(ctx, cancel)
		go func() {
			select {
			case <-life.Ended(): // its pending commits are dropped: commit again
				cancel()
			case <-waiting.Done():
			}
		}()
		err = coordinatortest.WaitFor(waiting, n.View(), answerPartition(req), base)
		stop()
		cancel()
		if err == nil {
			return base, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

func answerPartition(req coordinator.CommitRequest) segments.Partition { return req.Runs[0].Partition }

// Nodes on one coordinator see each other's records, and go on through recoveries: nothing
// acknowledged moves, nothing is twice.
func TestNodesLiveOn(t *testing.T) {
	store := memory.New()
	c := shared{embedded.New(embedded.Options{})}
	nodes := []*coordinator.Node{joinShared(t, store, c, 1, 10), joinShared(t, store, c, 2, 10)}
	at := segments.Partition{Topic: createTopic(t, nodes[0], "a", 1)}

	const writers, writes = 4, 40
	var mu sync.Mutex
	offsets := map[int64]segments.ID{}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for range writes {
				req := request(at, 1)
				base, err := insist(t.Context(), nodes[w%2], req)
				mu.Lock()
				if before, twice := offsets[base]; err != nil || twice {
					t.Errorf("write got %d, %v; before: %v", base, err, before)
				}
				offsets[base] = req.Segment
				mu.Unlock()
			}
		})
	}
	for range 5 {
		served := func() int { return len(nodes[0].View().Spans(at, 0, 1000)) }
		for before := served(); served() < before+10 && before+10 < writers*writes; {
			w := nodes[0].View().Watch(at)
			select {
			case <-w.C:
			case <-time.After(10 * time.Millisecond):
			}
			w.Close()
		}
		state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{Who: "test"})
		if err == nil {
			err = c.Open(t.Context(), state)
		}
		if err != nil && !errors.Is(err, coordinator.ErrRecoveryLost) && !errors.Is(err, coordinator.ErrIncarnation) {
			t.Error(err)
		}
	}
	group.Wait()
	for i, n := range nodes {
		if err := coordinatortest.WaitFor(t.Context(), n.View(), at, writers*writes-1); err != nil {
			t.Fatal(err)
		}
		if got := n.Nodes(); len(got) == 0 {
			t.Errorf("node %d knows no nodes", i)
		}
		spans := n.View().Spans(at, 0, 2*writers*writes)
		if len(spans) != writers*writes {
			t.Errorf("node %d serves %d records, %d were written", i, len(spans), writers*writes)
		}
		for _, s := range spans {
			if offsets[s.Base] != s.Segment {
				t.Errorf("node %d: offset %d is of segment %s, acknowledged for %s", i, s.Base, s.Segment, offsets[s.Base])
			}
		}
	}
}

// Changes go on through lives as well.
func TestChangesLiveOn(t *testing.T) {
	store := memory.New()
	c := shared{embedded.New(embedded.Options{})}
	n := joinShared(t, store, c, 1, 1000)
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{Who: "test"}); err == nil {
				_ = c.Open(t.Context(), state)
			}
		}
	})
	for i := range 20 {
		id := createTopic(t, n, fmt.Sprint("t", i), 1)
		grow := &coordinator.Grow{Topic: id, Partitions: 2}
		if _, err := n.Change(t.Context(), coordinator.Change{Grow: grow}); err != nil {
			t.Fatal(err)
		}
		if topic := n.View().TopicByID(id); topic == nil || topic.Partitions != 2 {
			t.Fatalf("topic is %+v", topic)
		}
		if i%2 == 0 {
			if _, err := n.Change(t.Context(), coordinator.Change{DeleteTopic: &id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	group.Wait()
	if got := len(n.View().Topics()); got != 10 {
		t.Errorf("%d topics are left, should be 10", got)
	}
}

func keys(t *testing.T, store segments.Store, prefix string) []string {
	t.Helper()
	var found []string
	for o, err := range store.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, o.Key)
	}
	return found
}

// chains gives the lives whose chains are in the journal, whether sealed or not.
func chains(t *testing.T, store segments.Store) []string {
	t.Helper()
	var lives []string
	for _, key := range keys(t, store, "journal/") {
		if life := strings.Split(key, "/")[1]; !slices.Contains(lives, life) {
			lives = append(lives, life)
		}
	}
	return lives
}

// Snapshots appear, and journal objects that they cover go, while writes go on; what
// is left is enough.
func TestSnapshots(t *testing.T) {
	store := memory.New()
	n := joinShared(t, store, shared{embedded.New(embedded.Options{})}, 1, 20)
	at := segments.Partition{Topic: createTopic(t, n, "a", 1)}
	for i := int64(0); ; i++ {
		write(t, n, request(at, 1))
		snapshots := keys(t, store, "snapshots/")
		journal := keys(t, store, "journal/")
		if i >= 200 && len(snapshots) > 1 && len(journal) < 100 {
			break
		}
		if i == 100_000 {
			t.Fatalf("after %d writes there are %d snapshots, %d journal objects", i, len(snapshots), len(journal))
		}
	}
	if opening := keys(t, store, "snapshots/")[0]; !strings.HasSuffix(opening, "/00000000000000000000") {
		t.Errorf("the opening snapshot is gone, first is %s", opening)
	}
	info, _ := n.View().Partition(at)
	state, err := coordinator.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	read := coordinator.NewView(state)
	if got, _ := read.Partition(at); got != info {
		t.Errorf("a reader of the bucket sees %+v, the node %+v", got, info)
	}
	if !slices.Equal(read.Spans(at, 0, 1<<20), n.View().Spans(at, 0, 1<<20)) {
		t.Error("a reader of the bucket sees other spans than the node")
	}
}

// Producer ids are never handed out twice, also not after a restart.
func TestProducerIDs(t *testing.T) {
	store := memory.New()
	seen := map[int64]bool{}
	for range 3 {
		n := join(t, store)
		for range 1500 {
			id, err := n.ProducerID(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if seen[id] {
				t.Fatalf("producer id %d came twice", id)
			}
			seen[id] = true
		}
	}
}

// telling counts the lines of a log that have something in them.
type telling struct {
	what string
	n    atomic.Int32
}

func (w *telling) Write(line []byte) (int, error) {
	if strings.Contains(string(line), w.what) {
		w.n.Add(1)
	}
	return len(line), nil
}

// TestTwins: a node whose address another one claims as well says so.
func TestTwins(t *testing.T) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	for id, want := range []int32{0, 1, 0} {
		log := &telling{what: "at the address of this one"}
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: c,
			Info:   coordinator.NodeInfo{ID: int32(id), HTTP: fmt.Sprint("127.0.0.1:", 8080+id/2)},
			Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := n.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		if got := log.n.Load(); got != want {
			t.Errorf("node %d says it %d times", id, got)
		}
	}
}
