package kafka

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Whatever number a client commits is what it gets back, as with Kafka. Inside, a deletion is no
// number.
func TestAnyOffsetIsCommitted(t *testing.T) {
	f := startFirn(t, Options{})
	f.createTopic(t, "log", 1)
	for _, offset := range []int64{-1, -2, math.MinInt64, math.MaxInt64, 0, 7} {
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.Generation = 8, "g", -1
		commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "log", Partitions: []kmsg.OffsetCommitRequestTopicPartition{
			{Offset: offset, LeaderEpoch: math.MaxInt32, Metadata: new("m")}}}}
		answer := ask[*kmsg.OffsetCommitResponse](t, f, commit).Topics[0].Partitions[0]
		wantCode(t, "a commit", answer.ErrorCode, nil)
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version, fetch.Group = 7, "g"
		got := ask[*kmsg.OffsetFetchResponse](t, f, fetch).Topics[0].Partitions[0]
		if got.Offset != offset || got.LeaderEpoch != math.MaxInt32 || *got.Metadata != "m" {
			t.Errorf("committed %d, fetched %+v", offset, got)
		}
	}
}

// A kafkajs consumer that fell out of range comes back, and its admin resets offsets.
func TestKafkaJSComesBackIntoRange(t *testing.T) {
	f := startFirn(t, Options{})
	f.createTopic(t, "log", 1)
	for range 20 { // one by one: a batch of them franz-go would compress in a way that kafkajs cannot read
		f.produce(t, "log", 0, time.Now(), "x")
	}
	deleted := kadm.Offsets{}
	deleted.Add(kadm.Offset{Topic: "log", At: 12})
	if _, err := f.admin(t).DeleteRecords(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	var lines []string
	p := startProgram(t, func(line string) { lines = append(lines, line) }, "node", "../test/kafkajs/outofrange.js",
		f.address, "range", "log", "3")
	<-p.done
	if want := []string{"set 3", "read 12", "reset -2"}; !slices.Equal(lines, want) {
		t.Errorf("kafkajs said %q, want %q", lines, want)
	}
}

// Members of groups that say too much are told so, and keep their connection.
func TestLargeGroupRequestsGetErrors(t *testing.T) {
	f := startFirn(t, Options{Limits: Limits{MaxAdminRequestBytes: 4096}})
	f.createTopic(t, "log", 1)
	large := make([]byte, 5000)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 9, "g", -1
	for range 300 {
		commit.Topics = append(commit.Topics, kmsg.OffsetCommitRequestTopic{Topic: "log",
			Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}})
	}
	for _, topic := range ask[*kmsg.OffsetCommitResponse](t, f, commit).Topics {
		wantCode(t, "OffsetCommit", topic.Partitions[0].ErrorCode, kerr.InvalidCommitOffsetSize)
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group = 5, "g"
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: "m", MemberAssignment: large}}
	wantCode(t, "SyncGroup", ask[*kmsg.SyncGroupResponse](t, f, sync).ErrorCode, kerr.GroupMaxSizeReached)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.SessionTimeoutMillis, join.ProtocolType = 9, "g", 10_000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: large}}
	wantCode(t, "JoinGroup", ask[*kmsg.JoinGroupResponse](t, f, join).ErrorCode, kerr.GroupMaxSizeReached)
}
