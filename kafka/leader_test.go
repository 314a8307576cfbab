package kafka

import (
	"slices"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

func nodes(ids ...int32) []coordinator.NodeInfo {
	var all []coordinator.NodeInfo
	for _, id := range ids {
		all = append(all, coordinator.NodeInfo{ID: id})
	}
	return all
}

func somePartitions(n int) []segments.Partition {
	ps := make([]segments.Partition, n)
	for i := range ps {
		ps[i] = segments.Partition{Topic: segments.TopicID{byte(i / 12)}, Index: int32(i % 12)}
	}
	return ps
}

func TestLeadersAreSpreadEvenly(t *testing.T) {
	const partitions, each = 1200, 1200 / 6
	count := map[int32]int{}
	for _, at := range somePartitions(partitions) {
		count[leaderOf(nodes(0, 1, 2, 3, 4, 1000), at)]++
	}
	for id, n := range count {
		if n < each*3/4 || n > each*5/4 {
			t.Errorf("node %d leads %d of %d partitions", id, n, partitions)
		}
	}
	if len(count) != 6 {
		t.Errorf("only %d nodes lead", len(count))
	}
}

// When a node goes, only its partitions get another leader; and it does not matter in which order a
// node has heard of the others.
func TestLeadersMoveOnlyWhenTheyMust(t *testing.T) {
	before, after := nodes(1, 2, 3, 4), nodes(4, 3, 1)
	for _, at := range somePartitions(500) {
		was, is := leaderOf(before, at), leaderOf(after, at)
		if was != is && was != 2 {
			t.Fatalf("%v moves from node %d to %d although only 2 has gone", at, was, is)
		}
	}
	if id := leaderOf(nil, segments.Partition{}); id != -1 {
		t.Errorf("node %d of none leads", id)
	}
}

// Nodes of different versions have to agree, so these never change.
func TestLeadersAreForEver(t *testing.T) {
	var got []int32
	for _, at := range somePartitions(12) {
		got = append(got, leaderOf(nodes(1, 2, 3), at))
	}
	if want := []int32{3, 2, 1, 1, 1, 1, 2, 2, 1, 1, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("leaders are %v, want %v", got, want)
	}
}

func TestNearby(t *testing.T) {
	all := []coordinator.NodeInfo{{ID: 1, Zone: "a"}, {ID: 2, Zone: "b"}, {ID: 3, Zone: "a"}, {ID: 4}}
	for clientID, want := range map[string][]int32{
		"":                {1, 2, 3, 4},
		"app":             {1, 2, 3, 4},
		"zone=a":          {1, 3},
		"app,zone=b,more": {2},
		"app,zone=c":      {1, 2, 3, 4},
		"timezone=a":      {1, 2, 3, 4},
		"zone=c,zone=b":   {2},
	} {
		var got []int32
		for _, n := range nearby(all, clientID) {
			got = append(got, n.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("client id %q is sent to %v, want %v", clientID, got, want)
		}
	}
}

func BenchmarkLeaderOf(b *testing.B) {
	all, at := nodes(1, 2, 3, 4, 5, 6), segments.Partition{Topic: segments.NewTopicID()}
	b.ReportAllocs()
	for b.Loop() {
		at.Index++
		leaderOf(all, at)
	}
}
