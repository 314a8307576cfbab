package coordinatortest

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// RunOffsets runs the part of the suite that is about what consumer groups commit. open returns a
// new coordinator, each time it is called.
func RunOffsets(t *testing.T, open func(t *testing.T) Subject) {
	t.Run("UnderALease", func(t *testing.T) {
		c := newFixture(t, open(t))
		in := c.in
		first := acquire(t, c, in, "a")
		at := segments.Partition{Topic: segments.TopicID{1}, Index: 2}
		five := coordinator.GroupOffset{Partition: at, Offset: 5, LeaderEpoch: -1, Metadata: "m"}
		entry := commitOffsets(t, c, in, first, five)
		o := entry.Fact.Offsets
		if o == nil || o.Group != "g" || o.Epoch != first.Epoch || o.Time == 0 {
			t.Fatalf("decided was %+v", o)
		}
		if len(o.Partitions) != 1 || o.Partitions[0].Offset != 5 {
			t.Fatalf("decided was %+v", o)
		}
		if err := c.Release(t.Context(), in, first.Name, first.Holder, first.Epoch); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, c, in, first, "after its release")
		second := acquire(t, c, in, "b")
		wantRefused(t, c, in, first, "while another holds it")
		c.Advance(TTL + TTL/5)
		wantRefused(t, c, in, second, "that has run out")
		wantRefused(t, c, in, coordinator.Lease{Name: "never held", Epoch: 1}, "that nobody ever held")
		second = acquire(t, c, in, "b")
		later := commitOffsets(t, c, in, second, coordinator.GroupOffset{Partition: at, Offset: 3, LeaderEpoch: -1})
		if later.Fact.Offsets.Version <= o.Version || later.Seq <= entry.Seq {
			t.Errorf("version %d, entry %d came after version %d, entry %d",
				later.Fact.Offsets.Version, later.Seq, o.Version, entry.Seq)
		}
	})
	t.Run("VersionsGrow", func(t *testing.T) {
		c := newFixture(t, open(t))
		in := c.in
		lease := acquire(t, c, in, "a")
		a, b := segments.Partition{Topic: segments.TopicID{1}}, segments.Partition{Topic: segments.TopicID{1}, Index: 1}
		var before uint64
		for range 5 {
			o := commitOffsets(t, c, in, lease,
				coordinator.GroupOffset{Partition: b, Offset: 1},
				coordinator.GroupOffset{Partition: a, Offset: 2}).Fact.Offsets
			if o.Version <= before {
				t.Fatalf("version %d after %d", o.Version, before)
			}
			byIndex := func(a, b coordinator.GroupOffset) int { return cmp.Compare(a.Partition.Index, b.Partition.Index) }
			if !slices.IsSortedFunc(o.Partitions, byIndex) {
				t.Errorf("partitions are %+v", o.Partitions)
			}
			before = o.Version
		}
	})
	t.Run("NumberedByTheHolder", func(t *testing.T) {
		c := newFixture(t, open(t))
		first := acquire(t, c, c.in, "a")
		barrier := barrierVersion(t, c, first)
		for _, n := range []uint64{3, 1, 2, 3} { // late, and twice
			if got := numbered(t, c, first, barrier+n); got != barrier+n {
				t.Errorf("version %d became %d", barrier+n, got)
			}
		}
		if err := c.Release(t.Context(), c.in, first.Name, first.Holder, first.Epoch); err != nil {
			t.Fatal(err)
		}
		if next := barrierVersion(t, c, acquire(t, c, c.in, "b")); next <= barrier+3 {
			t.Errorf("the next holder begins with version %d, not above %d", next, barrier+3)
		}
	})
	t.Run("AnyNumber", func(t *testing.T) {
		c := newFixture(t, open(t))
		lease := acquire(t, c, c.in, "a")
		at := func(index int32) segments.Partition {
			return segments.Partition{Topic: segments.TopicID{1}, Index: index}
		}
		want := []coordinator.GroupOffset{
			{Partition: at(0), Offset: -1, LeaderEpoch: -1, Metadata: "m"},
			{Partition: at(1), Offset: math.MinInt64, LeaderEpoch: math.MaxInt32},
			{Partition: at(2), Offset: math.MaxInt64, LeaderEpoch: 0},
			coordinator.DeletedOffset(at(3)),
		}
		entry := commitOffsets(t, c, c.in, lease, want...)
		for e, err := range c.Follow(t.Context(), c.in, entry.Seq-1) {
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Fact.Offsets.Partitions; !slices.Equal(got, want) {
				t.Errorf("followers get %+v, want %+v", got, want)
			}
			break
		}
	})
	t.Run("AnEmptyOneIsABarrier", func(t *testing.T) {
		c := newFixture(t, open(t))
		in := c.in
		lease := acquire(t, c, in, "a")
		first := commitOffsets(t, c, in, lease)
		barrier := &coordinator.CommitOffsets{Lease: lease.Name, Epoch: lease.Epoch}
		entry, err := c.Propose(t.Context(), in, coordinator.Change{Offsets: barrier})
		if err != nil || entry.Seq <= first.Seq || entry.Fact == nil {
			t.Fatalf("entry %+v, error %v", entry, err)
		}
	})
}

func acquire(t *testing.T, c coordinator.Coordinator, in coordinator.Incarnation, holder string) coordinator.Lease {
	t.Helper()
	lease, err := c.Acquire(t.Context(), in, "groups/7", holder, TTL)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func commitOffsets(
	t *testing.T, c coordinator.Coordinator, in coordinator.Incarnation, l coordinator.Lease,
	offsets ...coordinator.GroupOffset,
) coordinator.Entry {
	t.Helper()
	commit := &coordinator.CommitOffsets{Lease: l.Name, Epoch: l.Epoch, Group: "g", Offsets: offsets}
	entry, err := c.Propose(t.Context(), in, coordinator.Change{Offsets: commit})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// numbered commits under a version, and returns that which was decided.
func numbered(t *testing.T, c *fixture, l coordinator.Lease, n uint64) uint64 {
	t.Helper()
	at := segments.Partition{Topic: segments.TopicID{1}}
	return proposed(t, c, &coordinator.CommitOffsets{Lease: l.Name, Epoch: l.Epoch, Version: n, Group: "g",
		Offsets: []coordinator.GroupOffset{{Partition: at}}})
}

func barrierVersion(t *testing.T, c *fixture, l coordinator.Lease) uint64 {
	t.Helper()
	return proposed(t, c, &coordinator.CommitOffsets{Lease: l.Name, Epoch: l.Epoch})
}

func proposed(t *testing.T, c *fixture, o *coordinator.CommitOffsets) uint64 {
	t.Helper()
	entry, err := c.Propose(t.Context(), c.in, coordinator.Change{Offsets: o})
	if err != nil {
		t.Fatal(err)
	}
	return entry.Fact.Offsets.Version
}

func wantRefused(
	t *testing.T, c coordinator.Coordinator, in coordinator.Incarnation, l coordinator.Lease, when string,
) {
	t.Helper()
	commit := &coordinator.CommitOffsets{Lease: l.Name, Epoch: l.Epoch, Group: "g"}
	_, err := c.Propose(t.Context(), in, coordinator.Change{Offsets: commit})
	if !errors.Is(err, coordinator.ErrLeaseLost) {
		t.Errorf("a commit under a lease %s gives %v", when, err)
	}
}
