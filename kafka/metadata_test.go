package kafka_test

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/topics"
)

// metadataOf asks for topics by name; none asks for all.
func metadataOf(version int16, names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = version
	for _, name := range names {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	}
	return req
}

func TestMetadataDescribesTheCluster(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "orders", 3)
	req := metadataOf(13)
	resp := ask[*kmsg.MetadataResponse](t, f, req)
	if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 7 || *resp.Brokers[0].Rack != "zone-7" ||
		resp.ControllerID != 7 {
		t.Errorf("brokers %+v, controller %d", resp.Brokers, resp.ControllerID)
	}
	if *resp.ClusterID == "" || *resp.ClusterID != f.node.View().ClusterID() {
		t.Errorf("cluster id %q", *resp.ClusterID)
	}
	if len(resp.Topics) != 1 || *resp.Topics[0].Topic != "orders" || segments.TopicID(resp.Topics[0].TopicID) != topic.ID {
		t.Fatalf("topics %+v", resp.Topics)
	}
	got := resp.Topics[0]
	if got.AuthorizedOperations != math.MinInt32 {
		t.Errorf("authorized operations %d were not asked for", got.AuthorizedOperations)
	}
	for i, p := range got.Partitions {
		if p.ErrorCode != 0 || p.Partition != int32(i) || p.Leader != 7 || p.LeaderEpoch != 0 || len(p.Replicas) != 1 ||
			len(p.ISR) != 1 {
			t.Errorf("partition %+v", p)
		}
	}
	if len(got.Partitions) != 3 {
		t.Errorf("%d partitions", len(got.Partitions))
	}

	req.IncludeTopicAuthorizedOperations = true
	if ops := ask[*kmsg.MetadataResponse](t, f, req).Topics[0].AuthorizedOperations; ops != 0b1101_1111_1000 {
		t.Errorf("authorized operations of a topic are %b", ops)
	}
}

func TestMetadataFindsTopics(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true, DefaultPartitions: 2}})
	topic := f.createTopic(t, "orders", 1)

	if all := ask[*kmsg.MetadataResponse](t, f, metadataOf(0)).Topics; len(all) != 1 {
		t.Errorf("version 0 without names finds %d topics, want all", len(all))
	}
	none := metadataOf(4)
	none.Topics = []kmsg.MetadataRequestTopic{}
	if found := ask[*kmsg.MetadataResponse](t, f, none).Topics; len(found) != 0 {
		t.Errorf("an empty list finds %d topics", len(found))
	}

	byID := metadataOf(12, "orders", "orders", "no/name", "absent")
	byID.Topics = append(byID.Topics, kmsg.MetadataRequestTopic{TopicID: topic.ID},
		kmsg.MetadataRequestTopic{TopicID: segments.TopicID{1}})
	found := ask[*kmsg.MetadataResponse](t, f, byID).Topics
	if len(found) != 4 {
		t.Fatalf("%d answers, want each topic once: %+v", len(found), found)
	}
	wantCode(t, "known", found[0].ErrorCode, nil)
	wantCode(t, "bad name", found[1].ErrorCode, kerr.InvalidTopicException)
	wantCode(t, "absent", found[2].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "unknown id", found[3].ErrorCode, kerr.UnknownTopicID)
}

func TestMetadataCreatesTopics(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true, DefaultPartitions: 2}})
	// cannot say that it does not want that
	created := ask[*kmsg.MetadataResponse](t, f, metadataOf(3, "old-client")).Topics
	if len(created) != 1 || created[0].ErrorCode != 0 || len(created[0].Partitions) != 2 {
		t.Errorf("auto creation answers %+v", created)
	}
	req := metadataOf(13, "asked.for", "asked_for", "no name")
	req.AllowAutoTopicCreation = true
	created = ask[*kmsg.MetadataResponse](t, f, req).Topics
	wantCode(t, "allowed", created[0].ErrorCode, nil)
	wantCode(t, "colliding", created[1].ErrorCode, kerr.InvalidTopicException)
	wantCode(t, "bad name", created[2].ErrorCode, kerr.InvalidTopicException)
	if f.node.View().Topic("asked.for") == nil {
		t.Error("the topic is not there")
	}

	f = startFirn(t, kafka.Options{})
	wantCode(t, "forbidden", ask[*kmsg.MetadataResponse](t, f, metadataOf(3, "x")).Topics[0].ErrorCode,
		kerr.UnknownTopicOrPartition)
}
