package coordinator_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// TestFrozenSnapshotter freezes a node that writes snapshots, for shorter and longer than the lease
// for that and than its heartbeats, before its first snapshot and after some. Another node may take
// the lease meanwhile. When the first goes on, snapshots come again, and what they cover goes.
func TestFrozenSnapshotter(t *testing.T) {
	for _, length := range append(slices.Clone(coordinatortest.Freezes), 10*time.Minute) {
		for _, before := range []int{1, 70} { // writes
			for _, alone := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v, after %d, alone %v", length, before, alone), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { freezeSnapshotter(t, length, before, alone) })
				})
			}
		}
	}
}

func freezeSnapshotter(t *testing.T, length time.Duration, before int, alone bool) {
	const every = 20
	store, coord := memory.New(), shared{embedded.New(embedded.Options{})}
	process := &coordinatortest.Frozen{Coordinator: coord}
	n := joinShared(t, store, process, 1, every)
	other := n
	if !alone {
		other = joinShared(t, store, coord, 2, every)
	}
	at := segments.Partition{Topic: createTopic(t, n, "a", 1)}
	many := func(n *coordinator.Node, count int) {
		for range count {
			write(t, n, request(at, 1))
			time.Sleep(100 * time.Millisecond)
		}
	}
	many(n, before)
	process.Freeze(length)
	many(other, 3*every)
	time.Sleep(length)
	earlier := keys(t, store, "snapshots/")
	many(n, 10*every)
	time.Sleep(5 * time.Minute) // the lease of one that does not come back
	many(n, 5*every)
	later, journal := keys(t, store, "snapshots/"), keys(t, store, "journal/")
	if later[len(later)-1] <= earlier[len(earlier)-1] || len(journal) > 4*every {
		t.Errorf("snapshots %v became %v, with %d journal objects", earlier, later, len(journal))
	}
}
