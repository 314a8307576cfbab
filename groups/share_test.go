package groups_test

import (
	"fmt"
	"math"
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

// sharing is a member of the share group "work" at one owner.
type sharing struct {
	*owner
	t    *testing.T
	name string
	at   segments.Partition
}

// takes has the member acquire records up to an offset, and wants these.
func (s *sharing) takes(to int64, want string) {
	s.t.Helper()
	states, errs, _, err := s.manager.Shares(s.t.Context(), "work", []segments.Partition{s.at})
	if err != nil || errs[0] != nil {
		s.t.Fatalf("asking: %v, %v", errs, err)
	}
	from := states[0].Offset
	if states[0].New {
		from = 0
		if err := s.manager.BeginShares(s.t.Context(), "work",
			[]groups.ShareBeginning{{Partition: s.at, Offset: 0}}); err != nil {
			s.t.Fatal(err)
		}
	}
	got, err := s.manager.AcquireShares(s.t.Context(), "work", s.name, []groups.ShareAcquire{{Partition: s.at, From: from,
		To: to, Batches: []groups.LogRange{{First: from, Last: to}}}}, groups.AcquireBounds{Most: 100, Exactly: true})
	if err != nil {
		s.t.Fatal(err)
	}
	text := ""
	for _, r := range got[0] {
		text += fmt.Sprintf("%d-%d×%d ", r.First, r.Last, r.Deliveries)
	}
	if text != want {
		s.t.Fatalf("%s acquired %q, want %q", s.name, text, want)
	}
}

func (s *sharing) says(first, last int64, what groups.AckType, want *kerr.Error) {
	s.t.Helper()
	answers, err := s.manager.AcknowledgeShares(s.t.Context(), "work", s.name, []groups.ShareAcks{{Partition: s.at,
		Acks: []groups.ShareAck{{LogRange: groups.LogRange{First: first, Last: last}, Types: []groups.AckType{what}}}}})
	if err != nil || answers[0] != want {
		s.t.Fatalf("%s acknowledges %d to %d: %v, %v", s.name, first, last, answers, err)
	}
}

// joins has a member join the share group "work", and wants the epoch.
func (o *owner) joins(t *testing.T, id string, epoch int32) groups.ConsumerAnswer {
	t.Helper()
	joined := o.manager.ShareHeartbeat(t.Context(), "work", groups.ShareHeartbeat{MemberID: id, Names: []string{"log"}})
	if joined.Err != nil || joined.Epoch != epoch {
		t.Fatalf("%s has joined in epoch %d: %v", id, joined.Epoch, joined.Err)
	}
	return joined
}

// What members of a share group have acknowledged stays so at the next owner, also when all that
// is left is the bucket. What they had acquired can be had again.
func TestShareGroupsOutliveTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		at := segments.Partition{Topic: createTopic(t, a.node)}
		fill(t, a.node, at, 13)
		synctest.Wait() // until the manager has heard of the topic
		joined := a.manager.ShareHeartbeat(t.Context(), "work", groups.ShareHeartbeat{MemberID: "m", Names: []string{"log"}})
		if joined.Err != nil || len(joined.Assigned) == 0 {
			t.Fatalf("joined: %+v", joined)
		}
		m := &sharing{a, t, "m", at}
		m.takes(9, "0-9×1 ")
		m.says(0, 3, groups.AckAccept, nil)
		m.says(5, 5, groups.AckReject, nil)
		m.says(6, 7, groups.AckRelease, nil)
		time.Sleep(31 * time.Second) // 4, 8 and 9 are given back
		m.says(8, 9, groups.AckAccept, kerr.InvalidRecordState)
		m.takes(9, "4-4×2 6-9×2 ")
		m.says(8, 8, groups.AckAccept, nil)
		time.Sleep(time.Second)
		a.stop(t)

		b := start(t, store, embedded.New(embedded.Options{}), 2, groups.Options{})
		m = &sharing{b, t, "m", at}
		wantGroup(t, b, groups.Description{Group: "work", Type: groups.Share, State: groups.Stable, ProtocolType: "share",
			Epoch: 1})
		heartbeat := b.manager.ShareHeartbeat(t.Context(), "work", groups.ShareHeartbeat{MemberID: "m", Epoch: joined.Epoch})
		if heartbeat.Err != nil || heartbeat.Epoch != joined.Epoch {
			t.Fatalf("the member is not known any more: %+v", heartbeat)
		}
		m.says(9, 9, groups.AckAccept, kerr.InvalidRecordState)
		m.takes(12, "4-4×2 6-7×2 9-9×2 10-12×1 ") // the second delivery by a was not stored
		m.says(4, 12, groups.AckAccept, kerr.InvalidRecordState)
		left := groups.ShareHeartbeat{MemberID: "m", Epoch: -1}
		if heartbeat := b.manager.ShareHeartbeat(t.Context(), "work", left); heartbeat.Err != nil {
			t.Fatal(heartbeat.Err)
		}
		if err := b.manager.Commit(t.Context(), "work", groups.Committer{Generation: -1}, nil); err != kerr.GroupIDNotFound {
			t.Errorf("committing offsets: %v", err)
		}
		if err := b.manager.Delete(t.Context(), "work"); err != nil {
			t.Errorf("deleting it: %v", err)
		}
		b.stop(t)
	})
}

// Whatever somebody says of a log, a share group ends no record that is not there yet. What it
// takes in memory is given back when nobody is in it.
func TestShareGroupsEndNoFutureRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{})
		defer a.stop(t)
		topic := createTopic(t, a.node)
		at, other := segments.Partition{Topic: topic}, segments.Partition{Topic: topic, Index: 1}
		fill(t, a.node, at, 10)
		synctest.Wait()
		a.joins(t, "m", 1)
		if err := a.manager.BeginShares(t.Context(), "work", []groups.ShareBeginning{{Partition: at, Offset: -5},
			{Partition: other, Offset: math.MaxInt64}}); err != nil {
			t.Fatal(err)
		}
		for _, r := range []groups.ShareAcquire{
			{Partition: at, From: -1, To: math.MaxInt64, Batches: []groups.LogRange{{First: 8, Last: math.MaxInt64}}},
			{Partition: at, From: 3, To: math.MaxInt64},
			{Partition: other, To: math.MaxInt64, Batches: []groups.LogRange{{First: math.MinInt64, Last: math.MaxInt64}}},
		} {
			if _, err := a.manager.AcquireShares(t.Context(), "work", "m", []groups.ShareAcquire{r},
				groups.AcquireBounds{Most: 100}); err != nil {
				t.Fatal(err)
			}
		}
		m := &sharing{a, t, "m", at}
		m.says(8, 9, groups.AckAccept, nil)
		fill(t, a.node, at, 10)
		fill(t, a.node, other, 10)
		synctest.Wait()
		m.takes(19, "10-19×1 ")
		(&sharing{a, t, "m", other}).takes(9, "0-9×1 ")
		leaves := groups.ShareHeartbeat{MemberID: "m", Epoch: -1}
		if left := a.manager.ShareHeartbeat(t.Context(), "work", leaves); left.Err != nil {
			t.Fatal(left.Err)
		}
		if _, err := a.manager.ShareOffsets(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := a.manager.MemberBytes(); n != 0 {
			t.Errorf("a group without members takes %d bytes", n)
		}
	})
}

// A share group that only functions use forgets nothing between two claims: not what it skips, and
// no delivery is counted of which nobody was told.
func TestShareGroupsWithoutMembersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		at := segments.Partition{Topic: createTopic(t, a.node)}
		fill(t, a.node, at, 10)
		synctest.Wait()
		begin := []groups.ShareBeginning{{Partition: at}}
		if err := a.manager.OpenShares(t.Context(), "work", begin); err != nil {
			t.Fatal(err)
		}
		next := func(o *owner, want int64) {
			t.Helper()
			synctest.Wait() // until it is stored, and forgotten
			if n := o.manager.MemberBytes(); n != 0 {
				t.Errorf("a group without members takes %d bytes", n)
			}
			states, _, _, err := o.manager.Shares(t.Context(), "work", []segments.Partition{at})
			if err != nil || states[0].Offset != want {
				t.Errorf("the group is at %+v, %v; not %d", states, err, want)
			}
		}
		read := groups.ShareAcquire{Partition: at, From: 0, To: 3}
		got, to, err := a.manager.ClaimShares(t.Context(), "work", "m", &read, groups.AcquireBounds{Most: 5, Exactly: true})
		if err != nil || got != nil || to != 4 {
			t.Errorf("acquired %v up to %d, %v", got, to, err)
		}
		next(a, 4)
		m := &sharing{a, t, "m", at}
		for range 10 { // more often than they may be delivered
			m.takes(9, "4-9×1 ")
			if err := a.manager.Delete(t.Context(), "work"); err != kerr.NonEmptyGroup {
				t.Errorf("a group that has records out is deleted: %v", err)
			}
			if err := a.manager.AlterShares(t.Context(), "work", begin); err != kerr.NonEmptyGroup {
				t.Errorf("the offsets of a group that has records out are altered: %v", err)
			}
			if err := a.manager.UnclaimShares(t.Context(), "work", "m"); err != nil {
				t.Fatal(err)
			}
			next(a, 4)
		}
		a.stop(t)
		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		next(b, 4)
	})
}

// A share group that takes as much memory as it may gives out what was given back, and says that it
// is full where there is nothing.
func TestCrowdedShareGroupsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := groups.Limits{}
		for range 2 { // first to learn what a member takes
			a := start(t, memory.New(), embedded.New(embedded.Options{}), 1, groups.Options{Limits: limits})
			at := segments.Partition{Topic: createTopic(t, a.node)}
			fill(t, a.node, at, 20)
			synctest.Wait()
			a.joins(t, "m", 1)
			crowded := limits.GroupBytes > 0
			limits.GroupBytes = int(a.manager.MemberBytes()) + 200
			if !crowded {
				a.stop(t)
				continue
			}
			m := &sharing{a, t, "m", at}
			m.takes(9, "0-9×1 ")
			m.says(0, 4, groups.AckRelease, nil)
			m.takes(19, "0-4×2 ")
			states, _, _, err := a.manager.Shares(t.Context(), "work", []segments.Partition{at})
			if err != nil || !states[0].Full {
				t.Errorf("a crowded group is at %+v, %v", states, err)
			}
			m.says(0, 9, groups.AckAccept, nil)
			m.takes(19, "10-19×1 ")
			a.stop(t)
		}
	})
}

// Members of a share group go on at its next owner in the epoch that they were told of, although it
// is not stored of each, and share partitions that came while it had none; consumer groups, too.
func TestShareGroupsGoOnInTheirEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		topic := createTopic(t, a.node)
		synctest.Wait()
		a.joins(t, "m", 1)
		a.joins(t, "n", 2)
		joined := a.manager.ConsumerHeartbeat(t.Context(), "readers", consumer("c"))
		if joined.Err != nil {
			t.Fatal(joined.Err)
		}
		synctest.Wait()
		heartbeat := groups.ShareHeartbeat{MemberID: "m", Epoch: 1}
		if answer := a.manager.ShareHeartbeat(t.Context(), "work", heartbeat); answer.Err != nil || answer.Epoch != 2 {
			t.Fatalf("beating: %+v", answer)
		}
		if err := a.manager.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		grow := &coordinator.Grow{Topic: topic, Partitions: 5}
		if _, err := a.node.Change(t.Context(), coordinator.Change{Grow: grow}); err != nil {
			t.Fatal(err)
		}
		if err := a.node.Close(t.Context()); err != nil {
			t.Fatal(err)
		}

		b := start(t, store, c, 2, groups.Options{})
		defer b.stop(t)
		assigned := 0
		for _, id := range []string{"m", "n"} {
			answer := b.manager.ShareHeartbeat(t.Context(), "work", groups.ShareHeartbeat{MemberID: id, Epoch: 2})
			if answer.Err != nil || answer.Epoch != 3 {
				t.Errorf("%s beats at the next owner: %+v", id, answer)
			}
			assigned += len(answer.Assigned)
		}
		if assigned != 5 {
			t.Errorf("%d of 5 partitions are assigned", assigned)
		}
		answer := b.manager.ConsumerHeartbeat(t.Context(), "readers", alive("c", joined.Epoch))
		if answer.Err != nil || len(answer.Assigned) != 5 {
			t.Errorf("a consumer is assigned %+v", answer)
		}
	})
}
