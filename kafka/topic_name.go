package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// unknownTopic refuses what is asked of a topic that does not exist.
func unknownTopic(name string) *refusal {
	if coordinator.IsInternalTopic(name) {
		return refuse(kerr.InvalidTopicException, "topic %q is internal: it can be read and described alone", name)
	}
	return refuse(kerr.UnknownTopicOrPartition, "there is no topic %q", name)
}
