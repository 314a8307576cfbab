package groups_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// consumer is the first heartbeat of a member of the new protocol.
func consumer(id string) groups.ConsumerHeartbeat {
	return groups.ConsumerHeartbeat{MemberID: id, RebalanceTimeout: time.Minute, Regex: new(".*"),
		Owned: []segments.Partition{}}
}

// alive is one by which nothing has changed.
func alive(id string, epoch int32) groups.ConsumerHeartbeat {
	return groups.ConsumerHeartbeat{MemberID: id, Epoch: epoch, RebalanceTimeout: -1}
}

// A group of the new protocol on a node: it learns of topics by itself, its members time out by the
// clock, and the next owner tells them to join again, which loses no committed offset.
func TestConsumerGroupOnNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		defer a.stop(t)
		time.Sleep(6 * time.Second) // until both have heard of each other
		group := groupOf(t, a)
		consumerHeartbeat := func(o *owner, r groups.ConsumerHeartbeat) groups.ConsumerAnswer {
			return o.manager.ConsumerHeartbeat(t.Context(), group, r)
		}
		if got := consumerHeartbeat(b, consumer("m")); got.Err != kerr.NotCoordinator {
			t.Fatalf("who does not own the group answers %+v", got)
		}
		if got := consumerHeartbeat(a, consumer("m")); got.Err != nil || got.Epoch != 1 || got.Interval != 5*time.Second ||
			!got.Assigns || len(got.Assigned) != 0 {
			t.Fatalf("joining: %+v", got)
		}
		at := segments.Partition{Topic: createTopic(t, a.node), Index: 1}
		synctest.Wait()
		if got := consumerHeartbeat(a, alive("m", 1)); got.Err != nil || got.Epoch != 2 || len(got.Assigned) != 4 {
			t.Fatalf("after a topic has come: %+v", got)
		}
		who := groups.Committer{MemberID: "m", Generation: 2, Epochs: true}
		if err := a.commit(t, group, who, at, 7); err != nil {
			t.Fatal(err)
		}
		if got := consumerHeartbeat(a, consumer("silent")); got.Err != nil || got.Epoch != 3 {
			t.Fatalf("another joins: %+v", got)
		}
		for range 10 {
			time.Sleep(5 * time.Second)
			consumerHeartbeat(a, alive("m", 2))
		}
		if got := consumerHeartbeat(a, alive("silent", 3)); got.Err != kerr.UnknownMemberID {
			t.Errorf("who was silent for too long is told %+v", got)
		}
		if err := a.manager.Delete(t.Context(), group); err != kerr.NonEmptyGroup {
			t.Errorf("deleting a group with a member: %v", err)
		}

		a.cut.Store(true)
		wantCommitted(t, b, group, at, 7)
		if got := consumerHeartbeat(b, alive("m", 2)); got.Err != nil || got.Epoch != 2 || got.Assigns {
			t.Errorf("the next owner, who knows the member from what was stored, answers %+v", got)
		}
		if err := b.commit(t, group, who, at, 8); err != nil {
			t.Errorf("a member goes on with the next owner, and commits: %v", err)
		}
		wantCommitted(t, b, group, at, 8)
		if got := consumerHeartbeat(b, alive("m", -1)); got.Err != nil {
			t.Errorf("leaving: %+v", got)
		}
		if err := b.manager.Delete(t.Context(), group); err != nil {
			t.Errorf("deleting a group without members: %v", err)
		}
	})
}

// A group's own session timeout holds from a member's next heartbeat on, and at the next owner.
func TestAGroupsOwnSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		group := dynamicconfig.Resource{Kind: dynamicconfig.Group, Name: "g"}
		changes, err := dynamicconfig.Changes(a.node.View(), group,
			map[string]string{dynamicconfig.ConsumerSessionTimeout: "120000"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.node.Change(t.Context(), coordinator.Change{Settings: changes}); err != nil {
			t.Fatal(err)
		}
		if got := a.manager.ConsumerHeartbeat(t.Context(), "g", consumer("m")); got.Err != nil {
			t.Fatal(got.Err)
		}
		time.Sleep(100 * time.Second)
		got := a.manager.ConsumerHeartbeat(t.Context(), "g", alive("m", 1))
		if got.Err != nil {
			t.Fatalf("after 100 s of 120: %v", got.Err)
		}
		a.stop(t)

		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		time.Sleep(10 * time.Second)
		members := func() int {
			d, err := b.manager.Describe(t.Context(), "g")
			if err != nil {
				t.Fatal(err)
			}
			return len(d.Members)
		}
		if members() != 1 {
			t.Error("the next owner does not know the member")
		}
		time.Sleep(90 * time.Second)
		if members() != 1 {
			t.Error("the next owner waited for less than the group's session timeout")
		}
		time.Sleep(40 * time.Second)
		if members() != 0 {
			t.Error("the next owner waited for more than the group's session timeout")
		}
	})
}
