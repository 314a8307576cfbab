package kafka

import "github.com/twmb/franz-go/pkg/kerr"

// unknownTopic refuses what is asked of a topic that does not exist.
func unknownTopic(name string) *refusal {
	return refuse(kerr.UnknownTopicOrPartition, "there is no topic %q", name)
}
