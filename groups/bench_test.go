package groups_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// A thousand groups of ten members: what a heartbeat and a commit cost, and how much memory a
// member takes.
func BenchmarkThousandGroups(b *testing.B) {
	node, err := coordinator.Join(b.Context(), coordinator.NodeOptions{Store: memory.New(),
		Coordinator: embedded.New(embedded.Options{}),
		Info:        coordinator.NodeInfo{ID: 1}})
	if err != nil {
		b.Fatal(err)
	}
	// on a busy machine some come late
	m, err := groups.New(groups.Options{Node: node, InitialRebalanceDelay: time.Second / 2})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		m.Close(b.Context())
		node.Close(b.Context())
	})
	const groupCount, memberCount = 1000, 10
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	members := make([]groups.JoinAnswer, groupCount*memberCount)
	// not all at once: who comes late to a group makes the others join again
	for first := 0; first < len(members); first += 50 * memberCount {
		var joining sync.WaitGroup
		for i := first; i < first+50*memberCount; i++ {
			joining.Go(func() {
				group := fmt.Sprint("group-", i/memberCount)
				members[i] = m.Join(b.Context(), group, groups.JoinRequest{ClientID: "bench", SessionTimeout: time.Hour / 2,
					RebalanceTimeout: time.Minute,
					ProtocolType:     "consumer", Protocols: []groups.Protocol{{Name: "range", Metadata: make([]byte, 100)}}})
				m.Sync(b.Context(), group, groups.SyncRequest{MemberID: members[i].MemberID, Generation: members[i].Generation})
			})
		}
		joining.Wait()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perMember := float64(after.HeapAlloc-before.HeapAlloc) / float64(len(members))
	group := func(i int) string { return fmt.Sprint("group-", i/memberCount) }
	b.Run("heartbeat", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			n := i % len(members)
			if err := m.Heartbeat(b.Context(), group(n), members[n].MemberID, "", members[n].Generation); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(perMember, "B/member")
	})
	b.Run("commit", func(b *testing.B) {
		b.ReportAllocs()
		at := segments.Partition{Topic: segments.NewTopicID()}
		for i := 0; b.Loop(); i++ {
			n := i % len(members)
			who := groups.Committer{MemberID: members[n].MemberID, Generation: members[n].Generation}
			at.Index = int32(n % memberCount)
			if err := m.Commit(b.Context(), group(n), who, []coordinator.GroupOffset{{Partition: at, Offset: int64(i),
				LeaderEpoch: -1}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
