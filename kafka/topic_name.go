package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// unknownTopic refuses what is asked of a topic that does not exist, or is there for reading alone.
func unknownTopic(name string) *refusal {
	switch {
	case name == offsetsTopic.Name || name == transactionsTopic.Name:
		return refuse(kerr.InvalidTopicException, "topic %q is internal: it can only be read and described", name)
	case coordinator.IsInternalTopic(name):
		return refuse(kerr.InvalidTopicException, "topic %q is internal to Kafka: Firn has none", name)
	}
	return refuse(kerr.UnknownTopicOrPartition, "there is no topic %q", name)
}
