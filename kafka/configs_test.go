package kafka_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator/topicconfig"
	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/topics"
)

func somePartition(f *firn, topic string, index int32) segments.Partition {
	return segments.Partition{Topic: f.node.View().Topic(topic).ID, Index: index}
}

// describe asks for configs of one resource, by name.
func describe(t *testing.T, f *firn, kind kmsg.ConfigResourceType, name string,
	configs ...string) (map[string]kmsg.DescribeConfigsResponseResourceConfig, int16) {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms, req.IncludeDocumentation = 4, true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: configs}}
	resource := ask[*kmsg.DescribeConfigsResponse](t, f, req).Resources[0]
	found := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, c := range resource.Configs {
		found[c.Name] = c
	}
	return found, resource.ErrorCode
}

func TestDescribeTopicConfigs(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "t", 1, "retention.ms", "1000")
	all, code := describe(t, f, kmsg.ConfigResourceTypeTopic, "t")
	wantCode(t, "t", code, nil)
	if len(all) != len(topicconfig.All()) {
		t.Errorf("%d configs, want %d", len(all), len(topicconfig.All()))
	}
	synonym := func(c kmsg.DescribeConfigsResponseResourceConfig) (texts []string) {
		for _, s := range c.ConfigSynonyms {
			texts = append(texts, fmt.Sprintf("%s=%s %s", s.Name, *s.Value, s.Source))
		}
		return texts
	}
	set := all["retention.ms"]
	if *set.Value != "1000" || set.Source != kmsg.ConfigSourceDynamicTopicConfig || set.ReadOnly ||
		set.ConfigType != kmsg.ConfigTypeLong || *set.Documentation == "" {
		t.Errorf("retention.ms: %+v", set)
	}
	if diff := cmp.Diff([]string{"retention.ms=1000 DYNAMIC_TOPIC_CONFIG", "log.retention.ms=604800000 DEFAULT_CONFIG"},
		synonym(set)); diff != "" {
		t.Errorf("synonyms (-want +got):\n%s", diff)
	}
	byDefault := all["cleanup.policy"]
	if *byDefault.Value != "delete" || byDefault.Source != kmsg.ConfigSourceDefaultConfig ||
		byDefault.ConfigType != kmsg.ConfigTypeList {
		t.Errorf("cleanup.policy: %+v", byDefault)
	}
	if diff := cmp.Diff([]string{"log.cleanup.policy=delete DEFAULT_CONFIG"}, synonym(byDefault)); diff != "" {
		t.Errorf("synonyms (-want +got):\n%s", diff)
	}
	some, _ := describe(t, f, kmsg.ConfigResourceTypeTopic, "t", "flush.ms", "no.such.config")
	if names := slices.Collect(maps.Keys(some)); len(names) != 1 || names[0] != "flush.ms" {
		t.Errorf("configs %v, want flush.ms", names)
	}
}

func TestDescribeBrokerConfigs(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true, DefaultPartitions: 5}})
	all, code := describe(t, f, kmsg.ConfigResourceTypeBroker, "7")
	wantCode(t, "7", code, nil)
	for name, want := range map[string]string{
		"node.id": "7", "broker.rack": "zone-7", "auto.create.topics.enable": "true", "num.partitions": "5",
		"log.retention.ms": "604800000", "message.max.bytes": "1048588", "advertised.listeners": "plaintext://" + f.address,
	} {
		if c, ok := all[name]; !ok || *c.Value != want || !c.ReadOnly || len(c.ConfigSynonyms) != 1 {
			t.Errorf("%s: %+v, want %q", name, c, want)
		}
	}
}

func TestDescribeConfigsOfGroups(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	all, code := describe(t, f, kmsg.ConfigResourceTypeGroupConfig, "any")
	wantCode(t, "a group", code, nil)
	for name, want := range map[string]string{
		"consumer.session.timeout.ms": "1000", "consumer.heartbeat.interval.ms": "100"} {
		if c := all[name]; c.Value == nil || *c.Value != want || c.Source != kmsg.ConfigSourceDefaultConfig {
			t.Errorf("%s is %+v, want %s", name, c, want)
		}
	}
	_, code = describe(t, f, kmsg.ConfigResourceTypeClientMetrics, "any")
	wantCode(t, "a subscription", code, nil)
}

func TestDescribeConfigsRefuses(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	for _, c := range []struct {
		kind kmsg.ConfigResourceType
		name string
		want *kerr.Error
	}{
		{kmsg.ConfigResourceTypeTopic, "absent", kerr.UnknownTopicOrPartition},
		{kmsg.ConfigResourceTypeTopic, "no name", kerr.InvalidTopicException},
		{kmsg.ConfigResourceTypeBroker, "", nil},
		{kmsg.ConfigResourceTypeBroker, "8", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBroker, "x", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "8", kerr.InvalidRequest},
		{99, "x", kerr.InvalidRequest},
	} {
		found, code := describe(t, f, c.kind, c.name)
		wantCode(t, fmt.Sprintf("%s %q", c.kind, c.name), code, c.want)
		if len(found) > 0 {
			t.Errorf("%s %q has %d configs", c.kind, c.name, len(found))
		}
	}
}

func TestDescribeConfigsAnswersEachResourceOnce(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	self := kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "7"}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.Resources = 4, []kmsg.DescribeConfigsRequestResource{self, self}
	got := ask[*kmsg.DescribeConfigsResponse](t, f, req).Resources
	wantCode(t, "first", got[0].ErrorCode, nil)
	wantCode(t, "second", got[1].ErrorCode, kerr.InvalidRequest)
	if len(got[1].Configs) > 0 {
		t.Errorf("%d configs beside an error", len(got[1].Configs))
	}
}

func TestAlterConfigs(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "t", 1, "retention.ms", "1000", "flush.ms", "5")
	alter := func(validateOnly bool, kind kmsg.ConfigResourceType, name string,
		configs ...kmsg.AlterConfigsRequestResourceConfig) int16 {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Version, req.ValidateOnly = 2, validateOnly
		req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kind, ResourceName: name, Configs: configs}}
		return ask[*kmsg.AlterConfigsResponse](t, f, req).Resources[0].ErrorCode
	}
	config := func(name, value string) kmsg.AlterConfigsRequestResourceConfig {
		return kmsg.AlterConfigsRequestResourceConfig{Name: name, Value: &value}
	}
	const topic, broker = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	before := map[string]string{"retention.ms": "1000", "flush.ms": "5"}
	after := map[string]string{"retention.ms": "2000"}
	for _, c := range []struct {
		what string
		code int16
		want *kerr.Error
		set  map[string]string
	}{
		{"validate", alter(true, topic, "t", config("retention.ms", "2000")), nil, before},
		{"bad value", alter(false, topic, "t", config("retention.ms", "x")), kerr.InvalidConfig, before},
		{"unknown", alter(false, topic, "t", config("x", "x")), kerr.InvalidConfig, before},
		{"null", alter(false, topic, "t", kmsg.AlterConfigsRequestResourceConfig{Name: "flush.ms"}), kerr.InvalidRequest,
			before},
		{"absent", alter(false, topic, "absent"), kerr.UnknownTopicOrPartition, before},
		{"broker", alter(false, broker, "7", config("num.partitions", "3")), kerr.InvalidRequest, before},
	} {
		wantCode(t, c.what, c.code, c.want)
		if diff := cmp.Diff(c.set, f.node.View().Topic("t").Configs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
	wantCode(t, "replace", alter(false, topic, "t", config("retention.ms", "2000")), nil)
	if diff := cmp.Diff(after, f.node.View().Topic("t").Configs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	twice := kmsg.AlterConfigsRequestResource{ResourceType: topic, ResourceName: "t"}
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Resources = []kmsg.AlterConfigsRequestResource{twice, twice}
	for _, got := range ask[*kmsg.AlterConfigsResponse](t, f, req).Resources {
		wantCode(t, "twice", got.ErrorCode, kerr.InvalidRequest)
	}
}

func TestIncrementalAlterConfigs(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "t", 1, "retention.ms", "1000")
	const (
		set      = kmsg.IncrementalAlterConfigOpSet
		del      = kmsg.IncrementalAlterConfigOpDelete
		add      = kmsg.IncrementalAlterConfigOpAppend
		subtract = kmsg.IncrementalAlterConfigOpSubtract
	)
	op := func(name string, op kmsg.IncrementalAlterConfigOp,
		value string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
		return kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Op: op, Value: &value}
	}
	type ops = []kmsg.IncrementalAlterConfigsRequestResourceConfig
	for _, c := range []struct {
		ops  ops
		want *kerr.Error
		then map[string]string // nil: as before
	}{
		{ops{op("flush.ms", set, "5")}, nil, map[string]string{"retention.ms": "1000", "flush.ms": "5"}},
		{ops{op("cleanup.policy", add, "compact,delete")}, nil,
			map[string]string{"retention.ms": "1000", "flush.ms": "5", "cleanup.policy": "delete,compact"}},
		{ops{op("cleanup.policy", subtract, "delete, other")}, nil,
			map[string]string{"retention.ms": "1000", "flush.ms": "5", "cleanup.policy": "compact"}},
		{ops{op("cleanup.policy", add, "delete,delete,compact")}, nil,
			map[string]string{"retention.ms": "1000", "flush.ms": "5", "cleanup.policy": "compact,delete"}},
		{ops{op("cleanup.policy", subtract, "delete,delete")}, nil,
			map[string]string{"retention.ms": "1000", "flush.ms": "5", "cleanup.policy": "compact"}},
		{ops{op("flush.ms", del, ""), op("flush.ms", set, "6")}, kerr.InvalidRequest, nil},
		{ops{op("flush.ms", set, "6"), op("retention.ms", set, "x")}, kerr.InvalidConfig, nil},
		{ops{op("flush.ms", add, "6")}, kerr.InvalidConfig, nil},
		{ops{op("unknown", add, "6")}, kerr.InvalidConfig, nil},
		{ops{op("unknown", set, "6")}, kerr.InvalidConfig, nil},
		{ops{op("cleanup.policy", add, "compress")}, kerr.InvalidConfig, nil},
		{ops{op("flush.ms", 9, "6")}, kerr.InvalidRequest, nil},
		{ops{{Name: "flush.ms", Op: set}}, kerr.InvalidRequest, nil},
		{ops{{Name: "flush.ms", Op: del}, {Name: "preallocate", Op: del}}, nil,
			map[string]string{"retention.ms": "1000", "cleanup.policy": "compact"}},
	} {
		before := f.node.View().Topic("t").Configs
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Version = 1
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic,
			ResourceName: "t", Configs: c.ops}}
		for _, validateOnly := range []bool{true, false} {
			req.ValidateOnly = validateOnly
			got := ask[*kmsg.IncrementalAlterConfigsResponse](t, f, req).Resources[0]
			wantCode(t, fmt.Sprintf("%+v", c.ops), got.ErrorCode, c.want)
			want := c.then
			if validateOnly || want == nil {
				want = before
			}
			if diff := cmp.Diff(want, f.node.View().Topic("t").Configs); diff != "" {
				t.Errorf("%+v, validate only %v (-want +got):\n%s", c.ops, validateOnly, diff)
			}
		}
	}
}
