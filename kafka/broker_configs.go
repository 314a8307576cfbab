package kafka

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn/coordinator/topicconfig"
)

// brokerConfigs returns what Kafka tools look for in a broker's configs, ordered by name: what follows from this node's options,
// and the defaults of topic configs under the names that brokers have for them. All are read-only.
func (s *Server) brokerConfigs() []config {
	o, l, node := s.opts, s.opts.Limits, s.opts.Node.Info()
	number := func(n int) string { return strconv.Itoa(n) }
	configs := []config{
		fixed("node.id", kmsg.ConfigTypeInt, number(int(node.ID)), "This node's id."),
		fixed("broker.id", kmsg.ConfigTypeInt, number(int(node.ID)), "This node's id."),
		fixed("broker.rack", kmsg.ConfigTypeString, node.Zone, "This node's zone."),
		fixed("advertised.listeners", kmsg.ConfigTypeList, "PLAINTEXT://"+net.JoinHostPort(node.KafkaHost, number(int(node.KafkaPort))),
			"Where clients are told that this node is."),
		fixed("auto.create.topics.enable", kmsg.ConfigTypeBoolean, fmt.Sprint(o.AutoCreateTopics), "Whether asking for a topic creates it."),
		fixed("num.partitions", kmsg.ConfigTypeInt, number(int(o.DefaultPartitions)), "Partitions of a topic whose creator does not say."),
		fixed("default.replication.factor", kmsg.ConfigTypeInt, number(reportedReplicas), "Copies are the bucket's business; 1 is reported."),
		fixed("delete.topic.enable", kmsg.ConfigTypeBoolean, "true", "Topics can be deleted."),
		fixed("socket.request.max.bytes", kmsg.ConfigTypeInt, number(l.MaxRequestBytes), "Largest Produce request."),
		fixed("fetch.max.bytes", kmsg.ConfigTypeInt, number(l.FetchMaxBytes), "Largest Fetch response."),
		fixed("max.connections", kmsg.ConfigTypeInt, number(l.MaxConnections), "Connections in all."),
		fixed("max.connections.per.ip", kmsg.ConfigTypeInt, number(l.MaxConnectionsPerIP), "Connections from one address."),
		fixed("connections.max.idle.ms", kmsg.ConfigTypeLong, number(int(l.IdleTimeout.Milliseconds())), "Idle connections are closed after this time."),
		fixed("max.request.partition.size.limit", kmsg.ConfigTypeInt, number(maxPagePartitions), "Partitions in one page of DescribeTopicPartitions."),
	}
	for _, d := range topicconfig.All() {
		if d.Synonym == "" {
			continue
		}
		c := fixed(d.Synonym, kmsg.ConfigType(d.Type), d.Default, fmt.Sprintf("Default of the topic config %s. %s", d.Name, d.Documentation))
		c.source = kmsg.ConfigSourceDefaultConfig
		configs = append(configs, c)
	}
	slices.SortFunc(configs, func(a, b config) int { return cmp.Compare(a.name, b.name) })
	return configs
}

func fixed(name string, kind kmsg.ConfigType, value, documentation string) config {
	return config{
		name: name, value: value, fallback: value, synonym: name,
		source: kmsg.ConfigSourceStaticBrokerConfig, kind: kind, readOnly: true, documentation: documentation,
	}
}

// checkBrokerName refuses configs of brokers other than this one.
func (s *Server) checkBrokerName(name string) *refusal {
	id, err := strconv.ParseInt(strings.TrimSpace(name), 10, 32)
	if err != nil {
		return refuse(kerr.InvalidRequest, "a broker is named by its id, which %q is not", name)
	}
	if self := s.opts.Node.Info().ID; int32(id) != self {
		return refuse(kerr.InvalidRequest, "this is broker %d; ask broker %d for its configs", self, id)
	}
	return nil
}
