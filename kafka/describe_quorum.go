package kafka

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DescribeQuorum, versions 0 to 2, as Kafka 4. There is no quorum: the metadata is in the bucket.
// The answer is the nearest thing: the node that clients get as the controller leads and votes
// alone, the other nodes observe, and nobody is behind. Other partitions than the first of
// __cluster_metadata are UNKNOWN_TOPIC_OR_PARTITION.
func init() {
	register(0, 2, describeQuorum, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
}

const clusterMetadata = "__cluster_metadata"

func describeQuorum(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeQuorumRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	if refused := from.mayWithCluster(access.Describe); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	for _, asked := range req.Topics {
		a := kmsg.DescribeQuorumResponseTopic{Topic: asked.Topic}
		for _, p := range asked.Partitions {
			a.Partitions = append(a.Partitions, s.quorumOf(asked.Topic, p.Partition))
		}
		resp.Topics = append(resp.Topics, a)
	}
	for _, n := range s.nodes(from) {
		at := kmsg.DescribeQuorumResponseNodeListener{Name: strings.ToUpper(from.listener), // Java's client wants it so
			Host: n.KafkaHost, Port: uint16(n.KafkaPort)}
		resp.Nodes = append(resp.Nodes, kmsg.DescribeQuorumResponseNode{NodeID: n.ID,
			Listeners: []kmsg.DescribeQuorumResponseNodeListener{at}})
	}
	return resp, nil
}

func (s *Server) quorumOf(topic string, partition int32) kmsg.DescribeQuorumResponseTopicPartition {
	a := kmsg.NewDescribeQuorumResponseTopicPartition()
	a.Partition = partition
	if topic != clusterMetadata || partition != 0 {
		a.ErrorCode = kerr.UnknownTopicOrPartition.Code
		return a
	}
	nodes := s.opts.Node.Nodes()
	a.LeaderID = controllerOf(nodes)
	for _, n := range nodes {
		state := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		state.ReplicaID = n.ID
		if n.ID == a.LeaderID {
			a.CurrentVoters = append(a.CurrentVoters, state)
		} else {
			a.Observers = append(a.Observers, state)
		}
	}
	return a
}
