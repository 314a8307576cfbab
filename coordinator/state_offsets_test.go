package coordinator_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// decide commits offsets under a lease of this life.
func decide(
	t *testing.T, life *coordinator.Life, lease coordinator.Lease, group string, forget bool,
	offsets ...coordinator.GroupOffset,
) coordinator.Entry {
	t.Helper()
	entry, err := life.Decide(t.Context(), coordinator.Change{Offsets: &coordinator.CommitOffsets{
		Lease: lease.Name, Epoch: lease.Epoch, Group: group, Forget: forget, Offsets: offsets}})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// Committed offsets show from their decision on. Those that were settled are there after a restart,
// others are gone; deleted ones stay deleted.
func TestCommittedOffsetsSurvive(t *testing.T) {
	store := memory.New()
	n := join(t, store)
	topic, other := createTopic(t, n, "a", 2), createTopic(t, n, "b", 1)
	at, beside := segments.Partition{Topic: topic}, segments.Partition{Topic: topic, Index: 1}
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := life.Acquire(t.Context(), "group/1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	const none = math.MinInt64
	want := func(n *coordinator.Node, group string, at segments.Partition, offset int64) {
		t.Helper()
		c, there := n.View().Committed(group, at)
		if there != (offset != none) || there && c.Offset != offset {
			t.Errorf("group %s, partition %s: %+v (%v), want offset %d", group, at, c, there, offset)
		}
	}
	settled := []coordinator.Entry{
		decide(t, life, lease, "g", false, coordinator.GroupOffset{Partition: at, Offset: 7, LeaderEpoch: 3, Metadata: "m"},
			coordinator.GroupOffset{Partition: beside, Offset: 8, LeaderEpoch: -1}),
		decide(t, life, lease, "g", false,
			coordinator.GroupOffset{Partition: segments.Partition{Topic: other}, Offset: 1, LeaderEpoch: -1}),
		decide(t, life, lease, "g", false, coordinator.DeletedOffset(beside)),
		decide(t, life, lease, "h", false, coordinator.GroupOffset{Partition: at, Offset: 4, LeaderEpoch: -1}),
		decide(t, life, lease, "h", true),
		decide(t, life, lease, "back", false, coordinator.GroupOffset{Partition: at, Offset: -2, LeaderEpoch: -1}),
	}
	want(n, "back", at, -2)
	want(n, "g", at, 7)
	want(n, "g", beside, none)
	want(n, "h", at, none)
	if err := life.Settle(t.Context(), settled...); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Change(t.Context(), coordinator.Change{DeleteTopic: &other}); err != nil {
		t.Fatal(err)
	}
	decide(t, life, lease, "g", false, coordinator.GroupOffset{Partition: at, Offset: 9, LeaderEpoch: -1}) // never settled
	want(n, "g", at, 9)

	next := join(t, store)
	want(next, "g", at, 7)
	want(next, "back", at, -2)
	want(next, "g", beside, none)
	want(next, "g", segments.Partition{Topic: other}, none)
	want(next, "h", at, none)
	if c, _ := next.View().Committed("g", at); c.LeaderEpoch != 3 || c.Metadata != "m" || c.Time == 0 {
		t.Errorf("recovered %+v", c)
	}
	groups, offsets := next.View().Groups(), next.View().CommittedOffsets("g")
	if !slices.Equal(groups, []string{"back", "g"}) || len(offsets) != 1 {
		t.Errorf("recovered groups %v, of g %v", groups, offsets)
	}
	for of, each := range map[segments.TopicID]func(func(coordinator.CommittedOffset, coordinator.PartitionInfo)){
		{}: func(tell func(coordinator.CommittedOffset, coordinator.PartitionInfo)) {
			next.View().EachCommitted("g", tell)
		},
		topic: func(tell func(coordinator.CommittedOffset, coordinator.PartitionInfo)) {
			next.View().EachCommittedOf("g", topic, tell)
		},
	} {
		var told []coordinator.CommittedOffset
		each(func(c coordinator.CommittedOffset, _ coordinator.PartitionInfo) { told = append(told, c) })
		if !slices.Equal(told, offsets) {
			t.Errorf("of topic %s it is told %v, want %v", of, told, offsets)
		}
	}
}

// A lease that was given back, and taken again, does not let its old epoch commit.
func TestLifeReleasesLeases(t *testing.T) {
	n := join(t, memory.New())
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := life.Acquire(t.Context(), "group/1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := life.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	commit := &coordinator.CommitOffsets{Lease: lease.Name, Epoch: lease.Epoch}
	_, err = life.Decide(t.Context(), coordinator.Change{Offsets: commit})
	if !errors.Is(err, coordinator.ErrLeaseLost) {
		t.Errorf("a commit under a released lease gives %v", err)
	}
}
