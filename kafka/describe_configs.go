package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DescribeConfigs, versions 0 to 4; Kafka 4 begins at 1.
//
//   - Topics, brokers, their loggers (logger_configs.go), groups and subscriptions to clients'
//     metrics (dynamic_configs.go) have configs. Any group has those that the broker gives all
//     groups. Other resources are INVALID_REQUEST.
//   - A broker answers for itself alone (broker_configs.go), and for the broker without a name,
//     which has what is set on all brokers.
//   - No or an empty list of names asks for all configs. Names that there are not are left out, as
//     in Kafka.
//   - Synonyms of a topic's config are the value that was set and the default that stands behind
//     it, under the broker config's name.
//   - A resource that the request names twice is INVALID_REQUEST the second time; otherwise small
//     requests could have huge answers.
//   - Documentation says what a config does in Firn, which may be nothing: see package topicconfig.
func init() {
	register(0, 4, describeConfigs, rules{
		needs: []access.Need{access.DescribeConfigs.On(access.Topic), access.DescribeConfigs.On(access.Cluster),
			access.DescribeConfigs.On(access.Group)},
		quota: access.Requests})
}

func describeConfigs(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeConfigsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	seen := map[resource]bool{}
	for _, asked := range req.Resources {
		r := resource{asked.ResourceType, asked.ResourceName}
		a := kmsg.NewDescribeConfigsResponseResource()
		a.ResourceType, a.ResourceName = r.kind, r.name
		configs, refused := s.configsOf(from, r, seen[r])
		seen[r] = true
		a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
		for _, c := range configs {
			if len(asked.ConfigNames) == 0 || slices.Contains(asked.ConfigNames, c.name) {
				a.Configs = append(a.Configs, c.describe(req.IncludeSynonyms, req.IncludeDocumentation))
			}
		}
		resp.Resources = append(resp.Resources, a)
	}
	return resp, nil
}

// configsOf returns all configs of a resource, ordered by name, unless the request has asked for
// them before.
func (s *Server) configsOf(from *peer, r resource, before bool) ([]config, *refusal) {
	if before {
		return nil, refuse(kerr.InvalidRequest, "the request names %s %q more than once", r.kind, r.name)
	}
	if refused := from.mayWithConfigs(access.DescribeConfigs, r); refused != nil {
		return nil, refused
	}
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		if t := s.readable(r.name); t != nil {
			return topicConfigs(t.Configs), nil
		}
		_, refused := s.configuredTopic(r.name)
		return nil, refused
	case kmsg.ConfigResourceTypeBrokerLogger:
		if refused := s.checkBrokerName(r.name); refused != nil {
			return nil, refused
		}
		return s.loggerConfigs(), nil
	}
	d, refused := s.dynamic(r)
	if refused != nil {
		return nil, refused
	}
	return s.dynamicConfigs(d), nil
}

// config is one config of a topic or broker as it stands.
type config struct {
	name          string
	value         string
	fallback      string // the value that stands behind the one that was set
	synonym       string // the name under which fallback is a broker's config; empty: it has no name
	source        kmsg.ConfigSource
	kind          kmsg.ConfigType
	readOnly      bool
	documentation string
}

func (c config) describe(synonyms, documentation bool) kmsg.DescribeConfigsResponseResourceConfig {
	d := kmsg.NewDescribeConfigsResponseResourceConfig()
	d.Name, d.Value, d.ReadOnly = c.name, &c.value, c.readOnly
	d.Source, d.IsDefault = c.source, c.source == kmsg.ConfigSourceDefaultConfig
	d.ConfigType = c.kind
	if documentation {
		d.Documentation = &c.documentation
	}
	if synonyms {
		if c.source != kmsg.ConfigSourceDefaultConfig && c.source != kmsg.ConfigSourceDynamicBrokerLoggerConfig {
			d.ConfigSynonyms = append(d.ConfigSynonyms, synonym(c.name, c.value, c.source))
		}
		if c.synonym != "" && (!c.readOnly || c.source == kmsg.ConfigSourceDefaultConfig) {
			d.ConfigSynonyms = append(d.ConfigSynonyms, synonym(c.synonym, c.fallback, kmsg.ConfigSourceDefaultConfig))
		}
	}
	return d
}

func synonym(name, value string, source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	return kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{Name: name, Value: &value, Source: source}
}
