package coordinator

import (
	"maps"
	"strconv"
)

// ReplicationFactorConfig is the topic config that holds how many replicas a topic's clients asked
// for. Copies are the bucket's business, but tools compare what they declared with what they read.
// It is no config of Kafka's: a Topic shows it as a field, so that clients neither see it among the
// configs nor take it away when they replace them.
const ReplicationFactorConfig = "firn.replication.factor"

// DeclareReplicationFactor is the change of configs that sets it.
func DeclareReplicationFactor(replicas int16) map[string]*string {
	return map[string]*string{ReplicationFactorConfig: new(strconv.Itoa(int(replicas)))}
}

// shown is a topic as a View shows it.
func shown(t *TopicFact) *Topic {
	topic := &Topic{ID: t.ID, Name: t.Name, Partitions: t.Partitions, Configs: t.Configs}
	if declared, there := t.Configs[ReplicationFactorConfig]; there {
		topic.Configs = maps.Clone(t.Configs)
		delete(topic.Configs, ReplicationFactorConfig)
		n, _ := strconv.ParseInt(declared, 10, 16) // 0 for what this version does not understand
		topic.ReplicationFactor = int16(n)
	}
	return topic
}
