package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/segments"
)

func TestDeleteTopics(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	for _, name := range []string{"by-name", "twice", "both", "kept", "name-and-id"} {
		f.createTopic(t, name, 1)
	}
	byID := f.createTopic(t, "by-id", 1)
	both := f.node.View().Topic("name-and-id")
	name := kmsg.StringPtr
	cases := []struct {
		asked kmsg.DeleteTopicsRequestTopic
		want  *kerr.Error
	}{
		{kmsg.DeleteTopicsRequestTopic{Topic: name("by-name")}, nil},
		{kmsg.DeleteTopicsRequestTopic{TopicID: byID.ID}, nil},
		{kmsg.DeleteTopicsRequestTopic{Topic: name("twice")}, kerr.InvalidRequest},
		{kmsg.DeleteTopicsRequestTopic{Topic: name("name-and-id")}, kerr.InvalidRequest},
		{kmsg.DeleteTopicsRequestTopic{Topic: name("both"), TopicID: segments.TopicID{1}}, kerr.InvalidRequest},
		{kmsg.DeleteTopicsRequestTopic{}, kerr.InvalidRequest},
		{kmsg.DeleteTopicsRequestTopic{Topic: name("absent")}, kerr.UnknownTopicOrPartition},
		{kmsg.DeleteTopicsRequestTopic{TopicID: segments.TopicID{2}}, kerr.UnknownTopicID},
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	for _, c := range cases {
		req.Topics = append(req.Topics, c.asked)
	}
	req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{Topic: name("twice")},
		kmsg.DeleteTopicsRequestTopic{TopicID: both.ID})
	resp := ask[*kmsg.DeleteTopicsResponse](t, f, req)
	if len(resp.Topics) != len(cases) {
		t.Fatalf("%d answers, want each topic once: %d", len(resp.Topics), len(cases))
	}
	for i, c := range cases {
		got := resp.Topics[i]
		wantCode(t, kmsg.NameForKey(20), got.ErrorCode, c.want)
		if (got.ErrorMessage != nil) != (c.want != nil) {
			t.Errorf("answer %+v", got)
		}
	}
	if got := resp.Topics[1]; *got.Topic != "by-id" {
		t.Errorf("topic deleted by id is called %q", *got.Topic)
	}
	var left []string
	for _, topic := range f.node.View().Topics() {
		left = append(left, topic.Name)
	}
	if len(left) != 4 {
		t.Errorf("topics left: %v", left)
	}

	again := f.createTopic(t, "by-name", 2)
	old := kmsg.NewPtrDeleteTopicsRequest()
	old.Version, old.TopicNames = 1, []string{"by-name"}
	wantCode(t, "version 1", ask[*kmsg.DeleteTopicsResponse](t, f, old).Topics[0].ErrorCode, nil)
	if f.node.View().TopicByID(again.ID) != nil {
		t.Error("version 1 did not delete")
	}
}
