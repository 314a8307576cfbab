package kafka

import (
	"cmp"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/topics"
)

// topicConfigs returns every config of a topic on which some were set, ordered by name.
func topicConfigs(set map[string]string) []config {
	all := topicconfig.All()
	configs := make([]config, len(all))
	for i, d := range all {
		configs[i] = config{
			name:          d.Name,
			value:         d.Default,
			fallback:      d.Default,
			synonym:       cmp.Or(d.Synonym, d.Name),
			source:        kmsg.ConfigSourceDefaultConfig,
			kind:          kmsg.ConfigType(d.Type),
			documentation: d.Documentation,
		}
		if value, ok := set[d.Name]; ok {
			configs[i].value, configs[i].source = value, kmsg.ConfigSourceDynamicTopicConfig
		}
	}
	return configs
}

// configuredTopic finds a topic whose configs are asked for or are to be altered.
func (s *Server) configuredTopic(name string) (*coordinator.Topic, *refusal) {
	if t := s.opts.Node.View().Topic(name); t != nil {
		return t, nil
	}
	if refused := s.refusalOf(topics.CheckName(name)); refused != nil {
		return nil, refused
	}
	return nil, unknownTopic(name)
}

// resource names what has configs. A request may name each but once.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// mayWithConfigs asks whether the client may do something with the configs of a resource. A
// broker's are the cluster's, and so are those of subscriptions to clients' metrics.
func (p *peer) mayWithConfigs(operation access.Operation, r resource) *refusal {
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		return p.may(operation, access.Topic, r.name)
	case kmsg.ConfigResourceTypeGroupConfig:
		return p.may(operation, access.Group, r.name)
	}
	return p.mayWithCluster(operation)
}
