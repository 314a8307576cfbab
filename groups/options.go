package groups

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
)

// Options is what a Manager needs. Zero values mean their defaults.
type Options struct {
	Node       *coordinator.Node
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// InitialRebalanceDelay is Kafka's group.initial.rebalance.delay.ms: how long the first rebalance
	// of an empty group waits for more members. Kafka waits 3 s, and a developer who starts a consumer
	// again and again waits as long each time; here it is 200 ms. Negative: not at all.
	InitialRebalanceDelay time.Duration
	MinSessionTimeout     time.Duration // Kafka's group.min.session.timeout.ms, 6 s
	MaxSessionTimeout     time.Duration // Kafka's group.max.session.timeout.ms, 30 min

	// Kafka's group.consumer.session.timeout.ms, of members of the new protocol, where their group has
	// no config of its own; 45 s
	ConsumerSessionTimeout    time.Duration
	ConsumerHeartbeatInterval time.Duration // Kafka's group.consumer.heartbeat.interval.ms, likewise; 5 s

	OffsetsRetention time.Duration // Kafka's offsets.retention.minutes, 7 days: see sweep.go

	// LeaseTTL is that of the leases of groups: how long after a node's death others wait for it. 5 s,
	// as long as it takes until a node that is silent is gone from the list of nodes. Longer would
	// only make members wait, and losing a lease early costs them no more than to look for the owner.
	LeaseTTL      time.Duration
	FlushInterval time.Duration // committed offsets are journaled at the latest after this long; 400 ms
	SweepInterval time.Duration // how often old offsets are looked for; 10 min

	Limits Limits
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	o.InitialRebalanceDelay = cmp.Or(o.InitialRebalanceDelay, 200*time.Millisecond)
	o.MinSessionTimeout = cmp.Or(o.MinSessionTimeout, 6*time.Second)
	o.MaxSessionTimeout = cmp.Or(o.MaxSessionTimeout, 30*time.Minute)
	o.ConsumerSessionTimeout = cmp.Or(o.ConsumerSessionTimeout, 45*time.Second)
	o.ConsumerHeartbeatInterval = cmp.Or(o.ConsumerHeartbeatInterval, 5*time.Second)
	o.OffsetsRetention = cmp.Or(o.OffsetsRetention, 7*24*time.Hour)
	o.LeaseTTL = cmp.Or(o.LeaseTTL, 5*time.Second)
	o.FlushInterval = cmp.Or(o.FlushInterval, 400*time.Millisecond)
	o.SweepInterval = cmp.Or(o.SweepInterval, 10*time.Minute)
	o.Limits = o.Limits.WithDefaults()
	return o
}

// ofGroups returns those options that groups know of.
func (o Options) ofGroups() protocol.Options {
	return protocol.Options{Limits: o.Limits, InitialRebalanceDelay: o.InitialRebalanceDelay,
		ConsumerSessionTimeout: o.ConsumerSessionTimeout}
}

// validate reports every problem of options that have their defaults.
func (o Options) validate() error {
	var problems []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf("groups: "+format, args...))
		}
	}
	bad(o.Node == nil, "Node is missing")
	bad(o.MinSessionTimeout <= 0 || o.MaxSessionTimeout < o.MinSessionTimeout, "session timeouts from %s to %s",
		o.MinSessionTimeout, o.MaxSessionTimeout)
	bad(min(o.OffsetsRetention, o.LeaseTTL, o.FlushInterval, o.SweepInterval) <= 0, "a duration is not positive")
	return errors.Join(append(problems, o.Limits.Validate())...)
}
