package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// FindCoordinator v0-v6: of a group its owner, which takes the lease of the group's shard when it
// is first asked for the group; of other keys the live node that wins the rendezvous hash of the
// key. Every node gives the same answer.
func init() {
	register(0, 6, func(_ context.Context, s *Server, from *peer,
		req *kmsg.FindCoordinatorRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrFindCoordinatorResponse()
		nodes := s.nodes(from)
		if req.Version < 4 {
			c := s.coordinatorOf(from, nodes, req.CoordinatorType, req.CoordinatorKey)
			resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
			resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
			return resp, nil
		}
		for _, key := range req.CoordinatorKeys {
			resp.Coordinators = append(resp.Coordinators, s.coordinatorOf(from, nodes, req.CoordinatorType, key))
		}
		return resp, nil
	}, rules{needs: []access.Need{access.Describe.On(access.Group), access.Describe.On(access.TransactionalID),
		access.ClusterAction.On(access.Cluster)}, quota: access.Requests})
}

// mayFindCoordinator asks what the type of a key needs.
func (p *peer) mayFindCoordinator(keyType int8, key string) *refusal {
	switch keyType {
	case groupKey:
		return p.may(access.Describe, access.Group, key)
	case transactionKey:
		return p.may(access.Describe, access.TransactionalID, key)
	}
	return p.mayWithCluster(access.ClusterAction)
}

// The types of keys.
const (
	groupKey       = 0
	transactionKey = 1
	shareKey       = 2
)

// coordinatorOf names the node that coordinates a key.
func (s *Server) coordinatorOf(from *peer, nodes []coordinator.NodeInfo, keyType int8,
	key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	if keyType < groupKey || keyType > shareKey {
		c.ErrorCode, c.ErrorMessage = kerr.InvalidRequest.Code, new("unknown type of key")
		return c
	}
	if refused := from.mayFindCoordinator(keyType, key); refused != nil {
		c.ErrorCode, c.ErrorMessage = refused.code(), refused.text()
		return c
	}
	node, ok := coordinator.Rendezvous(nodes, append([]byte{byte(keyType)}, key...))
	if keyType == groupKey {
		if node, ok = s.opts.Groups.Owner(key); ok {
			at := slices.IndexFunc(nodes, func(n coordinator.NodeInfo) bool { return n.ID == node.ID })
			if ok = at >= 0; ok {
				node = nodes[at]
			}
		}
	}
	if !ok {
		c.ErrorCode, c.ErrorMessage = kerr.CoordinatorNotAvailable.Code,
			new("no node is alive that has a listener "+from.listener)
		return c
	}
	c.NodeID, c.Host, c.Port = node.ID, node.KafkaHost, node.KafkaPort
	return c
}
