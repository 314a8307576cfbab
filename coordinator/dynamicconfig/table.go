package dynamicconfig

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/coordinator/topicconfig"
)

// Definition describes one config.
type Definition struct {
	Name          string
	Type          topicconfig.Type
	Default       string // of a group it is the broker's config Synonym instead
	Synonym       string // the broker's config that stands behind it, by Kafka's name; empty if it has none
	Documentation string
	check         func(value string) error
}

// The configs of groups, which package groups goes by.
const (
	ConsumerSessionTimeout    = "consumer.session.timeout.ms"
	ConsumerHeartbeatInterval = "consumer.heartbeat.interval.ms"
)

// The configs of share groups (KIP-932, KIP-1222, KIP-1240).
const (
	ShareOffsetReset       = "share.auto.offset.reset"
	ShareDeliveryLimit     = "share.delivery.count.limit"
	ShareHeartbeatInterval = "share.heartbeat.interval.ms"
	ShareIsolationLevel    = "share.isolation.level"
	ShareMaxLocks          = "share.partition.max.record.locks"
	ShareLockDuration      = "share.record.lock.duration.ms"
	ShareRenew             = "share.renew.acknowledge.enable"
	ShareSessionTimeout    = "share.session.timeout.ms"
)

// ShareDefaults are the values of the configs of share groups that are not set.
var ShareDefaults = map[string]string{
	ShareOffsetReset: "latest", ShareDeliveryLimit: "5", ShareHeartbeatInterval: "5000",
	ShareIsolationLevel: "read_uncommitted", ShareMaxLocks: "2000", ShareLockDuration: "30000", ShareRenew: "true",
	ShareSessionTimeout: "45000",
}

// What ConsumerSessionTimeout and ConsumerHeartbeatInterval are at least and at most, in
// milliseconds: Kafka's group.consumer.min.session.timeout.ms and its like.
const (
	MinConsumerSession   = 1_000
	MaxConsumerSession   = 86_400_000
	MinConsumerHeartbeat = 10
	MaxConsumerHeartbeat = MaxConsumerSession - 1
)

// noReplication says why configs of replication have no effect.
const noReplication = " Without effect: nodes do not copy records from each other."

// definitions are ordered by name.
var definitions = map[Kind][]Definition{
	Group: {
		{ConsumerHeartbeatInterval, topicconfig.Int, "", "group.consumer.heartbeat.interval.ms",
			"How often members of the consumer group are to send heartbeats.",
			within(MinConsumerHeartbeat, MaxConsumerHeartbeat)},
		{ConsumerSessionTimeout, topicconfig.Int, "", "group.consumer.session.timeout.ms",
			"After this time without a heartbeat a member of the consumer group is out.",
			within(MinConsumerSession, MaxConsumerSession)},
		{ShareOffsetReset, topicconfig.String, "", ShareOffsetReset,
			"Where the share group begins a partition: earliest, latest, or by_duration:PERIOD (ISO 8601) before now.",
			isOffsetReset},
		{ShareDeliveryLimit, topicconfig.Int, "", "group.share.delivery.count.limit",
			"How often a record is delivered to the share group at most.", within(2, 10)},
		{ShareHeartbeatInterval, topicconfig.Int, "", "group.share.heartbeat.interval.ms",
			"How often members of the share group are to send heartbeats.",
			within(MinConsumerHeartbeat, MaxConsumerHeartbeat)},
		{ShareIsolationLevel, topicconfig.String, "", ShareIsolationLevel,
			"read_committed: members of the share group get no records of open or aborted transactions.",
			oneOf("read_committed", "read_uncommitted")},
		{ShareMaxLocks, topicconfig.Int, "", "group.share.partition.max.record.locks",
			"How many records of a partition may be delivered to the share group and not finished.", within(100, 10_000)},
		{ShareLockDuration, topicconfig.Int, "", "group.share.record.lock.duration.ms",
			"For how long a member of the share group has the records that it acquires.", within(1_000, 3_600_000)},
		{ShareRenew, topicconfig.Boolean, "", ShareRenew,
			"Whether members of the share group may have records for longer, by renewing.", oneOf("true", "false")},
		{ShareSessionTimeout, topicconfig.Int, "", "group.share.session.timeout.ms",
			"After this time without a heartbeat a member of the share group is out.",
			within(MinConsumerSession, MaxConsumerSession)},
	},
	Broker: {
		{"follower.replication.throttled.rate", topicconfig.Long, maxLong, "",
			"Bytes a second that a follower may copy." + noReplication, within(0, math.MaxInt64)},
		{"leader.replication.throttled.rate", topicconfig.Long, maxLong, "",
			"Bytes a second that a leader may send to followers." + noReplication, within(0, math.MaxInt64)},
		{"replica.alter.log.dirs.io.max.bytes.per.second", topicconfig.Long, maxLong, "",
			"Bytes a second that may move between directories. Without effect: there is one bucket.",
			within(0, math.MaxInt64)},
	},
	ClientMetrics: {
		{"interval.ms", topicconfig.Int, "300000", "interval.ms",
			"How often clients are to push metrics. Without effect: nothing takes them.", within(100, 3_600_000)},
		{"match", topicconfig.List, "", "match",
			"Which clients are to push metrics. Without effect: nothing takes them.", matches},
		{"metrics", topicconfig.List, "", "metrics",
			"Prefixes of the metrics that clients are to push. Without effect: nothing takes them.",
			func(string) error { return nil }},
	},
}

var maxLong = strconv.Itoa(math.MaxInt64)

// All returns the configs of a kind, ordered by name.
func All(kind Kind) []Definition { return definitions[kind] }

// Lookup returns a config of a kind; false if there is none of that name.
func Lookup(kind Kind, name string) (Definition, bool) {
	for _, d := range definitions[kind] {
		if d.Name == name {
			return d, true
		}
	}
	return Definition{}, false
}

// within is a whole number from least to most.
func within(least, most int64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return errors.New("is not a whole number")
		}
		if n < least || n > most {
			return fmt.Errorf("is not from %d to %d", least, most)
		}
		return nil
	}
}

// oneOf is one of some values.
func oneOf(values ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(values, value) {
			return errors.New("is not one of " + strings.Join(values, ", "))
		}
		return nil
	}
}

// ResetPeriod is how long before now a value of ShareOffsetReset begins; false if it is none that
// says so.
func ResetPeriod(value string) (_ time.Duration, is bool, _ error) {
	text, is := strings.CutPrefix(value, "by_duration:")
	if !is {
		return 0, false, nil
	}
	period, err := ParsePeriod(text)
	return period, true, err
}

func isOffsetReset(value string) error {
	if _, is, err := ResetPeriod(value); is {
		return err
	}
	if value != "earliest" && value != "latest" {
		return errors.New("is not earliest, latest or by_duration:PERIOD")
	}
	return nil
}

// period is an ISO 8601 duration, as far as Java's Duration takes it.
var period = regexp.MustCompile(
	`^(?i)P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{0,9})?)S)?)?$`)

// ParsePeriod is the time that PnDTnHnMn.nS says.
func ParsePeriod(text string) (time.Duration, error) {
	parts := period.FindStringSubmatch(text)
	if parts == nil || !strings.ContainsAny(text, "0123456789") || strings.HasSuffix(strings.ToUpper(text), "T") {
		return 0, fmt.Errorf("has the period %q, which is not like P1DT2H3M4.5S", text)
	}
	total := 0.0
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.ParseFloat(parts[i+1], 64) // 0 if it is not there
		total += n * float64(unit)
	}
	if total > math.MaxInt64/2 {
		return 0, fmt.Errorf("has the period %q, which is longer than a century", text)
	}
	return time.Duration(total), nil
}

// matched are what a subscription to metrics can choose clients by.
var matched = []string{"client_id", "client_instance_id", "client_software_name", "client_software_version",
	"client_source_address", "client_source_port"}

// matches is a list of NAME=REGEX.
func matches(value string) error {
	for _, item := range topicconfig.SplitList(value) {
		name, pattern, _ := strings.Cut(item, "=")
		if !slices.Contains(matched, strings.TrimSpace(name)) {
			return fmt.Errorf("matches %q, which is not one of %s", name, strings.Join(matched, ", "))
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return fmt.Errorf("has a pattern for %s that is no regular expression: %w", name, err)
		}
	}
	return nil
}
