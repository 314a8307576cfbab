package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/topics"
)

func TestCreatePartitions(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{MaxPartitions: 10}})
	for _, name := range []string{"grows", "same", "shrinks", "limit", "assigned", "misassigned", "unlike", "twin"} {
		f.createTopic(t, name, 2)
	}
	brokers := func(ids ...int32) kmsg.CreatePartitionsRequestTopicAssignment {
		return kmsg.CreatePartitionsRequestTopicAssignment{Replicas: ids}
	}
	cases := []struct {
		asked kmsg.CreatePartitionsRequestTopic
		want  *kerr.Error
		then  int32
	}{
		{kmsg.CreatePartitionsRequestTopic{Topic: "grows", Count: 10}, nil, 10},
		{kmsg.CreatePartitionsRequestTopic{Topic: "same", Count: 2}, kerr.InvalidPartitions, 2},
		{kmsg.CreatePartitionsRequestTopic{Topic: "shrinks", Count: -1}, kerr.InvalidPartitions, 2},
		{kmsg.CreatePartitionsRequestTopic{Topic: "limit", Count: 11}, kerr.InvalidPartitions, 2},
		{kmsg.CreatePartitionsRequestTopic{Topic: "assigned", Count: 4,
			Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{brokers(1), brokers(2)}}, nil, 4},
		{kmsg.CreatePartitionsRequestTopic{Topic: "unlike", Count: 4,
			Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{brokers(1), brokers(2, 3)}},
			kerr.InvalidReplicaAssignment, 2},
		{kmsg.CreatePartitionsRequestTopic{Topic: "misassigned", Count: 4,
			Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{brokers(1)}}, kerr.InvalidReplicaAssignment, 2},
		{kmsg.CreatePartitionsRequestTopic{Topic: "twin", Count: 3}, kerr.InvalidRequest, 2},
		{kmsg.CreatePartitionsRequestTopic{Topic: "absent", Count: 3}, kerr.UnknownTopicOrPartition, 0},
		{kmsg.CreatePartitionsRequestTopic{Topic: "twin", Count: 4}, kerr.InvalidRequest, 2},
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis, req.ValidateOnly = 3, 5000, true
	for _, c := range cases {
		req.Topics = append(req.Topics, c.asked)
	}
	cases = cases[:len(cases)-1] // answered once
	for _, validateOnly := range []bool{true, false} {
		req.ValidateOnly = validateOnly
		resp := ask[*kmsg.CreatePartitionsResponse](t, f, req)
		if len(resp.Topics) != len(cases) {
			t.Fatalf("%d answers, want %d", len(resp.Topics), len(cases))
		}
		for i, c := range cases {
			wantCode(t, c.asked.Topic, resp.Topics[i].ErrorCode, c.want)
			if validateOnly {
				c.then = min(c.then, 2)
			}
			if topic := f.node.View().Topic(c.asked.Topic); topic != nil && topic.Partitions != c.then {
				t.Errorf("%s: %d partitions, want %d", c.asked.Topic, topic.Partitions, c.then)
			}
		}
	}
}
