package kafka

import (
	"context"
	"slices"

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
//   - Each topic is changed wholly or not at all, unlike in Kafka.
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
	inParallel(len(req.Topics), func(i int) {
		fixed := req.Version >= 1 && !req.AllowReplicationFactorChange
		resp.Topics[i] = s.reassignTopic(ctx, from, &req.Topics[i], fixed)
	})
	return resp, nil
}

// reassignTopic remembers the assignments, unless they change a number of replicas that is fixed,
// and answers.
func (s *Server) reassignTopic(ctx context.Context, from *peer, asked *kmsg.AlterPartitionAssignmentsRequestTopic,
	fixed bool) (a kmsg.AlterPartitionAssignmentsResponseTopic) {
	t := s.opts.Node.View().Topic(asked.Topic)
	changed, bad := false, false
	var assignment coordinator.Assignment
	if t != nil {
		assignment = slices.Clone(t.Assignment)
	}
	a.Topic = asked.Topic
	for i := range asked.Partitions {
		p := &asked.Partitions[i]
		refused := checkReassignment(t, p)
		if n := int16(len(p.Replicas)); refused == nil && fixed && n != s.declared(t, p.Partition).count {
			refused = refuse(kerr.InvalidReplicationFactor,
				"partition %d has %d replicas and would have %d, which the request does not allow",
				p.Partition, s.declared(t, p.Partition).count, n)
		} else if refused == nil {
			changed = true
			assignment = assignment.With(p.Partition, p.Replicas)
		}
		bad = bad || refused != nil
		a.Partitions = append(a.Partitions, kmsg.AlterPartitionAssignmentsResponseTopicPartition{
			Partition: p.Partition, ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	if bad || !changed {
		return a
	}
	factor := t.ReplicationFactor
	if first := assignment[0]; len(first) > 0 {
		factor = int16(len(first))
	}
	refused := checkAssignmentSize(assignment)
	if refused == nil {
		refused = s.refusalOf(s.topics.DeclareReplicas(ctx, t, factor, assignment))
		from.changed("AlterPartitionReassignments", t.Name, refused)
	}
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
