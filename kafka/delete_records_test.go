package kafka_test

import (
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestDeleteRecords(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log", 2)
	f.createTopic(t, "compacted", 1, "cleanup.policy", "compact")
	f.produce(t, "log", 0, time.Now(), "0", "1", "2", "3", "4")
	for _, c := range []struct {
		topic     string
		partition int32
		offset    int64
		want      *kerr.Error
		low       int64
	}{
		{"log", 0, 0, nil, 0},
		{"log", 0, 3, nil, 3},
		{"log", 0, 2, nil, 3}, // gone already
		{"log", 0, 6, kerr.OffsetOutOfRange, -1},
		{"log", 0, -2, kerr.OffsetOutOfRange, -1},
		{"log", 0, -1, nil, 5},
		{"log", 1, -1, nil, 0},
		{"log", 2, 0, kerr.UnknownTopicOrPartition, -1},
		{"absent", 0, 0, kerr.UnknownTopicOrPartition, -1},
		{"compacted", 0, 0, kerr.PolicyViolation, -1},
	} {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Version, req.TimeoutMillis = 2, 5000
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{
			Topic: c.topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: c.partition, Offset: c.offset}},
		}}
		got := ask[*kmsg.DeleteRecordsResponse](t, f, req).Topics[0].Partitions[0]
		wantCode(t, c.topic, got.ErrorCode, c.want)
		if got.LowWatermark != c.low || got.Partition != c.partition {
			t.Errorf("%+v: answer %+v", c, got)
		}
	}
	if got := listOffsetOf(t, f, 5, "log", 0, earliestOffset, -1); got.Offset != 5 {
		t.Errorf("the log starts at %d, want 5", got.Offset)
	}
}
