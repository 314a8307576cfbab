package groups_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// holding is a coordinator to which commits come late: while it holds, what is proposed is not
// answered, and arrives when the test says so.
type holding struct {
	coordinator.Coordinator

	mu    sync.Mutex
	holds bool
	held  []func()
}

func (h *holding) Propose(ctx context.Context, in coordinator.Incarnation, c coordinator.Change) (
	coordinator.Entry, error,
) {
	h.mu.Lock()
	if h.holds && c.Offsets != nil && len(c.Offsets.Offsets) > 0 {
		h.held = append(h.held, func() { _, _ = h.Coordinator.Propose(context.Background(), in, c) })
		h.mu.Unlock()
		<-ctx.Done()
		return coordinator.Entry{}, fmt.Errorf("%w: %w", coordinator.ErrUnavailable, ctx.Err())
	}
	h.mu.Unlock()
	return h.Coordinator.Propose(ctx, in, c)
}

func (h *holding) hold(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = on
}

// arrive has what was held arrive, and shows it to everybody.
func (h *holding) arrive(n int) {
	h.mu.Lock()
	held := h.held
	h.mu.Unlock()
	held[n]()
	time.Sleep(time.Second)
}

// A commit that comes late, or twice, undoes nothing that was committed after it.
func TestALateCommitUndoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &holding{Coordinator: embedded.New(embedded.Options{})}
		o := start(t, memory.New(), h, 1, groups.Options{})
		defer o.stop(t)
		at := segments.Partition{Topic: createTopic(t, o.node)}
		wantCommitted(t, o, "g", at, -1)
		late := func(offset int64) {
			t.Helper()
			h.hold(true)
			if err := o.commit(t, "g", outsider, at, offset); err != kerr.CoordinatorNotAvailable {
				t.Fatalf("a commit that nobody answers: %v", err)
			}
			h.hold(false)
		}
		late(5)
		late(6)
		if err := o.commit(t, "g", outsider, at, 7); err != nil {
			t.Fatal(err)
		}
		h.arrive(0)
		wantCommitted(t, o, "g", at, 7)
		if err := o.manager.Delete(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		h.arrive(1)
		wantCommitted(t, o, "g", at, -1)
	})
}

// A node that takes its lease again, which nobody had meanwhile, has it with the same epoch. What
// it sent before is still older than what it sends now.
func TestALateCommitOfAFormerTenureUndoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &holding{Coordinator: embedded.New(embedded.Options{})}
		o := start(t, memory.New(), h, 1, groups.Options{})
		defer o.stop(t)
		at := segments.Partition{Topic: createTopic(t, o.node)}
		wantCommitted(t, o, "g", at, -1)
		h.hold(true)
		for offset := range int64(3) {
			if err := o.commit(t, "g", outsider, at, offset); err != kerr.CoordinatorNotAvailable {
				t.Fatalf("a commit that nobody answers: %v", err)
			}
		}
		h.hold(false)
		o.cut.Store(true)
		time.Sleep(8 * time.Second) // the lease is given up
		o.cut.Store(false)
		time.Sleep(2 * time.Second)
		wantCommitted(t, o, "g", at, -1)
		if err := o.commit(t, "g", outsider, at, 7); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			h.arrive(n)
			wantCommitted(t, o, "g", at, 7)
		}
	})
}

// A node whose Redis was given up does not know it as long as it writes nothing. It says neither
// what is committed nor that nothing is: others may have committed more.
func TestAnOwnerThatWasGivenUpSaysNothing(t *testing.T) {
	for name, ask := range map[string]func(ctx context.Context, o *owner, topic segments.TopicID) *kerr.Error{
		"fetch": func(ctx context.Context, o *owner, _ segments.TopicID) *kerr.Error {
			return o.manager.Fetch(ctx, "g", func(*coordinator.View) {})
		},
		"describe": func(ctx context.Context, o *owner, _ segments.TopicID) *kerr.Error {
			_, err := o.manager.Describe(ctx, "another")
			return err
		},
		"claim": func(ctx context.Context, o *owner, topic segments.TopicID) *kerr.Error {
			_, err := o.manager.Claim(ctx, "g", groups.ClaimRequest{
				Holder: "h", Topics: []segments.TopicID{topic}, Max: 1, TTL: time.Minute,
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				a := start(t, store, embedded.New(embedded.Options{}), 1, groups.Options{})
				topic := createTopic(t, a.node)
				at := segments.Partition{Topic: topic}
				if err := a.commit(t, "g", outsider, at, 5); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // it is in the journal
				b := start(t, store, embedded.New(embedded.Options{}), 2, groups.Options{})
				defer b.stop(t)
				if err := b.commit(t, "g", outsider, at, 6); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := ask(ctx, a, topic); err != kerr.NotCoordinator {
					t.Errorf("the node that was given up answers: %v", err)
				}
				_ = a.manager.Close(ctx)
				_ = a.node.Close(ctx)
				wantCommitted(t, b, "g", at, 6)
			})
		})
	}
}

// A coordinator whose clock jumps gives a lease to another while its owner takes it for held. The
// former owner does not say what is committed.
func TestAnOwnerWhoseLeaseWasGivenAwayEarlySaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		c := embedded.New(embedded.Options{Clock: clock})
		store := memory.New()
		a := start(t, store, c, 1, groups.Options{})
		defer a.stop(t)
		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node)}
		fill(t, a.node, at, 10)
		time.Sleep(10 * time.Second) // both have heard of both
		group, sharers := groupOf(t, a), ""
		for i := 0; sharers == ""; i++ {
			if node, _ := a.manager.Owner(fmt.Sprint("work-", i)); node.ID == a.node.Info().ID {
				sharers = fmt.Sprint("work-", i)
			}
		}
		joins := groups.ShareHeartbeat{MemberID: "m", Names: []string{"log"}}
		if joined := a.manager.ShareHeartbeat(t.Context(), sharers, joins); joined.Err != nil {
			t.Fatal(joined.Err)
		}
		begins := []groups.ShareBeginning{{Partition: at}}
		if err := a.manager.BeginShares(t.Context(), sharers, begins); err != nil {
			t.Fatal(err)
		}
		if err := a.commit(t, group, outsider, at, 5); err != nil {
			t.Fatal(err)
		}
		ahead.Store(int64(time.Minute))
		life, err := b.node.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for shard := range 32 {
			if _, err := life.Acquire(t.Context(), fmt.Sprint("group/", shard), 5*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.manager.Fetch(t.Context(), group, func(*coordinator.View) {}); err != kerr.NotCoordinator {
			t.Errorf("the former owner says what is committed: %v", err)
		}
		read := []groups.ShareAcquire{{Partition: at, To: 9, Batches: []groups.LogRange{{First: 0, Last: 9}}}}
		if _, err := a.manager.AcquireShares(t.Context(), sharers, "m", read,
			groups.AcquireBounds{Most: 10}); err != kerr.NotCoordinator {
			t.Errorf("the former owner gives records out: %v", err)
		}
	})
}
