package groups_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// wantGroup asks what a group is, and lists it.
func wantGroup(t *testing.T, o *owner, want groups.Description) {
	t.Helper()
	check := func(how string, got groups.Description) {
		if got.State != want.State || got.Type != want.Type || got.ProtocolType != want.ProtocolType ||
			got.Epoch != want.Epoch {
			t.Errorf("%s as %+v, want %+v", how, got, want)
		}
	}
	d, err := o.manager.Describe(t.Context(), want.Group)
	if err != nil {
		t.Errorf("describing %s: %v", want.Group, err)
	}
	check("described", d)
	for _, d := range o.manager.List() {
		if d.Group == want.Group {
			check("listed", d)
			return
		}
	}
	t.Errorf("%s is not listed", want.Group)
}

// A group that its members have left stays what it was, also at the next owner, until the sweep
// finds no offsets in it, or somebody deletes it.
func TestEmptyGroupsStayWhatTheyWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		createTopic(t, a.node)
		member := join(t, a, "classic", "")
		a.manager.Sync(t.Context(), "classic", groups.SyncRequest{MemberID: member.MemberID, Generation: member.Generation})
		if err := a.manager.Leave(t.Context(), "classic", member.MemberID, ""); err != nil {
			t.Fatal(err)
		}
		consumerHeartbeat := groups.ConsumerHeartbeat{MemberID: "m", RebalanceTimeout: time.Minute, Names: []string{"log"},
			Owned: []segments.Partition{}}
		if answer := a.manager.ConsumerHeartbeat(t.Context(), "consumer", consumerHeartbeat); answer.Err != nil {
			t.Fatal(answer.Err)
		}
		consumerHeartbeat.Epoch = -1
		a.manager.ConsumerHeartbeat(t.Context(), "consumer", consumerHeartbeat)
		classic := groups.Description{Group: "classic", State: groups.Empty, ProtocolType: "consumer"}
		consumer := groups.Description{Group: "consumer", State: groups.Empty, Type: groups.Consumer,
			ProtocolType: "consumer", Epoch: 2}
		wantGroup(t, a, classic)
		wantGroup(t, a, consumer)
		time.Sleep(time.Second)
		a.stop(t)

		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		time.Sleep(time.Minute)
		wantGroup(t, b, classic)
		wantGroup(t, b, consumer)
		if again := join(t, b, "classic", ""); again.Generation != member.Generation+2 {
			t.Errorf("generation %d follows %d and that without members", again.Generation, member.Generation)
		} else if err := b.manager.Delete(t.Context(), "classic"); err != kerr.NonEmptyGroup {
			t.Errorf("deleting a group with a member: %v", err)
		} else if err := b.manager.Leave(t.Context(), "classic", again.MemberID, ""); err != nil {
			t.Fatal(err)
		}
		if err := b.manager.Delete(t.Context(), "classic"); err != nil {
			t.Errorf("deleting a group without offsets: %v", err)
		}
		if err := b.manager.Delete(t.Context(), "classic"); err != kerr.GroupIDNotFound {
			t.Errorf("deleting it again: %v", err)
		}
		time.Sleep(15 * time.Minute)
		if d, err := b.manager.Describe(t.Context(), "consumer"); err != kerr.GroupIDNotFound {
			t.Errorf("after the sweep the group is %+v, error %v", d, err)
		}
		if again := join(t, b, "classic", ""); again.Generation != 1 {
			t.Errorf("a deleted group begins with generation %d", again.Generation)
		}
	})
}

// A group whose last offset was deleted is an empty one until the sweep, as in Kafka.
func TestGroupsOutliveTheirLastOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{})
		defer a.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node)}
		if err := a.commit(t, "g", outsider, at, 3); err != nil {
			t.Fatal(err)
		}
		if answers, err := a.manager.DeleteOffsets(t.Context(), "g", []segments.Partition{at}); err != nil ||
			answers[0] != nil {
			t.Fatal(answers, err)
		}
		wantCommitted(t, a, "g", at, -1)
		wantGroup(t, a, groups.Description{Group: "g", State: groups.Empty})
		time.Sleep(15 * time.Minute)
		if d, err := a.manager.Describe(t.Context(), "g"); err != kerr.GroupIDNotFound {
			t.Errorf("after the sweep the group is %+v, error %v", d, err)
		}
	})
}

// Offsets of a topic that a group with members does not read any more go as if it had none.
func TestOffsetsOfUnreadTopicsAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1,
			groups.Options{OffsetsRetention: time.Hour})
		defer a.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node)}
		if err := a.commit(t, "g", outsider, at, 3); err != nil {
			t.Fatal(err)
		}
		consumerHeartbeat := groups.ConsumerHeartbeat{MemberID: "m", RebalanceTimeout: time.Minute, Names: []string{"other"},
			Owned: []segments.Partition{}}
		for began := time.Now(); time.Since(began) < 3*time.Hour; time.Sleep(10 * time.Second) {
			answer := a.manager.ConsumerHeartbeat(t.Context(), "g", consumerHeartbeat)
			if answer.Err != nil {
				t.Fatal(answer.Err)
			}
			consumerHeartbeat.Epoch = answer.Epoch
			if time.Since(began) < time.Hour {
				wantCommitted(t, a, "g", at, 3)
			}
		}
		wantCommitted(t, a, "g", at, -1)
	})
}
