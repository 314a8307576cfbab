package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// fetchRaw is a Fetch of partition 0 in the newest version that does not wait.
func fetchRaw(topic *coordinator.Topic, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.SessionEpoch = 18, 1, 1<<20, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topic.Name, TopicID: topic.ID,
		Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return req
}

func (f *firn) read(t testing.TB, req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	t.Helper()
	resp := ask[*kmsg.FetchResponse](t, f, req)
	wantCode(t, "fetch", resp.ErrorCode, nil)
	return resp.Topics[0].Partitions[0]
}

func TestFetchInEveryVersion(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	f.produce(t, "t", 0, time.Now(), "a", "b", "c")
	for version := int16(4); version <= 18; version++ {
		req := fetchRaw(topic, 1)
		req.Version = version
		got := f.read(t, req)
		wantCode(t, fmt.Sprintf("version %d", version), got.ErrorCode, nil)
		h, err := batch.Check(got.RecordBatches)
		if err != nil || h.BaseOffset != 0 || h.Records != 3 || got.HighWatermark != 3 || got.LastStableOffset != 3 {
			t.Errorf("version %d: %+v, error %v, high watermark %d", version, h, err, got.HighWatermark)
		}
	}
}

func TestFetchRefusals(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	f.produce(t, "t", 0, time.Now(), "a")
	part := func(r *kmsg.FetchRequest) *kmsg.FetchRequestTopicPartition { return &r.Topics[0].Partitions[0] }
	for name, test := range map[string]struct {
		change func(*kmsg.FetchRequest)
		want   *kerr.Error
	}{
		"beyond the end":     {func(r *kmsg.FetchRequest) { part(r).FetchOffset = 2 }, kerr.OffsetOutOfRange},
		"before the start":   {func(r *kmsg.FetchRequest) { part(r).FetchOffset = -1 }, kerr.OffsetOutOfRange},
		"unknown partition":  {func(r *kmsg.FetchRequest) { part(r).Partition = 1 }, kerr.UnknownTopicOrPartition},
		"negative partition": {func(r *kmsg.FetchRequest) { part(r).Partition = -7 }, kerr.UnknownTopicOrPartition},
		"unknown id":         {func(r *kmsg.FetchRequest) { r.Topics[0].TopicID[0]++ }, kerr.UnknownTopicID},
		"unknown name": {func(r *kmsg.FetchRequest) {
			r.Version, r.Topics[0].Topic = 12, "x"
		}, kerr.UnknownTopicOrPartition},
		"unknown leader epoch": {func(r *kmsg.FetchRequest) { part(r).CurrentLeaderEpoch = 1 }, kerr.UnknownLeaderEpoch},
		"known leader epoch":   {func(r *kmsg.FetchRequest) { part(r).CurrentLeaderEpoch = 0 }, nil},
		"at the end":           {func(r *kmsg.FetchRequest) { part(r).FetchOffset = 1 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			req := fetchRaw(topic, 0)
			req.MaxWaitMillis = 10
			test.change(req)
			wantCode(t, name, f.read(t, req).ErrorCode, test.want)
		})
	}
}

func TestFetchSessionsAreNotKept(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	f.produce(t, "t", 0, time.Now(), "a")
	for epoch, want := range map[int32]*kerr.Error{-1: nil, 0: nil, 1: kerr.FetchSessionIDNotFound} {
		req := fetchRaw(topic, 0)
		req.SessionEpoch = epoch
		resp := ask[*kmsg.FetchResponse](t, f, req)
		wantCode(t, fmt.Sprintf("session epoch %d", epoch), resp.ErrorCode, want)
		if resp.SessionID != 0 {
			t.Errorf("session id %d", resp.SessionID)
		}
	}
}

func TestFetchLimits(t *testing.T) {
	f := startFirn(t, kafka.Options{KeepPlain: true})
	topic := f.createTopic(t, "t", 2)
	value := strings.Repeat("x", 1000)
	for partition := range int32(2) {
		for range 3 {
			req := produceRaw(topic, build(t, batch.None, value))
			req.Topics[0].Partitions[0].Partition = partition
			wantCode(t, "produce", f.write(t, req).ErrorCode, nil)
		}
	}
	both := func(maxBytes, partitionMaxBytes int32) (n []int) {
		req := fetchRaw(topic, 0)
		req.MaxBytes = maxBytes
		second := req.Topics[0].Partitions[0]
		second.Partition = 1
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, second)
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = partitionMaxBytes
		}
		for _, p := range ask[*kmsg.FetchResponse](t, f, req).Topics[0].Partitions {
			wantCode(t, "fetch", p.ErrorCode, nil)
			batches := 0
			for _, err := range batch.All(p.RecordBatches) {
				if err != nil {
					t.Fatal(err)
				}
				batches++
			}
			n = append(n, batches)
		}
		return n
	}
	for _, test := range []struct {
		maxBytes, partitionMaxBytes int32
		first, second               int
	}{
		{1 << 20, 1 << 20, 3, 3},
		{1, 1, 1, 0}, // the first batch, although it is larger
		{0, -1, 1, 0},
		{1 << 20, 2500, 2, 2},
		{2500, 1 << 20, 2, 0},
		{3500, 2500, 2, 1},
	} {
		if got := both(test.maxBytes, test.partitionMaxBytes); got[0] != test.first || got[1] != test.second {
			t.Errorf("max bytes %d, of a partition %d: %v batches, want %d and %d", test.maxBytes, test.partitionMaxBytes, got,
				test.first, test.second)
		}
	}
}

// A fetch at the end waits until there is something, and is answered then and not before.
func TestFetchWaits(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	req := fetchRaw(topic, 0)
	req.MaxWaitMillis = 15_000
	answered := make(chan kmsg.FetchResponseTopicPartition)
	go func() { answered <- f.read(t, req) }()
	waitUntil(t, func() bool { return f.OpenConnections() > 0 })
	select {
	case got := <-answered:
		t.Fatalf("answered with nothing there: %+v", got)
	case <-time.After(50 * time.Millisecond):
	}
	f.produce(t, "t", 0, time.Now(), "a")
	if got := <-answered; len(got.RecordBatches) == 0 || got.HighWatermark != 1 {
		t.Errorf("%+v", got)
	}
	waitUntil(t, func() bool { return f.Answers().Used()+f.Answers().Own() == 0 })
}

// A fetch whose time is over is answered with what there is, and one whose server stops as well.
func TestFetchWaitEnds(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	f.produce(t, "t", 0, time.Now(), "a")
	req := fetchRaw(topic, 0)
	req.MinBytes, req.MaxWaitMillis = 1<<19, 30
	if got := f.read(t, req); len(got.RecordBatches) == 0 {
		t.Errorf("%+v", got)
	}
	waitUntil(t, func() bool { return f.Requests().Own() == 0 })
	nc := dial(t, f.address)
	req.MaxWaitMillis = 60_000
	if _, err := nc.Write(frame(req, 1)); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return f.Requests().Own() > 0 })
	f.stop()
	if _, err := readFrame(nc); err != nil {
		t.Errorf("no answer when the server stops: %v", err)
	}
}

func TestFetchOfADeletedTopicEnds(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	req := fetchRaw(topic, 0)
	req.MaxWaitMillis = 60_000
	answered := make(chan kmsg.FetchResponseTopicPartition)
	go func() { answered <- f.read(t, req) }()
	waitUntil(t, func() bool { return f.Requests().Own() > 0 })
	if _, err := f.admin(t).DeleteTopics(context.WithoutCancel(t.Context()), "t"); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got.ErrorCode != kerr.UnknownTopicOrPartition.Code && got.ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("%+v", got)
	}
	if _, ok := f.node.View().Partition(segments.Partition{Topic: topic.ID}); ok {
		t.Error("the partition is still there")
	}
}

// A topic or partition that there is not ends the wait of a Fetch only if there is no other, as in
// Kafka: one deleted topic of many would make a consumer ask again and again.
func TestFetchWaitsBesideWhatThereIsNot(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "log", 1)
	unknown := kmsg.FetchRequestTopic{TopicID: [16]byte{9},
		Partitions: []kmsg.FetchRequestTopicPartition{{CurrentLeaderEpoch: -1, PartitionMaxBytes: 1 << 20}}}
	beyond := kmsg.FetchRequestTopic{TopicID: topic.ID,
		Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 5, CurrentLeaderEpoch: -1, PartitionMaxBytes: 1 << 20}}}
	empty := kmsg.FetchRequestTopic{TopicID: topic.ID,
		Partitions: []kmsg.FetchRequestTopicPartition{{CurrentLeaderEpoch: -1, PartitionMaxBytes: 1 << 20}}}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.MaxWaitMillis = 18, 1, 1<<20, 15_000

	req.Topics = []kmsg.FetchRequestTopic{unknown, beyond}
	alone := ask[*kmsg.FetchResponse](t, f, req) // or else it takes 15 s
	wantCode(t, "an unknown topic", alone.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicID)
	wantCode(t, "an unknown partition", alone.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)

	req.Topics = []kmsg.FetchRequestTopic{unknown, empty, beyond}
	answers := make(chan *kmsg.FetchResponse)
	go func() { answers <- ask[*kmsg.FetchResponse](t, f, req) }()
	f.produce(t, "log", 0, time.Now(), "woken")
	got := <-answers
	wantCode(t, "an unknown topic beside others", got.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicID)
	if p := got.Topics[1].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
		t.Errorf("the fetch did not wait for records: %+v", p)
	}
}
