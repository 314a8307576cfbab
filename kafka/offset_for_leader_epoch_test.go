package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestOffsetForLeaderEpoch(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log", 1)
	f.produce(t, "log", 0, time.Now(), "0", "1", "2")
	for _, c := range []struct {
		partition, believed, epoch int32
		want                       *kerr.Error
		end                        int64
	}{
		{0, -1, 0, nil, 3},
		{0, 0, 0, nil, 3},
		{0, 0, 1, nil, -1},
		{0, 0, -1, nil, -1},
		{0, 1, 0, kerr.UnknownLeaderEpoch, -1},
		{1, 0, 0, kerr.UnknownTopicOrPartition, -1},
	} {
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = c.partition, c.believed, c.epoch
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Version = 4
		req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "log",
			Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
		got := ask[*kmsg.OffsetForLeaderEpochResponse](t, f, req).Topics[0].Partitions[0]
		wantCode(t, fmt.Sprintf("%+v", c), got.ErrorCode, c.want)
		if got.EndOffset != c.end || (got.LeaderEpoch == 0) != (c.end >= 0) {
			t.Errorf("%+v: answer %+v", c, got)
		}
	}
}
