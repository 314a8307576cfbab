package groups_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
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

// shared is an embedded coordinator that several nodes use, as they use Redis. A node that is cut
// off from it reaches it no more.
type shared struct {
	coordinator.Coordinator
	cut  *atomic.Bool
	late *atomic.Int64 // how long the commit stream takes to get here
}

var errCut = errors.New("the network is down")

func (s shared) Acquire(ctx context.Context, in coordinator.Incarnation, name, holder string,
	ttl time.Duration) (coordinator.Lease, error) {
	if s.cut.Load() {
		return coordinator.Lease{}, errCut
	}
	return s.Coordinator.Acquire(ctx, in, name, holder, ttl)
}

func (s shared) Propose(ctx context.Context, in coordinator.Incarnation, c coordinator.Change) (coordinator.Entry,
	error) {
	if s.cut.Load() {
		return coordinator.Entry{}, errCut
	}
	return s.Coordinator.Propose(ctx, in, c)
}

func (s shared) Register(ctx context.Context, in coordinator.Incarnation, node coordinator.NodeInfo,
	ttl time.Duration) error {
	if s.cut.Load() {
		return errCut
	}
	return s.Coordinator.Register(ctx, in, node, ttl)
}

func (s shared) Nodes(ctx context.Context, in coordinator.Incarnation) ([]coordinator.NodeInfo, error) {
	if s.cut.Load() {
		return nil, errCut
	}
	return s.Coordinator.Nodes(ctx, in)
}

func (s shared) Follow(ctx context.Context, in coordinator.Incarnation, after uint64) iter.Seq2[coordinator.Entry,
	error] {
	return func(yield func(coordinator.Entry, error) bool) {
		for entry, err := range s.Coordinator.Follow(ctx, in, after) {
			if late := time.Duration(s.late.Load()); late > 0 {
				time.Sleep(late)
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

// owner is a node with a manager.
type owner struct {
	node    *coordinator.Node
	manager *groups.Manager
	cut     *atomic.Bool
	late    *atomic.Int64
}

func start(t *testing.T, store segments.Store, c coordinator.Coordinator, id int32, opts groups.Options) *owner {
	t.Helper()
	o := &owner{cut: new(atomic.Bool), late: new(atomic.Int64)}
	logger := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError + 1}))
	var err error
	o.node, err = coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store,
		Coordinator: shared{c, o.cut, o.late}, Info: coordinator.NodeInfo{ID: id}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	opts.Node, opts.Logger = o.node, logger
	if o.manager, err = groups.New(opts); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *owner) stop(t *testing.T) {
	t.Helper()
	o.cut.Store(false)
	if err := errors.Join(o.manager.Close(context.Background()), o.node.Close(context.Background())); err != nil {
		t.Error(err)
	}
}

func createTopic(t *testing.T, n *coordinator.Node) segments.TopicID {
	t.Helper()
	id := segments.NewTopicID()
	if _, err := n.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: "log",
		Partitions: 4}}); err != nil {
		t.Fatal(err)
	}
	return id
}

// fill writes records into a partition.
func fill(t *testing.T, n *coordinator.Node, at segments.Partition, records int32) {
	t.Helper()
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := life.Commit(t.Context(), coordinator.CommitRequest{Segment: segments.NewID(time.Now()),
		Runs: []coordinator.CommitRun{{Partition: at, Batches: []coordinator.CommitBatch{{Length: 100, Records: records,
			ProducerID: -1}}}}})
	if err == nil {
		err = life.Settle(t.Context(), answer.Entry)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (o *owner) commit(t *testing.T, group string, who groups.Committer, at segments.Partition,
	offset int64) *kerr.Error {
	t.Helper()
	return o.manager.Commit(t.Context(), group, who, []coordinator.GroupOffset{{Partition: at, Offset: offset,
		LeaderEpoch: -1}})
}

var outsider = groups.Committer{Generation: -1}

// wantCommitted asks as a client does: again and again while nobody is the owner yet.
func wantCommitted(t *testing.T, o *owner, group string, at segments.Partition, want int64) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var c coordinator.CommittedOffset
		var there bool
		err := o.manager.Fetch(t.Context(), group, func(view *coordinator.View) { c, there = view.Committed(group, at) })
		if err == nil {
			if there != (want >= 0) || there && c.Offset != want {
				t.Errorf("group %s: committed is %+v (%v), want %d", group, c, there, want)
			}
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("group %s has no owner: %v", group, err)
		}
	}
}

// groupOf returns the name of a group that this owner owns, by what everybody says.
func groupOf(t *testing.T, o *owner) string {
	t.Helper()
	for i := range 1000 {
		group := fmt.Sprint("group-", i)
		if node, ok := o.manager.Owner(group); ok && node.ID == o.node.Info().ID {
			return group
		}
	}
	t.Fatal("no group of a thousand is this node's")
	return ""
}

func join(t *testing.T, o *owner, group, id string) groups.JoinAnswer {
	t.Helper()
	return o.manager.Join(t.Context(), group, groups.JoinRequest{MemberID: id, SessionTimeout: 10 * time.Second,
		RebalanceTimeout: 10 * time.Second,
		ProtocolType:     "consumer", Protocols: []groups.Protocol{{Name: "range"}}})
}

// When the owner of a group is cut off, another takes over with all that was committed, and with
// the members. The former owner can commit nothing from then on, and tells its members so.
func TestTheNextOwnerContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		defer a.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node), Index: 1}
		time.Sleep(6 * time.Second) // until both have heard of each other
		group := groupOf(t, a)
		if err := b.commit(t, group, outsider, at, 1); err != kerr.NotCoordinator {
			t.Errorf("who does not own the group commits: %v", err)
		}
		member := join(t, a, group, "")
		if member.Err != nil {
			t.Fatal(member.Err)
		}
		if got := a.manager.Sync(t.Context(), group, groups.SyncRequest{MemberID: member.MemberID,
			Generation: member.Generation}); got.Err != nil {
			t.Fatal(got.Err)
		}
		who := groups.Committer{MemberID: member.MemberID, Generation: member.Generation}
		if err := a.commit(t, group, who, at, 7); err != nil {
			t.Fatal(err)
		}

		synctest.Wait() // until who the members are is stored
		a.cut.Store(true)
		died := time.Now()
		wantCommitted(t, b, group, at, 7)
		if took := time.Since(died); took > 7*time.Second {
			t.Errorf("the next owner answers after %v", took)
		}
		if err := b.commit(t, group, outsider, at, 8); err != kerr.UnknownMemberID {
			t.Errorf("an outsider commits to a group whose members the next owner knows: %v", err)
		}
		if err := b.commit(t, group, who, at, 9); err != nil {
			t.Errorf("the member cannot commit with the next owner: %v", err)
		}
		if err := a.commit(t, group, who, at, 8); err != kerr.NotCoordinator && err != kerr.CoordinatorNotAvailable {
			t.Errorf("the former owner commits: %v", err)
		}
		a.cut.Store(false)
		if err := a.commit(t, group, who, at, 8); err != kerr.NotCoordinator && err != kerr.IllegalGeneration {
			t.Errorf("the former owner, back again, commits: %v", err)
		}
		wantCommitted(t, b, group, at, 9)
		if err := b.manager.Heartbeat(t.Context(), group, member.MemberID, "", member.Generation); err != nil {
			t.Errorf("the next owner does not know the member: %v", err)
		}
		time.Sleep(20 * time.Second) // a is alive again, and the group goes back to it
		wantCommitted(t, a, group, at, 9)
		if err := b.manager.Fetch(t.Context(), group, func(*coordinator.View) {}); err != kerr.NotCoordinator {
			t.Errorf("both own the group: %v", err)
		}
	})
}

// An owner whose view is behind does not answer before it has seen what the owner before it
// decided.
func TestTheNextOwnerHasSeenEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node)}
		time.Sleep(6 * time.Second)
		group := groupOf(t, a)
		b.late.Store(int64(500 * time.Millisecond))
		for i := range int64(10) {
			if err := a.commit(t, group, outsider, at, i); err != nil {
				t.Fatal(err)
			}
		}
		a.stop(t)
		wantCommitted(t, b, group, at, 9)
		b.late.Store(0)
	})
}

// A node that stops hands its groups over at once: who waits in one is told, and the next owner
// knows everything.
func TestStoppingHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node)}
		time.Sleep(6 * time.Second)
		group := groupOf(t, a)
		if err := a.commit(t, group, outsider, at, 5); err != nil {
			t.Fatal(err)
		}
		first := join(t, a, group, "")
		parked := make(chan *kerr.Error)
		go func() { parked <- join(t, a, group, "").Err }() // waits for the first to join again
		synctest.Wait()
		go a.stop(t)
		if err := <-parked; first.Err != nil || err != kerr.NotCoordinator {
			t.Errorf("who waits is told %v; the first joined with %v", err, first.Err)
		}
		wantCommitted(t, b, group, at, 5)
	})
}

// What is committed is in the bucket within a second, and a new coordinator on the bucket knows it.
func TestCommitsAreJournaledWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		a := start(t, store, embedded.New(embedded.Options{}), 1, groups.Options{})
		defer a.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node)}
		for i := range int64(10) {
			if err := a.commit(t, "g", outsider, at, i); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		state, err := coordinator.Load(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		if c, there := coordinator.NewView(state).Committed("g", at); !there || c.Offset != 9 {
			t.Errorf("the bucket has %+v, %v", c, there)
		}
	})
}

// Offsets of a group that nobody uses go after their retention, those of one with members stay.
func TestOldOffsetsAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{OffsetsRetention: time.Hour})
		defer a.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node)}
		for _, group := range []string{"left", "used"} {
			if err := a.commit(t, group, outsider, at, 3); err != nil {
				t.Fatal(err)
			}
		}
		member := join(t, a, "used", "")
		a.manager.Sync(t.Context(), "used", groups.SyncRequest{MemberID: member.MemberID, Generation: member.Generation})
		for began := time.Now(); time.Since(began) < 5*time.Hour; time.Sleep(5 * time.Second) {
			if err := a.manager.Heartbeat(t.Context(), "used", member.MemberID, "", member.Generation); err != nil {
				t.Fatal(err)
			}
			if time.Since(began) < time.Hour {
				wantCommitted(t, a, "left", at, 3)
			}
		}
		wantCommitted(t, a, "left", at, -1)
		wantCommitted(t, a, "used", at, 3)
		if err := a.manager.Leave(t.Context(), "used", member.MemberID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		wantCommitted(t, a, "used", at, 3)
		time.Sleep(4 * time.Hour)
		wantCommitted(t, a, "used", at, -1)
	})
}

// No more groups and members are kept than the limits say, and nothing is kept of those that are
// gone.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := groups.Limits{MaxGroups: 3, MaxStoredGroups: 2, MaxMembers: 2, TotalBytes: 4000}
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{Limits: limits})
		defer a.stop(t)
		big := groups.JoinRequest{SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second,
			ProtocolType: "consumer",
			Protocols:    []groups.Protocol{{Name: "range", Metadata: make([]byte, 4000)}}}
		if got := a.manager.Join(t.Context(), "big", big); got.Err != kerr.GroupMaxSizeReached {
			t.Errorf("beyond TotalBytes: %v", got.Err)
		}
		at := segments.Partition{Topic: createTopic(t, a.node)}
		for group, want := range map[string]*kerr.Error{"a": nil, "b": nil} {
			if err := a.commit(t, group, outsider, at, 1); err != want {
				t.Errorf("group %s commits: %v", group, err)
			}
		}
		if err := a.commit(t, "c", outsider, at, 1); err != kerr.GroupMaxSizeReached {
			t.Errorf("beyond MaxStoredGroups: %v", err)
		}
		if err := a.commit(t, "a", outsider, at, 2); err != nil {
			t.Errorf("a group that is stored already: %v", err)
		}
		for i := range 4 {
			want := (*kerr.Error)(nil)
			if i == 3 {
				want = kerr.GroupMaxSizeReached
			}
			if got := join(t, a, fmt.Sprint(i), ""); got.Err != want {
				t.Errorf("group %d: %v", i, got.Err)
			}
		}
		if got := join(t, a, "0", "nobody"); got.Err != kerr.UnknownMemberID {
			t.Errorf("an unknown member: %v", got.Err)
		}
		time.Sleep(time.Minute) // nobody sends heartbeats; for what these groups were, there is no room
		if err := a.manager.Delete(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if got := a.manager.List(); len(got) != 1 || got[0].Group != "b" {
			t.Errorf("left are %+v", got)
		}
		if got := join(t, a, "another", ""); got.Err != nil {
			t.Errorf("there is no room again: %v", got.Err)
		}
	})
}
