package coordinator

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
)

// What a topic's clients declared of its replicas is in configs of the topic that are not Kafka's.
// Copies are the bucket's business, but tools compare what they declared with what they read. A
// Topic shows it in fields, so that clients neither see it among the configs nor take it away when
// they replace them. The same goes for what a later version keeps under ownConfigs.
const (
	ownConfigs = "firn." // begins the names
	// ReplicationFactorConfig holds how many replicas they asked for.
	ReplicationFactorConfig = "firn.replication.factor"
	// ReplicaAssignmentConfig holds which brokers they assigned partitions to, as Assignment has it.
	ReplicaAssignmentConfig = "firn.replica.assignment"
)

// maxAssignmentBytes bounds an Assignment's text.
const maxAssignmentBytes = 64 << 10

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

// Check returns ErrAssignmentTooLong if the assignment is longer than maxAssignmentBytes.
func (a Assignment) Check() error {
	if n := len(a.String()); n > maxAssignmentBytes {
		return fmt.Errorf("%w: they take %d bytes; at most %d are remembered", ErrAssignmentTooLong, n, maxAssignmentBytes)
	}
	return nil
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

// assign remembers the brokers that some partitions are assigned to. The replication factor, which
// new partitions get, is that of the first partition.
func (t *TopicFact) assign(brokers map[int32][]int32) error {
	if len(brokers) == 0 {
		return nil
	}
	all := parseAssignment(t.Configs[ReplicaAssignmentConfig])
	for partition, of := range brokers {
		all = all.With(partition, of)
	}
	if err := all.Check(); err != nil {
		return err
	}
	set := map[string]*string{ReplicaAssignmentConfig: new(all.String())}
	if n := len(all[0]); n > 0 {
		set = DeclareReplicas(int16(n), all)
	}
	t.configure(set)
	return nil
}

// shown is a topic as a View shows it.
func shown(t *TopicFact) *Topic {
	topic := &Topic{ID: t.ID, Name: t.Name, Partitions: t.Partitions, Configs: maps.Clone(t.Configs)}
	maps.DeleteFunc(topic.Configs, func(name, _ string) bool { return strings.HasPrefix(name, ownConfigs) })
	n, _ := strconv.ParseInt(t.Configs[ReplicationFactorConfig], 10, 16) // 0 for what this version does not understand
	topic.ReplicationFactor = int16(n)
	if assignment, assigned := t.Configs[ReplicaAssignmentConfig]; assigned {
		topic.Assignment = parseAssignment(assignment)
	}
	return topic
}
