package kafka_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/kafka"
)

// Whatever number a client commits is what it gets back, as with Kafka: in every version, and over
// transactions. Inside, a deletion is no number.
func TestAnyOffsetIsCommitted(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "log", 1)
	cl := f.client(t, kgo.TransactionalID("writer"))
	for i, offset := range []int64{-1, -2, math.MinInt64, math.MaxInt64, 0, 7} {
		for version := int16(2); version <= 10; version++ {
			group := fmt.Sprint("g", version)
			commit := kmsg.NewPtrOffsetCommitRequest()
			commit.Version, commit.Group, commit.Generation = version, group, -1
			commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "log", TopicID: topic.ID,
				Partitions: []kmsg.OffsetCommitRequestTopicPartition{
					{Offset: offset, LeaderEpoch: math.MaxInt32, Metadata: new("m")}}}}
			answer := ask[*kmsg.OffsetCommitResponse](t, f, commit).Topics[0].Partitions[0]
			wantCode(t, "a commit", answer.ErrorCode, nil)
			wantOffset(t, f, group, topic, offset)
		}
		begin(t, cl)
		write(t, cl, "log", "a record")
		group := fmt.Sprint("of a transaction", i)
		send := kmsg.NewPtrTxnOffsetCommitRequest()
		send.Version, send.Group, send.TransactionalID = 5, group, "writer"
		send.ProducerID, send.ProducerEpoch, _ = cl.ProducerID(t.Context())
		send.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "log",
			Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{
				{Offset: offset, LeaderEpoch: math.MaxInt32, Metadata: new("m")}}}}
		sent := ask[*kmsg.TxnOffsetCommitResponse](t, f, send).Topics[0].Partitions[0]
		wantCode(t, "a transaction's commit", sent.ErrorCode, nil)
		end(t, cl, kgo.TryCommit)
		wantOffset(t, f, group, topic, offset)
	}
}

// wantOffset fetches what a group has committed for the first partition of a topic, in every
// version.
func wantOffset(t *testing.T, f *firn, group string, topic *coordinator.Topic, want int64) {
	t.Helper()
	for version := int16(1); version <= 10; version++ {
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version, fetch.Group = version, group
		fetch.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic.Name, Partitions: []int32{0}}}
		fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1,
			Topics: []kmsg.OffsetFetchRequestGroupTopic{
				{Topic: topic.Name, TopicID: topic.ID, Partitions: []int32{0}}}}}
		resp := ask[*kmsg.OffsetFetchResponse](t, f, fetch)
		var offset int64
		var metadata *string
		if version < 8 {
			p := resp.Topics[0].Partitions[0]
			offset, metadata = p.Offset, p.Metadata
		} else {
			p := resp.Groups[0].Topics[0].Partitions[0]
			offset, metadata = p.Offset, p.Metadata
		}
		if offset != want || *metadata != "m" {
			t.Errorf("%s, version %d: committed %d, fetched %d with %q", group, version, want, offset, *metadata)
		}
	}
}

// A kafkajs consumer that fell out of range comes back, and its admin resets offsets.
func TestKafkaJSComesBackIntoRange(t *testing.T) {
	f := startFirn(t, kafka.Options{})
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
	f := startFirn(t, kafka.Options{Limits: kafka.Limits{MaxAdminRequestBytes: 4096}})
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
