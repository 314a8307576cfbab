package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// checkTopicName applies Kafka's rules for the names of topics.
func checkTopicName(name string) *refusal { return badName(coordinator.CheckTopicName(name)) }

// badName refuses a name with which something is wrong.
func badName(err error) *refusal {
	if err == nil {
		return nil
	}
	return refuse(kerr.InvalidTopicException, "%v", err)
}

// unknownTopic refuses what is asked of a topic that does not exist.
func unknownTopic(name string) *refusal {
	return refuse(kerr.UnknownTopicOrPartition, "there is no topic %q", name)
}
