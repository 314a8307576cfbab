package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/topics"
)

// Metadata, versions 0 to 13, as Kafka 4.
//
//   - Topics are asked for by name, or by id from version 10 on; null (in version 0 an empty list)
//     asks for all.
//   - A topic that does not exist is created if both the client and the server allow that. It is
//     there when the answer arrives; Kafka answers before.
//   - The leader of a partition is one node that all nodes agree on (leader.go). Its replicas are
//     as they were declared (replicas.go), and all in sync. Its leader epoch is 0 for ever. The
//     controller is any live node: each of them makes every change.
//   - Of all topics, a client gets those that it may describe. Every client gets the nodes.
func init() {
	register(0, 13, metadata, rules{
		needs: []access.Need{access.Describe.On(access.Topic), access.Create.On(access.Topic),
			access.Create.On(access.Cluster), access.Describe.On(access.Cluster)},
		quota: access.Requests,
	})
}

func metadata(ctx context.Context, s *Server, from *peer, req *kmsg.MetadataRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.ClusterID = new(s.opts.Node.View().ClusterID())
	nodes := s.nodes(from)
	resp.ControllerID = controllerOf(nodes)
	for _, n := range nodes {
		resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: n.ID, Host: n.KafkaHost, Port: n.KafkaPort,
			Rack: rackOf(n)})
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = from.clusterOperations()
	}
	p := placement{nodes, nearby(nodes, from.ClientID)}
	for _, found := range s.metadataTopics(ctx, from, req) {
		if req.IncludeTopicAuthorizedOperations && found.ErrorCode == 0 {
			found.AuthorizedOperations = from.topicOperations(*found.Topic)
		}
		t := s.opts.Node.View().TopicByID(found.TopicID)
		for i := range found.Partitions {
			at := segments.Partition{Topic: found.TopicID, Index: int32(i)}
			found.Partitions[i] = p.metadata(at, s.declared(t, at.Index))
		}
		resp.Topics = append(resp.Topics, found)
	}
	return resp, nil
}

// metadataTopics answers for each topic that is asked for, once; its partitions are counted and not
// filled in.
func (s *Server) metadataTopics(ctx context.Context, from *peer,
	req *kmsg.MetadataRequest) []kmsg.MetadataResponseTopic {
	var answers []kmsg.MetadataResponseTopic
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		for _, t := range s.listed() {
			if from.asks.May(access.Describe, access.Topic, t.Name) {
				answers = append(answers, metadataTopic(t))
			}
		}
		return answers
	}
	create := s.opts.Topics.AutoCreate && (req.AllowAutoTopicCreation || req.Version < 4)
	names := map[string]bool{}
	wanted := make([]*kmsg.MetadataRequestTopic, 0, len(req.Topics))
	for i := range req.Topics {
		asked := &req.Topics[i]
		switch {
		case asked.TopicID != segments.TopicID{}:
		case asked.Topic != nil && !names[*asked.Topic]:
			names[*asked.Topic] = true
		default:
			continue
		}
		wanted = append(wanted, asked)
	}
	found := make([]kmsg.MetadataResponseTopic, len(wanted))
	var missing []int // that may be created
	for i, asked := range wanted {
		if asked.TopicID != (segments.TopicID{}) {
			found[i] = s.metadataByID(from, asked.TopicID)
		} else if found[i] = s.metadataByName(from, *asked.Topic); create &&
			found[i].ErrorCode == kerr.UnknownTopicOrPartition.Code {
			missing = append(missing, i)
		}
	}
	s.autoCreateAll(ctx, from, found, missing)
	ids := map[segments.TopicID]bool{}
	for _, a := range found {
		if id := segments.TopicID(a.TopicID); id != (segments.TopicID{}) {
			if ids[id] {
				continue
			}
			ids[id] = true
		}
		answers = append(answers, a)
	}
	return answers
}

func (s *Server) metadataByID(from *peer, id segments.TopicID) kmsg.MetadataResponseTopic {
	t := s.readableByID(id)
	switch {
	case t == nil:
		return noMetadataByID(id, kerr.UnknownTopicID)
	case !from.asks.May(access.Describe, access.Topic, t.Name):
		return noMetadataByID(id, kerr.TopicAuthorizationFailed) // and does not tell the name
	}
	return metadataTopic(t)
}

func noMetadataByID(id segments.TopicID, refused *kerr.Error) kmsg.MetadataResponseTopic {
	a := kmsg.NewMetadataResponseTopic()
	a.TopicID = id
	a.ErrorCode = refused.Code
	return a
}

func (s *Server) metadataByName(from *peer, name string) kmsg.MetadataResponseTopic {
	if refused := from.may(access.Describe, access.Topic, name); refused != nil {
		return noMetadata(&name, refused)
	}
	if t := s.readable(name); t != nil {
		return metadataTopic(t)
	}
	if refused := s.refusalOf(topics.CheckName(name)); refused != nil {
		return noMetadata(&name, refused)
	}
	return noMetadata(&name, refuse(kerr.UnknownTopicOrPartition, "there is no topic %q", name))
}

func noMetadata(name *string, refused *refusal) kmsg.MetadataResponseTopic {
	a := kmsg.NewMetadataResponseTopic()
	a.Topic, a.ErrorCode, a.IsInternal = name, refused.code(), coordinator.IsInternalTopic(*name)
	return a
}

// autoCreateAll creates topics with the server's defaults because a client asked for them by name:
// side by side, so that they share journal objects.
func (s *Server) autoCreateAll(ctx context.Context, from *peer, answers []kmsg.MetadataResponseTopic, missing []int) {
	if len(missing) == 0 {
		return
	}
	together := s.topics.Plan()
	var create []int
	for _, i := range missing {
		name := answers[i].Topic
		refused := from.mayCreateTopic(*name)
		if refused == nil {
			planned, err := together.Add(topics.Spec{Name: *name})
			if refused = s.refusalOf(err); refused == nil {
				refused = s.mutates(from, true, int(planned.Partitions))
			}
		}
		if refused != nil {
			answers[i] = noMetadata(name, refused)
			continue
		}
		create = append(create, i)
	}
	inParallel(len(create), func(n int) {
		a := &answers[create[n]]
		ctx, cancel := withTimeout(ctx, 0)
		defer cancel()
		if t, err := s.topics.Ensure(ctx, *a.Topic); err != nil {
			*a = noMetadata(a.Topic, s.refusalOf(err))
		} else {
			*a = metadataTopic(t)
		}
	})
}

func metadataTopic(t *coordinator.Topic) kmsg.MetadataResponseTopic {
	a := kmsg.NewMetadataResponseTopic()
	a.Topic = &t.Name
	a.TopicID, a.IsInternal = t.ID, coordinator.IsInternalTopic(t.Name)
	a.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions)
	return a
}

// placement has the nodes that a client gets: all that live, and those of them that may lead.
type placement struct{ nodes, leaders []coordinator.NodeInfo }

func (p placement) metadata(at segments.Partition, r replicaSet) kmsg.MetadataResponseTopicPartition {
	a := kmsg.NewMetadataResponseTopicPartition()
	a.Partition, a.LeaderEpoch = at.Index, leaderEpoch
	if a.Leader, a.Replicas = p.of(at, r); a.Leader < 0 {
		a.ErrorCode = kerr.LeaderNotAvailable.Code
	}
	a.ISR = a.Replicas
	return a
}

// rackOf is a node's zone as responses carry it.
func rackOf(n coordinator.NodeInfo) *string {
	if n.Zone == "" {
		return nil
	}
	return &n.Zone
}
