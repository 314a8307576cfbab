package kafka

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Any node serves any partition, but Kafka clients want one leader for each. Every node names the
// same: the live node that wins the rendezvous hash. So a partition's batches meet in one node's
// segments and its readers in one node's cache, and when a node comes or goes, only the partitions
// that it wins or held move. Clients that say which zone they are in are sent to that zone's nodes
// alone, so that no traffic crosses zones.

// zoneHint is what a client id contains if its client wants the nodes of one zone: "zone=NAME", set
// off by commas from anything else.
const zoneHint = "zone="

// nearby returns those of the nodes that are in the zone that the client id names, or all if it
// names none or none of them is there.
func nearby(nodes []coordinator.NodeInfo, clientID string) []coordinator.NodeInfo {
	for part := range strings.SplitSeq(clientID, ",") {
		zone, ok := strings.CutPrefix(part, zoneHint)
		if !ok {
			continue
		}
		elsewhere := func(n coordinator.NodeInfo) bool { return n.Zone != zone }
		if near := slices.DeleteFunc(slices.Clone(nodes), elsewhere); len(near) > 0 {
			return near
		}
	}
	return nodes
}

// leaderOf returns the id of the node that leads the partition, -1 if there is no node.
func leaderOf(nodes []coordinator.NodeInfo, at segments.Partition) int32 {
	var key [len(at.Topic) + 4]byte
	copy(key[:], at.Topic[:])
	binary.BigEndian.PutUint32(key[len(at.Topic):], uint32(at.Index))
	if n, ok := coordinator.Rendezvous(nodes, key[:]); ok {
		return n.ID
	}
	return -1
}

// controllerOf returns the id of the node that clients get as the controller, -1 if there is no
// node. Any node would do.
func controllerOf(nodes []coordinator.NodeInfo) int32 {
	if n, ok := coordinator.Rendezvous(nodes, []byte("controller")); ok {
		return n.ID
	}
	return -1
}

// catchUpTimeout bounds how long a request waits for this node to hear what others have told
// clients.
const catchUpTimeout = time.Second

// catchUp has this node's view take in all that clients may have been told by other nodes. Without
// it, what one node has acknowledged or served could be missing from the next answer of another,
// and a consumer that moves to that would believe the log truncated.
func (s *Server) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	return s.opts.Node.CatchUp(ctx)
}
