package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
)

// What is no topic has these configs that can be set (package dynamicconfig):
//
//   - a group: the session timeout and the heartbeat interval of members of the new protocol, which
//     hold for each member from its next heartbeat on; and those of share groups, which hold from
//     the next request on;
//   - a broker, or all of them: rates of replication, without effect. What else a broker has
//     follows from the flags that it was started with (broker_configs.go);
//   - a subscription to clients' metrics: what Kafka has, without effect, as in a Kafka without a
//     plugin that takes the metrics.
//
// How many are set is bounded for all clients together, so each that is set or deleted counts
// against the client's quota for controller mutations, as a partition does.

// dynamicKinds are the kinds of resources that have them.
var dynamicKinds = map[kmsg.ConfigResourceType]dynamicconfig.Kind{
	kmsg.ConfigResourceTypeBroker:        dynamicconfig.Broker,
	kmsg.ConfigResourceTypeGroupConfig:   dynamicconfig.Group,
	kmsg.ConfigResourceTypeClientMetrics: dynamicconfig.ClientMetrics,
}

// dynamicSources say where what is set on a kind of resource comes from.
var dynamicSources = map[dynamicconfig.Kind]kmsg.ConfigSource{
	dynamicconfig.Broker:        kmsg.ConfigSourceDynamicBrokerConfig,
	dynamicconfig.Group:         kmsg.ConfigSourceGroupConfig,
	dynamicconfig.ClientMetrics: kmsg.ConfigSourceClientMetricsConfig,
}

// dynamic is a resource that is no topic, if it has configs.
func (s *Server) dynamic(r resource) (dynamicconfig.Resource, *refusal) {
	kind, known := dynamicKinds[r.kind]
	switch {
	case !known:
		return dynamicconfig.Resource{}, refuse(kerr.InvalidRequest, "%s resources have no configs here; topics, "+
			"brokers, their loggers, groups and subscriptions to clients' metrics have", r.kind)
	case kind == dynamicconfig.Broker && r.name != "":
		return dynamicconfig.Resource{Kind: kind, Name: r.name}, s.checkBrokerName(r.name)
	case kind != dynamicconfig.Broker && r.name == "":
		return dynamicconfig.Resource{}, refuse(kerr.InvalidRequest, "%s resources have a name", r.kind)
	}
	return dynamicconfig.Resource{Kind: kind, Name: r.name}, nil
}

// dynamicConfigs returns all configs of a resource, ordered by name.
func (s *Server) dynamicConfigs(r dynamicconfig.Resource) []config {
	view := s.opts.Node.View()
	set := dynamicconfig.Of(view, r)
	var configs []config
	if r.Kind == dynamicconfig.Broker && r.Name != "" {
		configs = s.brokerConfigs()
	}
	for _, d := range dynamicconfig.All(r.Kind) {
		c := config{name: d.Name, value: d.Default, fallback: d.Default, synonym: d.Synonym,
			source: kmsg.ConfigSourceDefaultConfig, kind: kmsg.ConfigType(d.Type), documentation: d.Documentation}
		if r.Kind == dynamicconfig.Group {
			c.value = s.groupDefault(d.Name)
			c.fallback = c.value
		}
		value, is := set[d.Name]
		if is {
			c.value, c.source = value, dynamicSources[r.Kind]
		}
		if r.Kind == dynamicconfig.Broker {
			all, every := dynamicconfig.Value(view, dynamicconfig.Resource{Kind: r.Kind}, d.Name)
			switch {
			case r.Name == "" && !is:
				continue // only what is set on all brokers
			case every && (!is || r.Name == ""):
				c.value, c.source = all, kmsg.ConfigSourceDynamicDefaultBrokerConfig
			}
		}
		configs = append(configs, c)
	}
	slices.SortFunc(configs, func(a, b config) int { return cmp.Compare(a.name, b.name) })
	return configs
}

// groupDefault is what holds for groups that have not set a config.
func (s *Server) groupDefault(name string) string {
	if value, share := dynamicconfig.ShareDefaults[name]; share {
		return value
	}
	o := s.opts.Groups.Options()
	if name == dynamicconfig.ConsumerSessionTimeout {
		return strconv.FormatInt(o.ConsumerSessionTimeout.Milliseconds(), 10)
	}
	return strconv.FormatInt(o.ConsumerHeartbeatInterval.Milliseconds(), 10)
}

// alterDynamic changes the configs of a resource that is no topic.
func (s *Server) alterDynamic(ctx context.Context, from *peer, r dynamicconfig.Resource, validateOnly bool,
	next func(set map[string]string) (map[string]string, *refusal)) *refusal {
	view := s.opts.Node.View()
	set, refused := next(dynamicconfig.Of(view, r))
	if refused != nil {
		return refused
	}
	for name, value := range set {
		set[name] = strings.TrimSpace(value)
	}
	if refused := s.checkDynamic(r, set); refused != nil {
		return refused
	}
	changes, err := dynamicconfig.Changes(view, r, set)
	switch {
	case errors.Is(err, dynamicconfig.ErrTooMany):
		return refuse(kerr.PolicyViolation, "%v", err)
	case validateOnly || len(changes) == 0:
		return nil
	}
	if refused := s.mutates(from, true, len(changes)); refused != nil {
		return refused
	}
	_, err = s.opts.Node.Change(ctx, coordinator.Change{Settings: changes})
	refused = s.refusalOf(err)
	from.changed("AlterConfigs", string(r.Kind)+" "+r.Name, refused)
	return refused
}

// checkDynamic refuses configs that cannot be set on a resource.
func (s *Server) checkDynamic(r dynamicconfig.Resource, set map[string]string) *refusal {
	if r.Kind == dynamicconfig.Broker {
		for _, c := range s.brokerConfigs() {
			if _, is := set[c.name]; is {
				return refuse(kerr.InvalidRequest, "%s is read-only: it follows from the flags that a node is started with",
					c.name)
			}
		}
	}
	if err := dynamicconfig.Check(r, set); err != nil {
		return refuse(kerr.InvalidConfig, "%v", err)
	}
	if r.Kind != dynamicconfig.Group {
		return nil
	}
	millis := func(name string) int64 {
		value, is := set[name]
		if !is {
			value = s.groupDefault(name)
		}
		n, _ := strconv.ParseInt(value, 10, 64) // Check has done so
		return n
	}
	for session, heartbeat := range map[string]string{
		dynamicconfig.ConsumerSessionTimeout: dynamicconfig.ConsumerHeartbeatInterval,
		dynamicconfig.ShareSessionTimeout:    dynamicconfig.ShareHeartbeatInterval,
	} {
		if millis(heartbeat) >= millis(session) {
			return refuse(kerr.InvalidConfig, "%s is %d and %s would be %d: it must be greater", heartbeat, millis(heartbeat),
				session, millis(session))
		}
	}
	return nil
}
