package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn/coordinator/topicconfig"
)

// topicConfig is one config of a topic as it stands.
type topicConfig struct {
	topicconfig.Definition
	value  string
	source kmsg.ConfigSource
}

// topicConfigs returns every config of a topic on which some were set, ordered by name.
func topicConfigs(set map[string]string) []topicConfig {
	all := topicconfig.All()
	configs := make([]topicConfig, len(all))
	for i, d := range all {
		configs[i] = topicConfig{d, d.Default, kmsg.ConfigSourceDefaultConfig}
		if value, ok := set[d.Name]; ok {
			configs[i].value, configs[i].source = value, kmsg.ConfigSourceDynamicTopicConfig
		}
	}
	return configs
}
