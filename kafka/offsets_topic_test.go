package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
)

const offsetsTopic = "__consumer_offsets"

// Commits can be read as Kafka encodes them: from the beginning the newest of each group and
// partition, from the end each that comes, and what is deleted.
func TestCommitsAreReadable(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log", 2)
	admin := kadm.NewClient(f.client(t))
	commit := func(group string, partition int32, offset int64) {
		t.Helper()
		var o kadm.Offsets
		o.AddOffset("log", partition, offset, -1)
		if err := admin.CommitAllOffsets(t.Context(), group, o); err != nil {
			t.Fatal(err)
		}
	}
	commit("a", 0, 1)
	commit("a", 0, 5)
	commit("a", 1, 6)
	commit("b", 0, 7)
	share := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	share.GroupID = "share"
	share.Topics = []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: "log",
		Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{}}}}
	altered := ask[*kmsg.AlterShareGroupOffsetsResponse](t, f, share)
	wantCode(t, "altering a share group", altered.Topics[0].Partitions[0].ErrorCode, nil)
	reader := f.client(t, kgo.ConsumeTopics(offsetsTopic))
	got := map[kmsg.OffsetCommitKey]int64{}
	groups := map[string]bool{}
	at := int64(-1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	until := func(what string, done func() bool) {
		t.Helper()
		for !done() {
			fetches := reader.PollFetches(ctx)
			if err := fetches.Err0(); err != nil {
				t.Fatalf("%s: %v, with %v", what, err, got)
			}
			fetches.EachError(func(_ string, _ int32, err error) { t.Fatal(err) })
			fetches.EachRecord(func(r *kgo.Record) {
				if r.Offset <= at {
					t.Errorf("offset %d behind %d", r.Offset, at)
				}
				at = r.Offset
				key, name := kmsg.NewOffsetCommitKey(), kmsg.GroupMetadataKey{}
				if r.Key[1] == 2 {
					if err := name.ReadFrom(r.Key); err != nil || r.Value != nil {
						t.Errorf("key %x: %v, value %x", r.Key, err, r.Value)
					}
					groups[name.Group] = true
					return
				}
				if err := key.ReadFrom(r.Key); err != nil || key.Version != 1 || key.Topic != "log" {
					t.Errorf("key %x is %+v: %v", r.Key, key, err)
				}
				if r.Value == nil {
					delete(got, key)
					return
				}
				value := kmsg.NewOffsetCommitValue()
				if err := value.ReadFrom(r.Value); err != nil || value.Version != 3 || value.LeaderEpoch != -1 {
					t.Errorf("value %x is %+v: %v", r.Value, value, err)
				}
				got[key] = value.Offset
			})
		}
	}
	key := func(group string, partition int32) kmsg.OffsetCommitKey {
		return kmsg.OffsetCommitKey{Version: 1, Group: group, Topic: "log", Partition: partition}
	}
	until("from the beginning", func() bool { return len(got) == 3 })
	if got[key("a", 0)] != 5 || got[key("a", 1)] != 6 || got[key("b", 0)] != 7 {
		t.Errorf("commits %v", got)
	}
	commit("b", 0, 8)
	until("a commit", func() bool { return got[key("b", 0)] == 8 })
	commit("b", 0, 3)
	until("one that goes back", func() bool { return got[key("b", 0)] == 3 })
	if _, err := admin.DeleteGroup(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	until("a deleted group", func() bool { return len(got) == 2 && groups["b"] })
	if _, err := admin.DeleteTopic(t.Context(), "log"); err != nil {
		t.Fatal(err)
	}
	until("a deleted topic, and a group that had nothing else", func() bool { return len(got) == 0 && groups["a"] })
}

// Internal topics are described and read, and neither created, changed, written nor deleted.
func TestInternalTopics(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log", 1)
	cl := f.client(t)
	admin := kadm.NewClient(cl)
	all := func() []kmsg.MetadataResponseTopic {
		return ask[*kmsg.MetadataResponse](t, f, &kmsg.MetadataRequest{Version: 12}).Topics
	}
	if topics := all(); len(topics) != 1 {
		t.Fatalf("topics without groups: %+v", topics)
	}
	ends := func(timestamp int64) int64 {
		t.Helper()
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version = 7
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: offsetsTopic,
			Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: timestamp}, {Partition: 1, Timestamp: -1}}}}
		got := ask[*kmsg.ListOffsetsResponse](t, f, req).Topics[0].Partitions
		wantCode(t, "a partition", got[0].ErrorCode, nil)
		wantCode(t, "another partition", got[1].ErrorCode, kerr.UnknownTopicOrPartition)
		return got[0].Offset
	}
	if from, end, newest := ends(-2), ends(-1), ends(-3); from != 0 || end != 0 || newest != -1 {
		t.Errorf("an empty log is from %d to %d, newest record %d", from, end, newest)
	}
	before := time.Now().UnixMilli()
	var o kadm.Offsets
	o.AddOffset("log", 0, 0, -1)
	if err := admin.CommitAllOffsets(t.Context(), "group", o); err != nil {
		t.Fatal(err)
	}
	if topics := all(); len(topics) != 2 || *topics[1].Topic != offsetsTopic || len(topics[1].Partitions) != 1 ||
		!topics[1].IsInternal {
		t.Errorf("topics %+v", topics)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for end := ends(-1); end == 0; end = ends(-1) { // by the next look
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the commit does not show")
		}
	}
	hour := time.Hour.Milliseconds()
	if end, newest, first := ends(-1), ends(-3), ends(before-hour); newest != end-1 || first != newest {
		t.Errorf("the end is %d, the newest record at %d, the first at %d", end, newest, first)
	}
	producers, err := admin.DescribeProducers(t.Context(), kadm.TopicsSet{offsetsTopic: {0: {}}})
	if p := producers[offsetsTopic].Partitions[0]; err != nil || p.Err != nil || len(p.ActiveProducers) > 0 {
		t.Errorf("producers %+v, %v", p, err)
	}
	var own kadm.Offsets
	own.AddOffset(offsetsTopic, 0, 1<<40, -1)
	if err := admin.CommitAllOffsets(t.Context(), "watcher", own); err != nil {
		t.Errorf("a group that reads the topic cannot commit: %v", err)
	}
	if got, err := admin.FetchOffsets(t.Context(), "watcher"); err != nil || got[offsetsTopic][0].At != 1<<40 {
		t.Errorf("it has committed %v, %v", got, err)
	}
	reads, assigned := context.WithCancel(ctx)
	f.client(t, kgo.ConsumerGroup("reader"), kgo.ConsumeTopics(offsetsTopic), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned() }))
	<-reads.Done()
	subscribed, err := admin.DeleteOffsets(t.Context(), "reader", kadm.TopicsSet{offsetsTopic: {0: {}}})
	if err := subscribed[offsetsTopic][0]; !errors.Is(err, kerr.GroupSubscribedToTopic) {
		t.Errorf("deleting the offset of a topic that the group reads: %v", err)
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), offsetsTopic)
	if err != nil || configs[0].Err != nil {
		t.Errorf("configs %v: %v", configs, err)
	}
	byID := kmsg.NewPtrDeleteTopicsRequest()
	byID.Version, byID.Topics = 6, []kmsg.DeleteTopicsRequestTopic{{TopicID: all()[1].TopicID}}
	wantCode(t, "DeleteTopics by id", ask[*kmsg.DeleteTopicsResponse](t, f, byID).Topics[0].ErrorCode,
		kerr.InvalidTopicException)
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.Version, add.TransactionalID = 3, "transactional"
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: offsetsTopic, Partitions: []int32{0}}}
	wantCode(t, "AddPartitionsToTxn", ask[*kmsg.AddPartitionsToTxnResponse](t, f, add).Topics[0].Partitions[0].ErrorCode,
		kerr.InvalidTopicException)
	listed := ask[*kmsg.ListConfigResourcesResponse](t, f, &kmsg.ListConfigResourcesRequest{Version: 1,
		ResourceTypes: []int8{int8(kmsg.ConfigResourceTypeTopic)}})
	if n := len(listed.ConfigResources); n != 2 {
		t.Errorf("ListConfigResources: %+v", listed.ConfigResources)
	}
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Version, elect.Topics = 2, []kmsg.ElectLeadersRequestTopic{{Topic: offsetsTopic, Partitions: []int32{0}}}
	wantCode(t, "ElectLeaders", ask[*kmsg.ElectLeadersResponse](t, f, elect).Topics[0].Partitions[0].ErrorCode,
		kerr.ElectionNotNeeded)
	for _, name := range []string{offsetsTopic, "__transaction_state"} {
		deleted, _ := admin.DeleteTopic(t.Context(), name)
		grown, _ := admin.UpdatePartitions(t.Context(), 2, name)
		var all kadm.Offsets
		all.AddOffset(name, 0, -1, -1)
		trimmed, _ := admin.DeleteRecords(t.Context(), all)
		for what, err := range map[string]error{"CreatePartitions": grown[name].Err, "DeleteTopics": deleted.Err,
			"DeleteRecords": trimmed[name][0].Err,
			"Produce":       cl.ProduceSync(t.Context(), &kgo.Record{Topic: name, Value: []byte("v")}).FirstErr()} {
			if !errors.Is(err, kerr.InvalidTopicException) {
				t.Errorf("%s of %s: %v", what, name, err)
			}
		}
	}
}

// Only a client that may read the topic reads what groups commit.
func TestCommitsNeedPermission(t *testing.T) {
	f := startFirn(t, kafka.Options{Authorizer: underRules{}})
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionEpoch = 12, -1
	req.Topics = []kmsg.FetchRequestTopic{{Topic: offsetsTopic, Partitions: []kmsg.FetchRequestTopicPartition{
		{PartitionMaxBytes: 1 << 20, CurrentLeaderEpoch: -1}}}}
	got := ask[*kmsg.FetchResponse](t, f, req).Topics[0].Partitions[0]
	wantCode(t, "Fetch", got.ErrorCode, kerr.TopicAuthorizationFailed)
	list := kmsg.NewPtrListOffsetsRequest()
	list.Version, list.Topics = 7, []kmsg.ListOffsetsRequestTopic{{Topic: offsetsTopic,
		Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1}}}}
	wantCode(t, "ListOffsets", ask[*kmsg.ListOffsetsResponse](t, f, list).Topics[0].Partitions[0].ErrorCode,
		kerr.TopicAuthorizationFailed)
}

// Of an internal topic, too, an offset that waits for its transaction is not told to who asks for
// stable ones.
func TestUnstableOffsetOfInternalTopic(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.Version, begin.TransactionalID, begin.TransactionTimeoutMillis = 4, new("copy"), 60_000
	producer := ask[*kmsg.InitProducerIDResponse](t, f, begin)
	wantCode(t, "InitProducerID", producer.ErrorCode, nil)
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.Version, add.TransactionalID, add.Group = 3, "copy", "group"
	add.ProducerID, add.ProducerEpoch = producer.ProducerID, producer.ProducerEpoch
	wantCode(t, "AddOffsetsToTxn", ask[*kmsg.AddOffsetsToTxnResponse](t, f, add).ErrorCode, nil)
	send := kmsg.NewPtrTxnOffsetCommitRequest()
	send.Version, send.TransactionalID, send.Group, send.Generation = 3, "copy", "group", -1
	send.ProducerID, send.ProducerEpoch = producer.ProducerID, producer.ProducerEpoch
	send.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: offsetsTopic,
		Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 5, LeaderEpoch: -1}}}}
	sent := ask[*kmsg.TxnOffsetCommitResponse](t, f, send)
	wantCode(t, "TxnOffsetCommit", sent.Topics[0].Partitions[0].ErrorCode, nil)
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Version, fetch.RequireStable = 9, true
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "group", MemberEpoch: -1,
		Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: offsetsTopic, Partitions: []int32{0}}}}}
	got := ask[*kmsg.OffsetFetchResponse](t, f, fetch).Groups[0].Topics[0].Partitions[0]
	wantCode(t, "OffsetFetch", got.ErrorCode, kerr.UnstableOffsetCommit)
}
