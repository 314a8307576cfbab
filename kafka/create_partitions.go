package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// CreatePartitions, versions 0 to 3, as Kafka 4. Any node serves it.
//
//   - The count is what the topic has afterwards, and must be more than it has.
//   - A manual assignment must have as many entries as partitions are new, of as many replicas as
//     the topic's first partition has. It is remembered, and told (replicas.go); brokers in it need
//     not exist.
//   - A topic that stands twice in a request is refused, and is answered once.
func init() {
	register(0, 3, createPartitions, rules{needs: []access.Need{access.Alter.On(access.Topic)}, quota: access.Mutations})
}

func createPartitions(ctx context.Context, s *Server, from *peer,
	req *kmsg.CreatePartitionsRequest) (kmsg.Response, error) {
	ctx, cancel := withTimeout(ctx, req.TimeoutMillis)
	defer cancel()
	times := map[string]int{}
	var asked []kmsg.CreatePartitionsRequestTopic
	for _, t := range req.Topics {
		if times[t.Topic]++; times[t.Topic] == 1 {
			asked = append(asked, t)
		}
	}
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	resp.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(asked))
	inParallel(len(asked), func(i int) {
		t := asked[i]
		var refused *refusal
		if n := times[t.Topic]; n > 1 {
			refused = refuse(kerr.InvalidRequest, "topic %q stands in the request %d times", t.Topic, n)
		} else if refused = from.may(access.Alter, access.Topic, t.Topic); refused == nil {
			refused = s.growTopic(ctx, from, t, req)
			if !req.ValidateOnly {
				from.changed("CreatePartitions", t.Topic, refused)
			}
		}
		a := kmsg.NewCreatePartitionsResponseTopic()
		a.Topic, a.ErrorCode, a.ErrorMessage = t.Topic, refused.code(), refused.text()
		resp.Topics[i] = a
	})
	return resp, nil
}

// strictCreatePartitions is the first version whose clients know THROTTLING_QUOTA_EXCEEDED.
const strictCreatePartitions = 3

func (s *Server) growTopic(ctx context.Context, from *peer, asked kmsg.CreatePartitionsRequestTopic,
	req *kmsg.CreatePartitionsRequest) *refusal {
	t := s.opts.Node.View().Topic(asked.Topic)
	if t == nil {
		return unknownTopic(asked.Topic)
	}
	if err := s.topics.CheckGrowth(t, asked.Count); err != nil {
		return s.refusalOf(err)
	}
	if more := asked.Count - t.Partitions; len(asked.Assignment) > 0 && int(more) != len(asked.Assignment) {
		return refuse(kerr.InvalidReplicaAssignment, "the manual assignment is for %d new partitions; there would be %d",
			len(asked.Assignment), more)
	}
	assignment, replicas := slices.Clone(t.Assignment), s.declared(t, 0).count
	var brokers [][]int32
	for i, a := range asked.Assignment {
		partition := t.Partitions + int32(i)
		if refused := checkReplicas(partition, a.Replicas); refused != nil {
			return refused
		}
		if n := len(a.Replicas); n != int(replicas) {
			return refuse(kerr.InvalidReplicaAssignment,
				"partition %d is assigned to %d brokers; the topic's partitions have %d replicas", partition, n, replicas)
		}
		assignment = assignment.With(partition, a.Replicas)
		brokers = append(brokers, a.Replicas)
	}
	if refused := checkAssignmentSize(assignment); refused != nil {
		return refused
	}
	if req.ValidateOnly {
		return nil
	}
	if refused := s.mutates(from, req.Version >= strictCreatePartitions, int(asked.Count-t.Partitions)); refused != nil {
		return refused
	}
	return s.refusalOf(s.topics.Grow(ctx, t, asked.Count, brokers...))
}
