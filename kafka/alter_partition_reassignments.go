package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// AlterPartitionReassignments, versions 0 and 1, as Kafka 4. Any node serves it.
//
//   - A reassignment is done when the answer arrives: any node serves any partition, so nothing has
//     to move. It is remembered, and told (replicas.go). The topic's replication factor, which new
//     partitions get, is that of its first partition. The brokers need not exist.
//   - Nothing is ever under way, so cancelling is NO_REASSIGNMENT_IN_PROGRESS.
//   - Each topic is changed wholly or not at all, unlike in Kafka. One that stands twice in a
//     request is changed once after the other, as in Kafka. Requests at the same moment, also
//     through different nodes, keep what others assign of other partitions.
func init() {
	register(0, 1, alterPartitionReassignments, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

func alterPartitionReassignments(ctx context.Context, s *Server, from *peer,
	req *kmsg.AlterPartitionAssignmentsRequest) (kmsg.Response, error) {
	ctx, cancel := withTimeout(ctx, req.TimeoutMillis)
	defer cancel()
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	if refused := from.mayWithCluster(access.Alter); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	resp.Topics = make([]kmsg.AlterPartitionAssignmentsResponseTopic, len(req.Topics))
	fixed := req.Version >= 1 && !req.AllowReplicationFactorChange
	var names []string
	places := map[string][]int{} // of a topic in the request
	for i := range req.Topics {
		name := req.Topics[i].Topic
		if places[name] == nil {
			names = append(names, name)
		}
		places[name] = append(places[name], i)
	}
	inParallel(len(names), func(i int) {
		for _, at := range places[names[i]] {
			resp.Topics[at] = s.reassignTopic(ctx, from, &req.Topics[at], fixed)
		}
	})
	return resp, nil
}

// reassignTopic remembers the assignments, unless they change a number of replicas that is fixed,
// and answers.
func (s *Server) reassignTopic(ctx context.Context, from *peer, asked *kmsg.AlterPartitionAssignmentsRequestTopic,
	fixed bool) (a kmsg.AlterPartitionAssignmentsResponseTopic) {
	t := s.opts.Node.View().Topic(asked.Topic)
	bad, brokers := false, map[int32][]int32{}
	a.Topic = asked.Topic
	for i := range asked.Partitions {
		p := &asked.Partitions[i]
		refused := checkReassignment(t, p)
		if n := int16(len(p.Replicas)); refused == nil && fixed && n != s.declared(t, p.Partition).count {
			refused = refuse(kerr.InvalidReplicationFactor,
				"partition %d has %d replicas and would have %d, which the request does not allow",
				p.Partition, s.declared(t, p.Partition).count, n)
		} else if refused == nil {
			brokers[p.Partition] = p.Replicas
		}
		bad = bad || refused != nil
		a.Partitions = append(a.Partitions, kmsg.AlterPartitionAssignmentsResponseTopicPartition{
			Partition: p.Partition, ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	if bad || len(brokers) == 0 {
		return a
	}
	refused := s.refusalOf(s.topics.Reassign(ctx, t, brokers))
	from.changed("AlterPartitionReassignments", t.Name, refused)
	if refused != nil {
		for i := range a.Partitions {
			a.Partitions[i].ErrorCode, a.Partitions[i].ErrorMessage = refused.code(), refused.text()
		}
	}
	return a
}

func checkReassignment(t *coordinator.Topic, p *kmsg.AlterPartitionAssignmentsRequestTopicPartition) *refusal {
	switch {
	case t == nil:
		return refuse(kerr.UnknownTopicOrPartition, "there is no such topic")
	case p.Partition < 0 || p.Partition >= t.Partitions:
		return refuse(kerr.UnknownTopicOrPartition, "topic %q has partitions 0 to %d", t.Name, t.Partitions-1)
	case p.Replicas == nil:
		return refuse(kerr.NoReassignmentInProgress, "a reassignment is done at once: there is none to cancel")
	}
	return checkReplicas(p.Partition, p.Replicas)
}
