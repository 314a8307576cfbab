package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn/coordinator"
	"firn/segments"
)

// Metadata, versions 0 to 13, as Kafka 4.
//
//   - Topics are asked for by name, or by id from version 10 on; null (in version 0 an empty list) asks for all.
//   - A topic that does not exist is created if both the client and the server allow that. It is there when the answer arrives;
//     Kafka answers before.
//   - The leader of a partition is one node that all nodes agree on (leader.go), and is all of its replicas, because copies are
//     the bucket's business. Its leader epoch is 0 for ever. The controller is any live node: each of them makes every change.
//   - Authorized operations, if asked for, are all that there are.
func init() { register(0, 13, metadata) }

func metadata(ctx context.Context, s *Server, from *peer, req *kmsg.MetadataRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.ClusterID = new(s.opts.Node.View().ClusterID())
	nodes := s.opts.Node.Nodes()
	resp.ControllerID = controllerOf(nodes)
	for _, n := range nodes {
		resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: n.ID, Host: n.KafkaHost, Port: n.KafkaPort, Rack: rackOf(n)})
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	leaders := nearby(nodes, from.ClientID)
	for _, found := range s.metadataTopics(ctx, req) {
		if req.IncludeTopicAuthorizedOperations && found.ErrorCode == 0 {
			found.AuthorizedOperations = topicOperations
		}
		for i := range found.Partitions {
			found.Partitions[i] = metadataPartition(leaders, segments.Partition{Topic: found.TopicID, Index: int32(i)})
		}
		resp.Topics = append(resp.Topics, found)
	}
	return resp, nil
}

// metadataTopics answers for each topic that is asked for, once; its partitions are counted and not filled in.
func (s *Server) metadataTopics(ctx context.Context, req *kmsg.MetadataRequest) []kmsg.MetadataResponseTopic {
	var answers []kmsg.MetadataResponseTopic
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		for _, t := range s.opts.Node.View().Topics() {
			answers = append(answers, metadataTopic(t))
		}
		return answers
	}
	create := s.opts.AutoCreateTopics && (req.AllowAutoTopicCreation || req.Version < 4)
	names, ids := map[string]bool{}, map[segments.TopicID]bool{}
	for _, asked := range req.Topics {
		var a kmsg.MetadataResponseTopic
		switch {
		case asked.TopicID != segments.TopicID{}:
			a = s.metadataByID(asked.TopicID)
		case asked.Topic != nil && !names[*asked.Topic]:
			names[*asked.Topic] = true
			a = s.metadataByName(ctx, *asked.Topic, create)
		default:
			continue
		}
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

func (s *Server) metadataByID(id segments.TopicID) kmsg.MetadataResponseTopic {
	if t := s.opts.Node.View().TopicByID(id); t != nil {
		return metadataTopic(t)
	}
	a := kmsg.NewMetadataResponseTopic()
	a.TopicID = id
	a.ErrorCode = kerr.UnknownTopicID.Code
	return a
}

func (s *Server) metadataByName(ctx context.Context, name string, create bool) kmsg.MetadataResponseTopic {
	t := s.opts.Node.View().Topic(name)
	refused := checkTopicName(name)
	if t == nil && create && refused == nil {
		t, refused = s.autoCreate(ctx, name)
	}
	if t != nil {
		return metadataTopic(t)
	}
	a := kmsg.NewMetadataResponseTopic()
	a.Topic = &name
	a.ErrorCode = kerr.UnknownTopicOrPartition.Code
	if refused != nil {
		a.ErrorCode = refused.code()
	}
	return a
}

// autoCreate creates a topic with the server's defaults because a client asked for it by name.
func (s *Server) autoCreate(ctx context.Context, name string) (*coordinator.Topic, *refusal) {
	view := s.opts.Node.View()
	if refused := badName(coordinator.NamesOf(view.Topics()).Check(name)); refused != nil {
		return nil, refused
	}
	ctx, cancel := withTimeout(ctx, 0)
	defer cancel()
	_, err := s.change(ctx, coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID: segments.NewTopicID(), Name: name, Partitions: s.opts.DefaultPartitions,
	}})
	if err != nil && !errors.Is(err, coordinator.ErrTopicExists) {
		return nil, s.refusalOf(err)
	}
	if t := view.Topic(name); t != nil {
		return t, nil
	}
	return nil, refuse(kerr.LeaderNotAvailable, "topic %q was created by another node a moment ago; try again", name)
}

func metadataTopic(t *coordinator.Topic) kmsg.MetadataResponseTopic {
	a := kmsg.NewMetadataResponseTopic()
	a.Topic = &t.Name
	a.TopicID = t.ID
	a.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions)
	return a
}

func metadataPartition(nodes []coordinator.NodeInfo, p segments.Partition) kmsg.MetadataResponseTopicPartition {
	a := kmsg.NewMetadataResponseTopicPartition()
	a.Partition, a.Leader, a.LeaderEpoch = p.Index, leaderOf(nodes, p), leaderEpoch
	if a.Leader < 0 {
		a.ErrorCode = kerr.LeaderNotAvailable.Code
		return a
	}
	a.Replicas = []int32{a.Leader}
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
