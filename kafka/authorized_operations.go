package kafka

import "firn.dev/access"

// clusterOperations is what a client is told that it may do with the cluster (KIP-430): nothing,
// unless it may describe it.
func (p *peer) clusterOperations() int32 {
	if p.mayWithCluster(access.Describe) != nil {
		return 0
	}
	return p.asks.Operations(access.Cluster, access.ClusterName)
}

// topicOperations is what a client is told that it may do with a topic.
func (p *peer) topicOperations(name string) int32 { return p.asks.Operations(access.Topic, name) }
