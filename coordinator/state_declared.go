package coordinator

import (
	"maps"
	"math"
	"strconv"
	"strings"
)

// What a topic's clients declared of its replicas is in configs of the topic that are not Kafka's.
// Copies are the bucket's business, but tools compare what they declared with what they read. A
// Topic shows it in fields, so that clients neither see it among the configs nor take it away when
// they replace them.
const (
	// ReplicationFactorConfig holds how many replicas they asked for.
	ReplicationFactorConfig = "firn.replication.factor"
	// ReplicaAssignmentConfig holds which brokers they assigned partitions to, as Assignment has it.
	ReplicaAssignmentConfig = "firn.replica.assignment"
)

// MaxAssignmentBytes bounds an Assignment's text.
const MaxAssignmentBytes = 64 << 10

// Assignment is the brokers that each partition was assigned to; none for those that were not.
type Assignment [][]int32

// String has the partitions divided by commas, and the brokers of each by colons.
func (a Assignment) String() string {
	var b strings.Builder
	for i, brokers := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, broker := range brokers {
			if j > 0 {
				b.WriteByte(':')
			}
			b.WriteString(strconv.Itoa(int(broker)))
		}
	}
	return b.String()
}

// With returns the assignment with other brokers for a partition. The assignment may be changed.
func (a Assignment) With(partition int32, brokers []int32) Assignment {
	for int(partition) >= len(a) {
		a = append(a, nil)
	}
	a[partition] = brokers
	return a
}

// parseAssignment reads what String has written; nil for what this version does not understand.
func parseAssignment(text string) Assignment {
	parts := strings.Split(text, ",")
	a := make(Assignment, len(parts))
	for i, part := range parts {
		if part == "" {
			continue
		}
		for id := range strings.SplitSeq(part, ":") {
			broker, err := strconv.ParseUint(id, 10, 31)
			if err != nil || broker > math.MaxInt32 {
				return nil
			}
			a[i] = append(a[i], int32(broker))
		}
	}
	return a
}

// DeclareReplicas is the change of configs by which a topic remembers its replication factor and
// the assignment of its partitions.
func DeclareReplicas(factor int16, assignment Assignment) map[string]*string {
	set := map[string]*string{ReplicationFactorConfig: new(strconv.Itoa(int(factor))), ReplicaAssignmentConfig: nil}
	if len(assignment) > 0 {
		set[ReplicaAssignmentConfig] = new(assignment.String())
	}
	return set
}

// shown is a topic as a View shows it.
func shown(t *TopicFact) *Topic {
	topic := &Topic{ID: t.ID, Name: t.Name, Partitions: t.Partitions, Configs: t.Configs}
	factor, declared := t.Configs[ReplicationFactorConfig]
	assignment, assigned := t.Configs[ReplicaAssignmentConfig]
	if declared || assigned {
		topic.Configs = maps.Clone(t.Configs)
		delete(topic.Configs, ReplicationFactorConfig)
		delete(topic.Configs, ReplicaAssignmentConfig)
		n, _ := strconv.ParseInt(factor, 10, 16) // 0 for what this version does not understand
		topic.ReplicationFactor = int16(n)
		if assigned {
			topic.Assignment = parseAssignment(assignment)
		}
	}
	return topic
}
