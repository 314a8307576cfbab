package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/topics"
)

// A partition's copies are the bucket's business, and any node serves it. But tools declare a
// replication factor, read it back, and make a difference good: the common Terraform provider would
// replace the topic. So a topic remembers what its clients asked for, and each of its partitions
// names that many replicas, all of them in sync: the leader and the live nodes behind it in the
// order of their ids, round and round. With fewer live nodes than replicas, a node stands for
// several: the number must not change because a node restarts. Of the brokers that a partition was
// assigned to those that live come first, and the first of them leads, of the client's zone if it
// names one. The leader is among the replicas that clients get, however few those are.

// MaxReplicas bounds the replication factor, and so how long an answer about a topic becomes.
const MaxReplicas = topics.MaxReplicas

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

// replicaSet is what clients declared of the replicas of one partition.
type replicaSet struct {
	count    int16
	assigned []int32 // brokers; none: it was not assigned
}

// declared returns what clients declared of the replicas of a partition, which need not exist.
func (s *Server) declared(t *coordinator.Topic, partition int32) replicaSet {
	r := replicaSet{count: s.replicationFactor(t)}
	if t != nil && partition >= 0 && int(partition) < len(t.Assignment) {
		r.assigned = t.Assignment[partition]
	}
	if len(r.assigned) > 0 && s.opts.ReportedReplicationFactor == 0 {
		r.count = int16(len(r.assigned))
	}
	return r
}

// of returns the leader of a partition, -1 if there is no node, and its replicas.
func (p placement) of(at segments.Partition, r replicaSet) (leader int32, replicas []int32) {
	if leader = leaderOf(p.leaders, at); leader < 0 {
		return leader, nil
	}
	lives := func(nodes []coordinator.NodeInfo) func(id int32) bool {
		return func(id int32) bool {
			return slices.ContainsFunc(nodes, func(n coordinator.NodeInfo) bool { return n.ID == id })
		}
	}
	if i := slices.IndexFunc(r.assigned, lives(p.leaders)); i >= 0 {
		leader = r.assigned[i]
	}
	known := lives(p.nodes)
	first := slices.DeleteFunc(slices.Clone(r.assigned), func(id int32) bool { return !known(id) })
	if i := slices.Index(first, leader); i < 0 || i >= int(r.count) {
		others := slices.DeleteFunc(first, func(id int32) bool { return id == leader })
		first = slices.Insert(others, 0, leader)
	}
	return leader, replicasOf(p.nodes, first, r.count)
}

// replicasOf returns so many replicas, beginning with the first, and with others of as many zones
// as there are: then each zone has one to read from.
func replicasOf(nodes []coordinator.NodeInfo, first []int32, count int16) []int32 {
	position := func(id int32) int {
		return slices.IndexFunc(nodes, func(n coordinator.NodeInfo) bool { return n.ID == id })
	}
	at := position(first[0])
	picked := make([]int, 0, max(int(count), len(first))) // of nodes
	for _, id := range first {
		picked = append(picked, position(id))
	}
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
		if i >= len(picked) && i < len(nodes) {
			picked = append(picked, least())
		}
		replicas[i] = nodes[picked[i%len(picked)]].ID
	}
	return replicas
}

// nowhereCloser says that a client reads from where it is.
const nowhereCloser = -1

// closerTo returns the replica of a partition that is in a rack (KIP-392). Clients go to none but
// the replicas that Metadata names.
func (p placement) closerTo(rack string, at segments.Partition, r replicaSet) int32 {
	_, replicas := p.of(at, r)
	for _, id := range replicas {
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

// checkReplicas checks the brokers that a partition is assigned to: one or more, all different.
// They need not exist.
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

// checkAssignmentSize bounds what is remembered of the assignments of one topic.
func checkAssignmentSize(a coordinator.Assignment) *refusal {
	if err := a.Check(); err != nil {
		return refuse(kerr.InvalidReplicaAssignment, "%v", err)
	}
	return nil
}
