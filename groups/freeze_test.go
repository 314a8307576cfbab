package groups_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"

	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// startStalling returns a node that is alone, and the coordinator that it stalls on.
func startStalling(t *testing.T) (*owner, *coordinatortest.Frozen) {
	t.Helper()
	c := &coordinatortest.Frozen{Coordinator: embedded.New(embedded.Options{})}
	logger := slog.New(slog.DiscardHandler)
	node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: memory.New(), Coordinator: c,
		Info: coordinator.NodeInfo{ID: 1}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{node: node}
	if o.manager, err = groups.New(groups.Options{Node: node, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = o.manager.Close(context.Background())
		_ = node.Close(context.Background())
	})
	return o, c
}

// A node that stalls while its groups rebalance, and whose clients are gone when it goes on, comes
// to an end with each of them: the timers that rang while the lease looked lost are made up for
// when it is renewed.
func TestGroupsComeToAnEndAfterAStall(t *testing.T) {
	for _, length := range coordinatortest.Freezes {
		for _, offset := range []time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond} {
			t.Run(fmt.Sprint(length, "+", offset), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { rebalanceThroughStall(t, length, offset) })
			})
		}
	}
}

func rebalanceThroughStall(t *testing.T, length, offset time.Duration) {
	const count = 10
	o, c := startStalling(t)
	ctx, gone := context.WithCancel(t.Context())
	defer gone()
	group := func(i int) string { return fmt.Sprint("group-", i) }
	ask := func() groups.JoinRequest {
		return groups.JoinRequest{SessionTimeout: 6 * time.Second, RebalanceTimeout: 6 * time.Second,
			ProtocolType: "consumer",
			Protocols:    []groups.Protocol{{Name: "range"}}}
	}
	for i := range count {
		first := o.manager.Join(ctx, group(i), ask())
		if first.Err != nil {
			t.Fatal(first.Err)
		}
		o.manager.Sync(ctx, group(i), groups.SyncRequest{MemberID: first.MemberID, Generation: first.Generation})
	}
	time.Sleep(offset)
	for i := range count {
		go o.manager.Join(ctx, group(i), ask()) // waits for the first member, which never comes back
	}
	synctest.Wait()
	c.Freeze(length)
	gone()
	time.Sleep(length + time.Minute)
	for i := range count {
		d, err := o.manager.Describe(t.Context(), group(i))
		if err != nil && err != kerr.GroupIDNotFound || len(d.Members) > 0 {
			t.Errorf("%s is %v with %d members a minute after the stall: %v", group(i), d.State, len(d.Members), err)
		}
	}
}

// A holder whose node stalled for longer than the claim lasts has lost it to nobody's harm: another
// gets the partition, and the first can commit nothing any more.
func TestClaimsEndThroughAStall(t *testing.T) {
	for _, length := range coordinatortest.Freezes {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, c := startStalling(t)
				topic := single(t, o.node)
				first, _ := claimOne(t, o, "workers", "x", topic)
				c.Freeze(length)
				time.Sleep(length + 6*time.Second) // the claim lasts 5 s
				second, ok := claimOne(t, o, "workers", "y", topic)
				if !ok || second.Epoch <= first.Epoch {
					t.Fatalf("behind %+v another is granted %+v", first, second)
				}
				if err := commitClaim(o, "workers", first, 7, false); err != kerr.FencedMemberEpoch {
					t.Errorf("the first holder commits: %v", err)
				}
				if err := commitClaim(o, "workers", second, 3, false); err != nil {
					t.Errorf("the second holder commits: %v", err)
				}
				wantCommitted(t, o, "workers", segments.Partition{Topic: topic}, 3)
			})
		})
	}
}
