package kafka

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/coordinator/topicconfig"
)

// brokerConfigs returns what Kafka tools look for in a broker's configs, ordered by name: what
// follows from this node's options, and the defaults of topic configs under the names that brokers
// have for them. All are read-only; dynamic_configs.go has those that can be set.
func (s *Server) brokerConfigs() []config {
	o, l, node := s.opts, s.opts.Limits, s.opts.Node.Info()
	number := func(n int) string { return strconv.Itoa(n) }
	configs := []config{
		fixed("node.id", kmsg.ConfigTypeInt, number(int(node.ID)), "This node's id."),
		fixed("broker.id", kmsg.ConfigTypeInt, number(int(node.ID)), "This node's id."),
		fixed("broker.rack", kmsg.ConfigTypeString, node.Zone, "This node's zone."),
		fixed(
			"advertised.listeners",
			kmsg.ConfigTypeList,
			advertisedListeners(node),
			"The addresses of this node that clients get.",
		),
		fixed(
			"auto.create.topics.enable",
			kmsg.ConfigTypeBoolean,
			fmt.Sprint(o.Topics.AutoCreate),
			"Whether asking for a topic creates it.",
		),
		fixed(
			"num.partitions",
			kmsg.ConfigTypeInt,
			number(int(o.Topics.DefaultPartitions)),
			"Partitions of a topic whose creator does not say.",
		),
		fixed("default.replication.factor", kmsg.ConfigTypeInt, number(int(s.replicationFactor(nil))),
			"Replication factor of a topic whose creator does not say. Copies are the bucket's business."),
		fixed("delete.topic.enable", kmsg.ConfigTypeBoolean, "true", "Topics can be deleted."),
		fixed("socket.request.max.bytes", kmsg.ConfigTypeInt, number(l.MaxRequestBytes), "Largest Produce request."),
		fixed("fetch.max.bytes", kmsg.ConfigTypeInt, number(l.FetchMaxBytes), "Largest Fetch response."),
		fixed("max.connections", kmsg.ConfigTypeInt, number(l.MaxConnections), "Connections in all."),
		fixed(
			"max.connections.per.ip",
			kmsg.ConfigTypeInt,
			number(l.MaxConnectionsPerIP),
			"Connections from one address.",
		),
		fixed(
			"connections.max.idle.ms",
			kmsg.ConfigTypeLong,
			number(int(l.IdleTimeout.Milliseconds())),
			"Idle connections are closed after this time.",
		),
		fixed(
			"max.request.partition.size.limit",
			kmsg.ConfigTypeInt,
			number(maxPagePartitions),
			"Partitions in one page of DescribeTopicPartitions.",
		),
	}
	configs = append(configs, s.groupConfigs()...)
	configs = append(configs, s.transactionConfigs()...)
	for _, d := range topicconfig.All() {
		if d.Synonym == "" {
			continue
		}
		c := fixed(
			d.Synonym,
			kmsg.ConfigType(d.Type),
			d.Default,
			fmt.Sprintf("Default of the topic config %s. %s", d.Name, d.Documentation),
		)
		c.source = kmsg.ConfigSourceDefaultConfig
		configs = append(configs, c)
	}
	slices.SortFunc(configs, func(a, b config) int { return cmp.Compare(a.name, b.name) })
	return configs
}

// advertisedListeners is a node's listeners as Kafka's config has them: NAME://host:port, in a
// list.
func advertisedListeners(n coordinator.NodeInfo) string {
	var all []string
	for _, l := range n.Listeners {
		all = append(all, l.Name+"://"+net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))))
	}
	return strings.Join(all, ",")
}

// transactionConfigs are those of transactions.
func (s *Server) transactionConfigs() []config {
	o := s.opts.Transactions.Options()
	millis := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return []config{
		fixed(
			"transaction.max.timeout.ms",
			kmsg.ConfigTypeInt,
			millis(o.MaxTimeout),
			"Longest timeout of transactions.",
		),
		fixed(
			"transactional.id.expiration.ms",
			kmsg.ConfigTypeInt,
			millis(o.Retention),
			"How long an unused transactional id is remembered.",
		),
		fixed("transaction.abort.timed.out.transaction.cleanup.interval.ms", kmsg.ConfigTypeInt, millis(o.Interval),
			"How often transactions are looked for whose timeout is over."),
	}
}

// groupConfigs are those of consumer groups.
func (s *Server) groupConfigs() []config {
	o := s.opts.Groups.Options()
	millis := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	members := strconv.Itoa(o.Limits.MaxMembers)
	return []config{
		fixed("offsets.retention.minutes", kmsg.ConfigTypeInt, strconv.Itoa(int(o.OffsetsRetention.Minutes())),
			"How long the committed offsets of a group without members are kept."),
		fixed("offsets.retention.check.interval.ms", kmsg.ConfigTypeLong, millis(o.SweepInterval),
			"How often old offsets are looked for."),
		fixed("offset.metadata.max.bytes", kmsg.ConfigTypeInt, strconv.Itoa(o.Limits.OffsetMetadataBytes),
			"Metadata with one committed offset."),
		fixed(
			"group.initial.rebalance.delay.ms",
			kmsg.ConfigTypeInt,
			millis(max(o.InitialRebalanceDelay, 0)),
			"How long an empty classic group waits for more members.",
		),
		fixed(
			"group.min.session.timeout.ms",
			kmsg.ConfigTypeInt,
			millis(o.MinSessionTimeout),
			"Shortest session timeout of members of classic groups.",
		),
		fixed(
			"group.max.session.timeout.ms",
			kmsg.ConfigTypeInt,
			millis(o.MaxSessionTimeout),
			"Longest session timeout of members of classic groups.",
		),
		fixed("group.max.size", kmsg.ConfigTypeInt, members, "Members of one classic group."),
		fixed(
			"group.consumer.session.timeout.ms",
			kmsg.ConfigTypeInt,
			millis(o.ConsumerSessionTimeout),
			"After this time without a heartbeat a member of a consumer group is out.",
		),
		fixed(
			"group.consumer.heartbeat.interval.ms",
			kmsg.ConfigTypeInt,
			millis(o.ConsumerHeartbeatInterval),
			"How often members of consumer groups are to send heartbeats.",
		),
		fixed("group.consumer.min.session.timeout.ms", kmsg.ConfigTypeInt,
			strconv.Itoa(dynamicconfig.MinConsumerSession), "Shortest session timeout of a consumer group."),
		fixed("group.consumer.max.session.timeout.ms", kmsg.ConfigTypeInt,
			strconv.Itoa(dynamicconfig.MaxConsumerSession), "Longest session timeout of a consumer group."),
		fixed("group.consumer.min.heartbeat.interval.ms", kmsg.ConfigTypeInt,
			strconv.Itoa(dynamicconfig.MinConsumerHeartbeat), "Shortest heartbeat interval of a consumer group."),
		fixed("group.consumer.max.heartbeat.interval.ms", kmsg.ConfigTypeInt,
			strconv.Itoa(dynamicconfig.MaxConsumerHeartbeat), "Longest heartbeat interval of a consumer group."),
		fixed("group.consumer.max.size", kmsg.ConfigTypeInt, members, "Members of one consumer group."),
		fixedShare(dynamicconfig.ShareSessionTimeout,
			"After this time without a heartbeat a member of a share group is out."),
		fixedShare(dynamicconfig.ShareHeartbeatInterval, "How often members of share groups are to send heartbeats."),
		fixedShare(dynamicconfig.ShareLockDuration,
			"For how long a member of a share group has the records that it acquires."),
		fixedShare(dynamicconfig.ShareDeliveryLimit, "How often a record is delivered to a share group at most."),
		fixedShare(dynamicconfig.ShareMaxLocks,
			"How many records of a partition may be delivered to a share group and not finished."),
		fixed("group.share.max.size", kmsg.ConfigTypeInt, members, "Members of one share group."),
		fixed("group.share.max.share.sessions", kmsg.ConfigTypeInt, strconv.Itoa(maxShareSessions),
			"Share sessions of a node."),
		fixed(
			"group.consumer.assignors",
			kmsg.ConfigTypeList,
			"uniform,range",
			"Server-side assignors; the first is the default.",
		),
		fixed(
			"group.consumer.migration.policy",
			kmsg.ConfigTypeString,
			"bidirectional",
			"Groups with members change between the protocols as their members do.",
		),
		fixed(
			"group.coordinator.rebalance.protocols",
			kmsg.ConfigTypeList,
			"classic,consumer",
			"Protocols of consumer groups.",
		),
	}
}

func fixed(name string, kind kmsg.ConfigType, value, documentation string) config {
	return config{
		name: name, value: value, fallback: value, synonym: name,
		source: kmsg.ConfigSourceStaticBrokerConfig, kind: kind, readOnly: true, documentation: documentation,
	}
}

// fixedShare is the default of a config of share groups, as the broker's.
func fixedShare(name, documentation string) config {
	return fixed("group."+name, kmsg.ConfigTypeInt, dynamicconfig.ShareDefaults[name], documentation)
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
