package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
)

// FindCoordinator v0-v6: of a group its owner, which takes the lease of the group's shard when it is first asked for the group; of other keys the live
// node that wins the rendezvous hash of the key. Every node gives the same answer.
func init() {
	register(0, 6, func(_ context.Context, s *Server, _ *peer, req *kmsg.FindCoordinatorRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrFindCoordinatorResponse()
		nodes := s.opts.Node.Nodes()
		if req.Version < 4 {
			c := s.coordinatorOf(nodes, req.CoordinatorType, req.CoordinatorKey)
			resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
			resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
			return resp, nil
		}
		for _, key := range req.CoordinatorKeys {
			resp.Coordinators = append(resp.Coordinators, s.coordinatorOf(nodes, req.CoordinatorType, key))
		}
		return resp, nil
	})
}

// The types of keys.
const (
	groupKey       = 0
	transactionKey = 1
	shareKey       = 2
)

// coordinatorOf names the node that coordinates a key.
func (s *Server) coordinatorOf(nodes []coordinator.NodeInfo, keyType int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	if keyType < groupKey || keyType > shareKey {
		c.ErrorCode, c.ErrorMessage = kerr.InvalidRequest.Code, new("unknown type of key")
		return c
	}
	node, ok := coordinator.Rendezvous(nodes, append([]byte{byte(keyType)}, key...))
	if keyType == groupKey {
		node, ok = s.opts.Groups.Owner(key)
	}
	if !ok {
		c.ErrorCode, c.ErrorMessage = kerr.CoordinatorNotAvailable.Code, new("no node is alive")
		return c
	}
	c.NodeID, c.Host, c.Port = node.ID, node.KafkaHost, node.KafkaPort
	return c
}
