package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DescribeCluster, versions 0 to 2, as Kafka 4. The nodes are those alive; none is ever fenced in
// Kafka's sense. There are no endpoints of controllers: any node is one.
//
// Every client gets the nodes, as in Metadata. Only a client that may describe the cluster gets the
// operations that it may do with it.
func init() {
	register(0, 2, describeCluster, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
}

// Endpoint types of KIP-919.
const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

func describeCluster(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeClusterRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	var refused *refusal
	switch {
	case req.Version == 0 || req.EndpointType == brokerEndpoints:
	case req.EndpointType == controllerEndpoints:
		refused = refuse(kerr.MismatchedEndpointType,
			"this is a broker, and there are no separate controllers; ask for brokers")
	default:
		refused = refuse(kerr.UnsupportedEndpointType, "unknown endpoint type %d", req.EndpointType)
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	nodes := s.nodes(from)
	resp.ClusterID = s.opts.Node.View().ClusterID()
	resp.ControllerID = controllerOf(nodes)
	for _, n := range nodes {
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = n.ID, n.KafkaHost, n.KafkaPort, rackOf(n)
		resp.Brokers = append(resp.Brokers, b)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = from.clusterOperations()
	}
	return resp, nil
}
