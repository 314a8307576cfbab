package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/topics"
)

func TestDescribeCluster(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version, req.IncludeClusterAuthorizedOperations = 2, true
	for endpoints, want := range map[int8]*kerr.Error{
		1: nil, 2: kerr.MismatchedEndpointType, 3: kerr.UnsupportedEndpointType,
	} {
		req.EndpointType = endpoints
		got := ask[*kmsg.DescribeClusterResponse](t, f, req)
		wantCode(t, fmt.Sprintf("endpoint type %d", endpoints), got.ErrorCode, want)
		if want == nil &&
			(len(got.Brokers) != 1 || got.ControllerID != 7 || got.ClusterID == "" ||
				got.ClusterAuthorizedOperations != 0b1_1111_1010_0000) {
			t.Errorf("answer %+v", got)
		}
	}
}

// Pages of every size give the same topics and partitions, each once and in order.
func TestDescribeTopicPartitionsInPages(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "b", 1)
	f.createTopic(t, "a", 3)
	f.createTopic(t, "c", 2)
	want := []string{"a/0", "a/1", "a/2", "b/0", "c/0", "c/1"}
	for limit := range int32(8) {
		var got []string
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = limit
		for pages := 0; ; pages++ {
			if pages > len(want) {
				t.Fatalf("limit %d: the cursor does not move", limit)
			}
			resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, f, req)
			for _, topic := range resp.Topics {
				wantCode(t, *topic.Topic, topic.ErrorCode, nil)
				for _, p := range topic.Partitions {
					got = append(got, fmt.Sprintf("%s/%d", *topic.Topic, p.Partition))
					if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
						t.Error("a list of replicas is null, which Java clients up to 3.9 fail on")
					}
				}
			}
			if resp.NextCursor == nil {
				break
			}
			req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic,
				Partition: resp.NextCursor.Partition}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
}

func TestDescribeTopicPartitionsRefuses(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	f.createTopic(t, "a", 1)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 10
	req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "missing"}, {Topic: "a"}, {Topic: "a b"}, {Topic: "a"}}
	resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, f, req)
	if len(resp.Topics) != 3 {
		t.Fatalf("answers %+v", resp.Topics)
	}
	for i, want := range []*kerr.Error{nil, kerr.InvalidTopicException, kerr.UnknownTopicOrPartition} {
		wantCode(t, *resp.Topics[i].Topic, resp.Topics[i].ErrorCode, want)
	}
	for _, cursor := range []kmsg.DescribeTopicPartitionsRequestCursor{{Topic: "a", Partition: -1}, {Topic: "b"}} {
		req.Cursor = &cursor
		for _, topic := range ask[*kmsg.DescribeTopicPartitionsResponse](t, f, req).Topics {
			wantCode(t, "bad cursor", topic.ErrorCode, kerr.InvalidRequest)
		}
	}
	req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "a", Partition: 1<<31 - 1}
	wantCode(t, "cursor behind the end", ask[*kmsg.DescribeTopicPartitionsResponse](t, f, req).Topics[0].ErrorCode, nil)
}

func TestDescribeProducers(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log", 1)
	before := time.Now().Truncate(time.Millisecond)
	f.produce(t, "log", 0, before, "0", "1", "2")
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "log", Partitions: []int32{0, 1, 0}},
		{Topic: "absent", Partitions: []int32{0}}}
	resp := ask[*kmsg.DescribeProducersResponse](t, f, req)
	wantCode(t, "log/1", resp.Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "log/0 again", resp.Topics[0].Partitions[2].ErrorCode, kerr.InvalidRequest)
	wantCode(t, "absent/0", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	known := resp.Topics[0].Partitions[0].ActiveProducers
	if len(known) != 1 {
		t.Fatalf("producers %+v", known)
	}
	p := known[0]
	if p.ProducerID < 0 || p.ProducerEpoch != 0 || p.LastSequence != 2 || p.LastTimestamp < before.UnixMilli() ||
		p.CurrentTxnStartOffset != -1 {
		t.Errorf("producer %+v", p)
	}
}

func TestDescribeLogDirs(t *testing.T) {
	f := startFirn(t, kafka.Options{KeepPlain: true})
	f.createTopic(t, "log", 2)
	f.createTopic(t, "empty", 1)
	f.produce(t, "log", 1, time.Now(), string(make([]byte, 5000)))
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 4
	dir := ask[*kmsg.DescribeLogDirsResponse](t, f, req).Dirs[0]
	if dir.ErrorCode != 0 || dir.TotalBytes != -1 || dir.UsableBytes != -1 || len(dir.Topics) != 2 {
		t.Fatalf("directory %+v", dir)
	}
	info, _ := f.node.View().Partition(somePartition(f, "log", 1))
	if got := dir.Topics[1].Partitions[1].Size; got != info.Bytes || got == 0 {
		t.Errorf("log/1 takes %d bytes, want %d", got, info.Bytes)
	}
	if got := dir.Topics[1].Partitions[0].Size; got != 0 {
		t.Errorf("log/0 takes %d bytes", got)
	}
	req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "log", Partitions: []int32{1, 2}},
		{Topic: "absent", Partitions: []int32{0}}}
	dir = ask[*kmsg.DescribeLogDirsResponse](t, f, req).Dirs[0]
	if len(dir.Topics) != 1 || len(dir.Topics[0].Partitions) != 1 {
		t.Errorf("directory %+v, want log/1 alone", dir)
	}
}
