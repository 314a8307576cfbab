package kafka_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// setConfig sets configs of one resource, given as names and values; without a value it is deleted.
func setConfig(t *testing.T, f *firn, kind kmsg.ConfigResourceType, name string, configs ...string) int16 {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for c := range slices.Chunk(configs, 2) {
		op := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: c[0], Value: &c[1]}
		if c[1] == "" {
			op.Op, op.Value = kmsg.IncrementalAlterConfigOpDelete, nil
		}
		r.Configs = append(r.Configs, op)
	}
	req.Resources = append(req.Resources, r)
	return ask[*kmsg.IncrementalAlterConfigsResponse](t, f, req).Resources[0].ErrorCode
}

// listed are the names of the resources of a kind that ListConfigResources gives.
func listed(t *testing.T, f *firn, kind kmsg.ConfigResourceType) (names []string) {
	t.Helper()
	req := &kmsg.ListConfigResourcesRequest{Version: 1, ResourceTypes: []int8{int8(kind)}}
	for _, r := range ask[*kmsg.ListConfigResourcesResponse](t, f, req).ConfigResources {
		names = append(names, r.Name)
	}
	return names
}

// What is set on groups, brokers and subscriptions reads back as what was set, and is gone when it
// is deleted.
func TestDynamicConfigsReadBack(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	const (
		group, broker = kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeBroker
		metrics       = kmsg.ConfigResourceTypeClientMetrics
		rate          = "leader.replication.throttled.rate"
	)
	for _, c := range []struct {
		kind         kmsg.ConfigResourceType
		name         string
		config, is   string
		source, then kmsg.ConfigSource // where it is set, and where it was
	}{
		{group, "g", "consumer.session.timeout.ms", "50000", kmsg.ConfigSourceGroupConfig,
			kmsg.ConfigSourceDefaultConfig},
		{metrics, "m", "interval.ms", "10000", kmsg.ConfigSourceClientMetricsConfig, kmsg.ConfigSourceDefaultConfig},
		{broker, "", rate, "1000", kmsg.ConfigSourceDynamicDefaultBrokerConfig, kmsg.ConfigSourceUnknown},
		{broker, "7", rate, "2000", kmsg.ConfigSourceDynamicBrokerConfig, kmsg.ConfigSourceDefaultConfig},
	} {
		what := fmt.Sprintf("%s %q", c.kind, c.name)
		wantCode(t, what, setConfig(t, f, c.kind, c.name, c.config, c.is), nil)
		all, _ := describe(t, f, c.kind, c.name)
		if got := all[c.config]; got.Value == nil || *got.Value != c.is || got.Source != c.source || got.ReadOnly ||
			got.IsDefault {
			t.Errorf("%s: %s is %+v, want %s", what, c.config, got, c.is)
		}
		if c.kind != broker && !slices.Contains(listed(t, f, c.kind), c.name) {
			t.Errorf("%s is not listed", what)
		}
		wantCode(t, what, setConfig(t, f, c.kind, c.name, c.config, ""), nil)
		all, _ = describe(t, f, c.kind, c.name)
		if got := all[c.config]; got.Source != c.then {
			t.Errorf("%s: %s is %+v after it was deleted", what, c.config, got)
		}
		if c.kind != broker && slices.Contains(listed(t, f, c.kind), c.name) {
			t.Errorf("%s is listed without configs", what)
		}
	}
	wantCode(t, "all brokers", setConfig(t, f, broker, "", rate, "1"), nil)
	all, _ := describe(t, f, broker, "7")
	if got := all[rate]; *got.Value != "1" || got.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig {
		t.Errorf("what is set on all brokers is %+v on one", got)
	}
}

func TestDynamicConfigsRefuse(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	const session, heartbeat = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
	for _, c := range []struct {
		kind    kmsg.ConfigResourceType
		name    string
		configs []string
		want    *kerr.Error
	}{
		{kmsg.ConfigResourceTypeGroupConfig, "g", []string{session, "soon"}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeGroupConfig, "g", []string{session, "1"}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeGroupConfig, "g", []string{"no.such", "1"}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeGroupConfig, strings.Repeat("g", 256), []string{session, "50000"}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeGroupConfig, "\xff", []string{session, "50000"}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeGroupConfig, "\ufffd", []string{session, "50000"}, nil},
		{kmsg.ConfigResourceTypeGroupConfig, "trimmed", []string{session, " 50000 "}, nil},
		{kmsg.ConfigResourceTypeClientMetrics, "m", []string{"metrics", strings.Repeat("m", 2000)}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeGroupConfig, "g", []string{heartbeat, "1000"}, kerr.InvalidConfig}, // the session's length
		{kmsg.ConfigResourceTypeGroupConfig, "g", []string{heartbeat, "1000", session, "2000"}, nil},
		{kmsg.ConfigResourceTypeGroupConfig, "", []string{session, "50000"}, kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBroker, "7", []string{"node.id", "8"}, kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBroker, "8", []string{"leader.replication.throttled.rate", "1"}, kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeClientMetrics, "m", []string{"match", "client_id=("}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeClientMetrics, "m", []string{"match", "shoe_size=4"}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeClientMetrics, "m", []string{"match", "client_id=a.*", "interval.ms", "100"}, nil},
		{kmsg.ConfigResourceTypeBrokerLogger, "8", []string{"root", "DEBUG"}, kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "7", []string{"root", "LOUD"}, kerr.InvalidConfig},
		{kmsg.ConfigResourceTypeBrokerLogger, "7", []string{"root", ""}, kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "7", []string{"kafka", "DEBUG"}, kerr.InvalidConfig},
	} {
		wantCode(t, fmt.Sprint(c.kind, c.name, c.configs), setConfig(t, f, c.kind, c.name, c.configs...), c.want)
	}
	all, _ := describe(t, f, kmsg.ConfigResourceTypeGroupConfig, "\xff")
	if got := all[session]; got.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("a group whose name is no UTF-8 has the configs of another: %+v", got)
	}
}

// Configs that are set or deleted count as partitions do: one client cannot set all that there may
// be in a moment. An answer that lists what they are set on waits for memory.
func TestDynamicConfigsCount(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.setQuota(t, "controller_mutation_rate", 1, "user", "ANONYMOUS")
	list := &kmsg.ListConfigResourcesRequest{Version: 1}
	before := f.AnswerBound(list)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	for i := range 100 {
		req.Resources = append(req.Resources, kmsg.IncrementalAlterConfigsRequestResource{
			ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: fmt.Sprint("g", i),
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{
				{Name: "consumer.session.timeout.ms", Value: new("50000")}}})
	}
	resp := call[*kmsg.IncrementalAlterConfigsResponse](t, f.connect(t), "admin", req)
	refused := 0
	for _, r := range resp.Resources {
		if r.ErrorCode == kerr.ThrottlingQuotaExceeded.Code {
			refused++
		}
	}
	if set := len(listed(t, f, kmsg.ConfigResourceTypeGroupConfig)); refused == 0 || set == 0 || set != 100-refused {
		t.Errorf("of 100 configs %d are refused and %d set", refused, set)
	}
	if resp.ThrottleMillis == 0 {
		t.Error("a client that is refused is not told how long to wait")
	}
	if after := f.AnswerBound(list); after <= before {
		t.Errorf("a list of groups takes %d bytes; without them it is %d", after, before)
	}
}

// A group's heartbeat interval holds from the next heartbeat on, and for that group alone.
func TestAGroupsOwnHeartbeatInterval(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log", 1)
	interval := func(group string) time.Duration {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID = 1, group, "m"
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 1000, []string{"log"}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](t, f, req)
		wantCode(t, group, resp.ErrorCode, nil)
		return time.Duration(resp.HeartbeatIntervalMillis) * time.Millisecond
	}
	before := interval("g")
	wantCode(t, "g", setConfig(t, f, kmsg.ConfigResourceTypeGroupConfig, "g",
		"consumer.heartbeat.interval.ms", "1234", "consumer.session.timeout.ms", "60000"), nil)
	if got := interval("g"); got != 1234*time.Millisecond {
		t.Errorf("the interval is %s", got)
	}
	if got := interval("other"); got != before {
		t.Errorf("the interval of another group is %s, %s before", got, before)
	}
}

// The level of a node's log can be set while it runs.
func TestLogLevel(t *testing.T) {
	var level slog.LevelVar
	f := startFirn(t, kafka.Options{LogLevel: &level})
	const logger = kmsg.ConfigResourceTypeBrokerLogger
	for _, want := range []slog.Level{slog.LevelDebug, slog.LevelError, slog.LevelInfo} {
		wantCode(t, want.String(), setConfig(t, f, logger, "7", "root", want.String()), nil)
		all, code := describe(t, f, logger, "7")
		wantCode(t, "describe", code, nil)
		if *all["root"].Value != want.String() || level.Level() != want {
			t.Errorf("the level is %s and told as %s, want %s", level.Level(), *all["root"].Value, want)
		}
	}
	// as in Kafka, the old API does not know of loggers (KIP-412)
	old := &kmsg.AlterConfigsRequest{Version: 2, Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: logger,
		ResourceName: "7", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "root", Value: new("ERROR")}}}}}
	wantCode(t, "AlterConfigs", ask[*kmsg.AlterConfigsResponse](t, f, old).Resources[0].ErrorCode, kerr.InvalidRequest)
	if level.Level() != slog.LevelInfo {
		t.Errorf("AlterConfigs has set the level to %s", level.Level())
	}
}
