package kafka

import "firn.dev/access"

// clusterOperations returns the operations that a client may do with the cluster (KIP-430): none,
// unless it may describe it.
func (p *peer) clusterOperations() int32 {
	if p.mayWithCluster(access.Describe) != nil {
		return 0
	}
	return p.asks.Operations(access.Cluster, access.ClusterName)
}

// topicOperations returns the operations that a client may do with a topic.
func (p *peer) topicOperations(name string) int32 { return p.asks.Operations(access.Topic, name) }
