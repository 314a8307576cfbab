package kafka_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/topics"
)

func newTopic(name string, partitions int32, replicas int16) kmsg.CreateTopicsRequestTopic {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, replicas
	return topic
}

func withConfig(topic kmsg.CreateTopicsRequestTopic, name string, value *string) kmsg.CreateTopicsRequestTopic {
	topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: value})
	return topic
}

// assigned is a topic with a manual assignment: for each partition its number, then its brokers.
func assigned(name string, partitions ...[]int32) kmsg.CreateTopicsRequestTopic {
	topic := newTopic(name, -1, -1)
	for _, p := range partitions {
		topic.ReplicaAssignment = append(topic.ReplicaAssignment,
			kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: p[0], Replicas: p[1:]})
	}
	return topic
}

func createTopicsRequest(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.Topics = 7, topics
	return req
}

func TestCreateTopics(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{DefaultPartitions: 4, MaxPartitions: 20}})
	f.createTopic(t, "taken.name", 1)
	value := kmsg.StringPtr
	cases := []struct {
		topic      kmsg.CreateTopicsRequestTopic
		want       *kerr.Error
		partitions int32
	}{
		{newTopic("plain", 3, 1), nil, 3},
		{newTopic("defaults", -1, -1), nil, 4},
		{newTopic("three-copies", 1, 3), nil, 1},
		{withConfig(newTopic("configured", 1, 1), "retention.ms", value("1000")), nil, 1},
		{assigned("by-hand", []int32{1, 5, 6}, []int32{0, 6, 5}), nil, 2},
		{newTopic("taken.name", 1, 1), kerr.TopicAlreadyExists, 0},
		{newTopic("taken_name", 1, 1), kerr.InvalidTopicException, 0},
		{newTopic("first.one", 1, 1), nil, 1},
		{newTopic("first_one", 1, 1), kerr.InvalidTopicException, 0},
		{newTopic("no name", 1, 1), kerr.InvalidTopicException, 0},
		{newTopic(strings.Repeat("long", 100), 1, 1), kerr.InvalidTopicException, 0},
		{newTopic("zero", 0, 1), kerr.InvalidPartitions, 0},
		{newTopic("negative", -2, 1), kerr.InvalidPartitions, 0},
		{newTopic("huge", 21, 1), kerr.InvalidPartitions, 0},
		{newTopic("rest", 9, 1), kerr.PolicyViolation, 0}, // 12 of 20 are gone
		{newTopic("no-copy", 1, 0), kerr.InvalidReplicationFactor, 0},
		{newTopic("fewer-copies", 1, -2), kerr.InvalidReplicationFactor, 0},
		{newTopic("many-copies", 1, kafka.MaxReplicas+1), kerr.InvalidReplicationFactor, 0},
		{withConfig(newTopic("unknown-config", 1, 1), "retention.hours", value("1")), kerr.InvalidConfig, 0},
		{withConfig(newTopic("bad-config", 1, 1), "retention.ms", value("soon")), kerr.InvalidConfig, 0},
		{withConfig(newTopic("null-config", 1, 1), "retention.ms", nil), kerr.InvalidConfig, 0},
		{assigned("hole", []int32{0, 1}, []int32{2, 1}), kerr.InvalidReplicaAssignment, 0},
		{assigned("twice", []int32{0, 1}, []int32{0, 1}), kerr.InvalidReplicaAssignment, 0},
		{assigned("uneven", []int32{0, 1}, []int32{1, 1, 2}), kerr.InvalidReplicaAssignment, 0},
		{assigned("nobody", []int32{0}), kerr.InvalidReplicaAssignment, 0},
		{assigned("same-broker", []int32{0, 1, 1}), kerr.InvalidReplicaAssignment, 0},
		{func() kmsg.CreateTopicsRequestTopic {
			topic := assigned("both", []int32{0, 1})
			topic.NumPartitions = 1
			return topic
		}(), kerr.InvalidRequest, 0},
	}
	var topics []kmsg.CreateTopicsRequestTopic
	for _, c := range cases {
		topics = append(topics, c.topic)
	}
	resp := ask[*kmsg.CreateTopicsResponse](t, f, createTopicsRequest(topics...))
	for i, c := range cases {
		got, name := resp.Topics[i], c.topic.Topic
		wantCode(t, name, got.ErrorCode, c.want)
		if got.Topic != name || (got.ErrorMessage != nil) != (c.want != nil) {
			t.Errorf("%s: answer %+v", name, got)
		}
		if c.want != nil {
			if f.node.View().Topic(name) != nil && c.want != kerr.TopicAlreadyExists {
				t.Errorf("%s was refused and is there", name)
			}
			continue
		}
		topic := f.node.View().Topic(name)
		replicas := max(c.topic.ReplicationFactor, 1)
		if by := c.topic.ReplicaAssignment; len(by) > 0 {
			replicas = int16(len(by[0].Replicas))
		}
		if topic == nil || topic.Partitions != c.partitions || topic.ID != got.TopicID ||
			got.NumPartitions != c.partitions || got.ReplicationFactor != replicas {
			t.Errorf("%s: topic %+v, answer %+v", name, topic, got)
		}
	}
	for _, c := range resp.Topics[3].Configs {
		if c.Name == "retention.ms" && (*c.Value != "1000" || c.Source != int8(kmsg.ConfigSourceDynamicTopicConfig)) {
			t.Errorf("config %+v", c)
		}
	}
}

func TestCreateTopicsOnlyValidates(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	req := createTopicsRequest(newTopic("good", 1, 1), newTopic("bad", 0, 1))
	req.ValidateOnly = true
	resp := ask[*kmsg.CreateTopicsResponse](t, f, req)
	wantCode(t, "good", resp.Topics[0].ErrorCode, nil)
	wantCode(t, "bad", resp.Topics[1].ErrorCode, kerr.InvalidPartitions)
	if n := len(f.node.View().Topics()); n != 0 {
		t.Errorf("%d topics were created", n)
	}
}

func TestCreateTopicsRefusesDuplicates(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	resp := ask[*kmsg.CreateTopicsResponse](t, f, createTopicsRequest(newTopic("twin", 1, 1), newTopic("single", 1, 1),
		newTopic("twin", 2, 1)))
	if len(resp.Topics) != 2 {
		t.Fatalf("%d answers, want one for each name", len(resp.Topics))
	}
	wantCode(t, "twin", resp.Topics[0].ErrorCode, kerr.InvalidRequest)
	wantCode(t, "single", resp.Topics[1].ErrorCode, nil)
}

// Of many who create one topic at the same moment, one does.
func TestCreateTopicsRace(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	codes := make([]int16, 16)
	var racing sync.WaitGroup
	for i := range codes {
		racing.Go(func() {
			codes[i] = ask[*kmsg.CreateTopicsResponse](t, f,
				createTopicsRequest(newTopic("race", int32(i+1), 1))).Topics[0].ErrorCode
		})
	}
	racing.Wait()
	won := 0
	for i, code := range codes {
		if code == 0 {
			won++
			if got := f.node.View().Topic("race").Partitions; got != int32(i+1) {
				t.Errorf("the winner asked for %d partitions; there are %d", i+1, got)
			}
		} else {
			wantCode(t, "loser", code, kerr.TopicAlreadyExists)
		}
	}
	if won != 1 {
		t.Errorf("%d have created the topic", won)
	}
}
