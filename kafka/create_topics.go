package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/topics"
)

// CreateTopics, versions 0 to 7; Kafka 4 begins at 2. Any node serves it.
//
//   - A partition count of -1, also before version 4, stands for the server's default.
//   - The replication factor and a manual assignment are remembered, and told (replicas.go).
//     Brokers in an assignment need not exist.
//   - A name that stands twice in a request is refused wherever it stands; the other topics are
//     created.
//   - Topics are created by the time of the answer, or the answer is REQUEST_TIMED_OUT: then they
//     may still be.
//   - A client creates topics if it may create anything in the cluster, or topics of these names.
//     Its answer has the topic's configs if it may describe them.
func init() {
	register(0, 7, createTopics, rules{
		needs: []access.Need{access.Create.On(access.Cluster), access.Create.On(access.Topic),
			access.DescribeConfigs.On(access.Topic)},
		quota: access.Mutations,
	})
}

// strictCreateTopics is the first version whose clients know THROTTLING_QUOTA_EXCEEDED.
const strictCreateTopics = 6

// mayCreateTopic asks whether the client may create a topic, either because it may create anything
// or this one.
func (p *peer) mayCreateTopic(name string) *refusal {
	if p.asks.May(access.Create, access.Cluster, access.ClusterName) {
		return nil
	}
	return p.may(access.Create, access.Topic, name)
}

func createTopics(ctx context.Context, s *Server, from *peer, req *kmsg.CreateTopicsRequest) (kmsg.Response, error) {
	ctx, cancel := withTimeout(ctx, req.TimeoutMillis)
	defer cancel()
	plans := s.planTopics(from, req.Topics)
	for i := range plans {
		if plans[i].refused == nil && !req.ValidateOnly {
			plans[i].refused = s.mutates(from, req.Version >= strictCreateTopics, int(plans[i].Partitions))
		}
	}
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(plans))
	inParallel(len(plans), func(i int) {
		resp.Topics[i] = s.createTopic(ctx, from, plans[i], req.ValidateOnly)
	})
	return resp, nil
}

// topicPlan is a topic that is to be created, or why it cannot be.
type topicPlan struct {
	topics.Planned
	replicas int16
	refused  *refusal
}

// planTopics checks the topics of a request. The answer has each name once.
func (s *Server) planTopics(from *peer, asked []kmsg.CreateTopicsRequestTopic) []topicPlan {
	times := map[string]int{}
	for _, t := range asked {
		times[t.Topic]++
	}
	var plans []topicPlan
	together := s.topics.Plan()
	for _, t := range asked {
		n := times[t.Topic]
		if n == 0 {
			continue // answered
		}
		times[t.Topic] = 0
		plan := topicPlan{Planned: topics.Planned{Name: t.Topic}}
		if n > 1 {
			plan.refused = refuse(kerr.InvalidRequest, "topic %q stands in the request %d times", t.Topic, n)
		} else if plan.refused = from.mayCreateTopic(t.Topic); plan.refused == nil {
			plan.refused = s.planNewTopic(&plan, t, together)
		}
		plans = append(plans, plan)
	}
	return plans
}

// planNewTopic checks all that can be known of one topic without creating it.
func (s *Server) planNewTopic(plan *topicPlan, t kmsg.CreateTopicsRequestTopic, together *topics.Plan) *refusal {
	if coordinator.IsInternalTopic(t.Topic) {
		return refuse(kerr.TopicAlreadyExists, "topic %q is internal; there is nothing to create", t.Topic)
	}
	if refused := s.refusalOf(together.CheckName(t.Topic)); refused != nil {
		return refused
	}
	partitions, replicas, assignment, refused := countPartitions(t)
	if refused != nil {
		return refused
	}
	configs, refused := newTopicConfigs(t.Configs)
	if refused != nil {
		return refused
	}
	var err error
	plan.replicas = replicas
	plan.Planned, err = together.Add(topics.Spec{
		Name: t.Topic, Partitions: partitions, Configs: configs, ReplicationFactor: replicas, Assignment: assignment})
	return s.refusalOf(err)
}

// countPartitions returns how many partitions are asked for, nil for the default, the replication
// factor, and the assignment, if there is one.
func countPartitions(t kmsg.CreateTopicsRequestTopic) (n *int32, replicas int16, assignment coordinator.Assignment,
	refused *refusal) {
	if len(t.ReplicaAssignment) > 0 {
		if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
			return nil, 0, nil, refuse(kerr.InvalidRequest,
				"with a manual assignment, partition count and replication factor must be -1")
		}
		assignment, refused = checkAssignment(t.ReplicaAssignment)
		if refused == nil {
			replicas = int16(len(assignment[0]))
		}
		return new(int32(len(t.ReplicaAssignment))), replicas, assignment, refused
	}
	if t.NumPartitions != -1 {
		n = &t.NumPartitions
	}
	replicas, refused = checkReplicationFactor(t.ReplicationFactor)
	return n, replicas, nil, refused
}

// checkAssignment checks that a manual assignment is one: partitions from 0 on, each on as many
// brokers as the others.
func checkAssignment(assigned []kmsg.CreateTopicsRequestTopicReplicaAssignment) (coordinator.Assignment, *refusal) {
	all := make(coordinator.Assignment, len(assigned))
	for _, a := range assigned {
		if a.Partition < 0 || int(a.Partition) >= len(all) || all[a.Partition] != nil {
			return nil, refuse(kerr.InvalidReplicaAssignment,
				"partitions of a manual assignment must be numbered from 0 on, each once; there is a %d", a.Partition)
		}
		if refused := checkReplicas(a.Partition, a.Replicas); refused != nil {
			return nil, refused
		}
		if n, others := len(a.Replicas), len(assigned[0].Replicas); n != others {
			return nil, refuse(kerr.InvalidReplicaAssignment,
				"partition %d is assigned to %d brokers, and others to %d: the number must be the same", a.Partition, n, others)
		}
		all[a.Partition] = a.Replicas
	}
	return all, checkAssignmentSize(all)
}

// newTopicConfigs checks the configs of a new topic. Later ones of the same name replace earlier
// ones, as in Kafka.
func newTopicConfigs(asked []kmsg.CreateTopicsRequestTopicConfig) (map[string]string, *refusal) {
	configs := make(map[string]string, len(asked))
	for _, c := range asked {
		if c.Value == nil {
			return nil, refuse(kerr.InvalidConfig, "config %q has no value; leave it out to get the default", c.Name)
		}
		configs[c.Name] = *c.Value
	}
	return configs, nil
}

// createTopic creates one topic, if it may be and should be, and answers.
func (s *Server) createTopic(ctx context.Context, from *peer, plan topicPlan,
	validateOnly bool) kmsg.CreateTopicsResponseTopic {
	a := kmsg.NewCreateTopicsResponseTopic()
	a.Topic = plan.Name
	refused := plan.refused
	if refused == nil && !validateOnly {
		created, err := s.topics.Create(ctx, plan.Planned)
		if refused = s.refusalOf(err); refused == nil {
			a.TopicID = created.ID
		}
		from.changed("CreateTopics", plan.Name, refused)
	}
	a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
	if refused != nil {
		return a
	}
	if refused := from.may(access.DescribeConfigs, access.Topic, plan.Name); refused != nil {
		a.ConfigErrorCode = refused.code()
		return a
	}
	a.NumPartitions = plan.Partitions
	a.ReplicationFactor = s.replicationFactor(&coordinator.Topic{ReplicationFactor: plan.replicas})
	for _, c := range topicConfigs(plan.Configs) {
		a.Configs = append(a.Configs, kmsg.CreateTopicsResponseTopicConfig{Name: c.name, Value: &c.value,
			Source: int8(c.source)})
	}
	return a
}
