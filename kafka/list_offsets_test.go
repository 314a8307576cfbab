package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What ListOffsets takes in the place of a timestamp.
const (
	latestOffset        = -1
	earliestOffset      = -2
	maxTimestampOffset  = -3
	earliestLocalOffset = -4
	latestTieredOffset  = -5
	earliestPendingCopy = -6
)

// listOffsetOf asks for one offset.
func listOffsetOf(t *testing.T, f *firn, version int16, topic string, partition int32, timestamp int64,
	epoch int32) kmsg.ListOffsetsResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID, req.TimeoutMillis = version, -1, 5000
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, timestamp, epoch
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	return ask[*kmsg.ListOffsetsResponse](t, f, req).Topics[0].Partitions[0]
}

func TestListOffsets(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "events", 2)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	ms := at.UnixMilli()
	f.produce(t, "events", 0, at, "0", "1", "2", "3")                   // at ms to ms+3
	f.produce(t, "events", 0, at.Add(-time.Minute), "4", "5")           // older ones, written later
	f.produce(t, "events", 0, at.Add(10*time.Millisecond), "6", "7")    // ms+10, ms+11
	f.produce(t, "events", 0, at.Add(time.Millisecond), "8", "9", "10") // ms+1 to ms+3

	for _, c := range []struct {
		timestamp         int64
		offset, stampedAt int64
	}{
		{earliestOffset, 0, -1},
		{earliestLocalOffset, 0, -1},
		{latestOffset, 11, -1},
		{latestTieredOffset, -1, -1},
		{earliestPendingCopy, -1, -1},
		{maxTimestampOffset, 7, ms + 11},
		{0, 0, ms},
		{ms, 0, ms},
		{ms + 2, 2, ms + 2},
		{ms + 4, 6, ms + 10},
		{ms + 11, 7, ms + 11},
		{ms + 12, -1, -1},
	} {
		got := listOffsetOf(t, f, 11, "events", 0, c.timestamp, 0)
		epoch := int32(0)
		if c.offset == -1 {
			epoch = -1
		}
		if got.ErrorCode != 0 || got.Offset != c.offset || got.Timestamp != c.stampedAt || got.LeaderEpoch != epoch {
			t.Errorf("timestamp %d: %+v, want offset %d, timestamp %d, epoch %d", c.timestamp, got, c.offset, c.stampedAt, epoch)
		}
	}
	for _, c := range []struct{ timestamp, offset int64 }{
		{earliestOffset, 0}, {latestOffset, 0}, {maxTimestampOffset, -1}, {0, -1},
	} {
		if got := listOffsetOf(t, f, 7, "events", 1, c.timestamp, -1); got.ErrorCode != 0 || got.Offset != c.offset {
			t.Errorf("timestamp %d of an empty partition: %+v, want offset %d", c.timestamp, got, c.offset)
		}
	}
}

func TestListOffsetsRefuses(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "events", 1)
	for _, c := range []struct {
		version   int16
		topic     string
		partition int32
		timestamp int64
		epoch     int32
		want      *kerr.Error
	}{
		{11, "events", 0, latestOffset, 0, nil},
		{11, "events", 0, latestOffset, 1, kerr.UnknownLeaderEpoch},
		{11, "events", 0, latestOffset, -2, kerr.FencedLeaderEpoch},
		{11, "events", 1, latestOffset, -1, kerr.UnknownTopicOrPartition},
		{11, "events", -1, latestOffset, -1, kerr.UnknownTopicOrPartition},
		{11, "others", 0, latestOffset, -1, kerr.UnknownTopicOrPartition},
		{11, "events", 0, -7, -1, kerr.UnsupportedVersion},
		{6, "events", 0, maxTimestampOffset, -1, kerr.UnsupportedVersion},
		{7, "events", 0, earliestLocalOffset, -1, kerr.UnsupportedVersion},
		{8, "events", 0, latestTieredOffset, -1, kerr.UnsupportedVersion},
		{10, "events", 0, earliestPendingCopy, -1, kerr.UnsupportedVersion},
	} {
		got := listOffsetOf(t, f, c.version, c.topic, c.partition, c.timestamp, c.epoch)
		wantCode(t, fmt.Sprintf("%+v", c), got.ErrorCode, c.want)
		if c.want != nil && (got.Offset != -1 || got.Timestamp != -1) {
			t.Errorf("%+v: offset %d, timestamp %d beside an error", c, got.Offset, got.Timestamp)
		}
	}
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = latestOffset
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.Topics = 5, []kmsg.ListOffsetsRequestTopic{{Topic: "events",
		Partitions: []kmsg.ListOffsetsRequestTopicPartition{p, p}}}
	for _, got := range ask[*kmsg.ListOffsetsResponse](t, f, req).Topics[0].Partitions {
		wantCode(t, "listed twice", got.ErrorCode, kerr.InvalidRequest)
	}
}
