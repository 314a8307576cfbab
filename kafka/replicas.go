package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// A partition's copies are the bucket's business, and any node serves it. But tools declare a
// replication factor, read it back, and make a difference good: the common Terraform provider would
// replace the topic. So a topic remembers what its clients asked for, and each of its partitions
// names that many replicas, all of them in sync: the leader and the live nodes behind it in the
// order of their ids, round and round. With fewer live nodes than replicas, a node stands for
// several: the number must not change because a node restarts.

// MaxReplicas bounds the replication factor, and so how long an answer about a topic becomes.
const MaxReplicas = 16

// defaultReplicas is the replication factor of topics whose clients asked for none.
const defaultReplicas = 1

// replicationFactor is the one that clients get.
func (s *Server) replicationFactor(t *coordinator.Topic) int16 {
	if n := s.opts.ReportedReplicationFactor; n > 0 {
		return n
	}
	if t == nil || t.ReplicationFactor < 1 {
		return defaultReplicas
	}
	return t.ReplicationFactor
}

// replicasOf returns so many replicas, beginning with the leader, of as many zones as there are:
// then each zone has one to read from.
func replicasOf(nodes []coordinator.NodeInfo, leader int32, count int16) []int32 {
	at := slices.IndexFunc(nodes, func(n coordinator.NodeInfo) bool { return n.ID == leader })
	picked := make([]int, 0, count) // of nodes
	least := func() (best int) {
		fewest := len(picked) + 1
		for i := range nodes {
			next, same := (at+i)%len(nodes), 0
			for _, p := range picked {
				if nodes[p].Zone == nodes[next].Zone {
					same++
				}
			}
			if same < fewest && !slices.Contains(picked, next) {
				best, fewest = next, same
			}
		}
		return best
	}
	replicas := make([]int32, count)
	for i := range replicas {
		if i < len(nodes) {
			picked = append(picked, least())
		}
		replicas[i] = nodes[picked[i%len(nodes)]].ID
	}
	return replicas
}

// nowhereCloser says that a client reads from where it is.
const nowhereCloser = -1

// closerTo returns the replica of a partition that is in a rack (KIP-392). Clients go to none but
// the replicas that Metadata names.
func (p placement) closerTo(rack string, at segments.Partition, replicas int16) int32 {
	leader := leaderOf(p.leaders, at)
	if leader < 0 {
		return nowhereCloser
	}
	for _, id := range replicasOf(p.nodes, leader, replicas) {
		for _, n := range p.nodes {
			if n.ID == id && n.Zone == rack {
				return id
			}
		}
	}
	return nowhereCloser
}

// checkReplicationFactor checks what a client asks for; -1 stands for the default.
func checkReplicationFactor(asked int16) (int16, *refusal) {
	switch {
	case asked == -1:
		return defaultReplicas, nil
	case asked < 1 || asked > MaxReplicas:
		return 0, refuse(kerr.InvalidReplicationFactor, "replication factor is %d; it must be 1 to %d, or -1 for the default",
			asked, MaxReplicas)
	}
	return asked, nil
}

// checkReplicas checks the brokers that a partition is assigned to, though nobody will follow that:
// one or more, all different. They need not exist.
func checkReplicas(partition int32, brokers []int32) *refusal {
	if len(brokers) == 0 || len(brokers) > MaxReplicas {
		return refuse(kerr.InvalidReplicaAssignment, "partition %d is assigned to %d brokers; 1 to %d are allowed",
			partition, len(brokers), MaxReplicas)
	}
	sorted := slices.Sorted(slices.Values(brokers))
	if sorted[0] < 0 || len(slices.Compact(sorted)) < len(brokers) {
		return refuse(kerr.InvalidReplicaAssignment,
			"partition %d is assigned to %v: brokers must be different and not negative", partition, brokers)
	}
	return nil
}
