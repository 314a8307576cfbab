package kafka

import (
	"bytes"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
)

// What is written by hand is what kmsg reads, in every version.
func TestFetchResponseIsReadByKmsg(t *testing.T) {
	for version := int16(4); version <= 18; version++ {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.IsolationLevel = version, int8(version%2)
		req.Topics = []kmsg.FetchRequestTopic{
			{
				Topic:      "a",
				TopicID:    [16]byte{1},
				Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 7}, {Partition: 8}, {Partition: 9}},
			},
			{Topic: "empty", TopicID: [16]byte{2}},
			{Topic: "b", TopicID: [16]byte{3}, Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 0}}},
		}
		resp := newFetchResponse(req)
		resp.committed = version%2 == 1
		resp.topics = []fetchTopic{{"a", [16]byte{1}, 3}, {"empty", [16]byte{2}, 0}, {"b", [16]byte{3}, 1}}
		resp.partitions = []fetchPartition{
			{
				highWatermark: 100,
				lastStable:    90,
				logStart:      3,
				aborted:       []coordinator.AbortedTransaction{{ProducerID: 7, FirstOffset: 8, LastOffset: 9}},
				batches:       [][]byte{[]byte("hello "), []byte("world")},
				bytes:         11,
			},
			{highWatermark: 5},
			{refused: refuse(kerr.OffsetOutOfRange, "")},
			{highWatermark: 1, batches: [][]byte{bytes.Repeat([]byte("x"), 300)}, bytes: 300},
		}
		body := slices.Concat(resp.appendBuffers([]byte("head"))...)
		got := kmsg.NewPtrFetchResponse()
		got.Version = version
		if err := got.ReadFrom(body[len("head"):]); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if again := got.AppendTo([]byte("head")); !bytes.Equal(again, body) {
			t.Fatalf("version %d: kmsg writes what it has read otherwise:\n%x\n%x", version, again, body)
		}
		p := got.Topics[0].Partitions
		if string(p[0].RecordBatches) != "hello world" || p[0].HighWatermark != 100 || p[0].LastStableOffset != 90 ||
			p[2].ErrorCode != kerr.OffsetOutOfRange.Code {
			t.Errorf("version %d: %+v", version, p)
		}
		aborted := p[0].AbortedTransactions
		if (aborted != nil) != resp.committed ||
			resp.committed && (len(aborted) != 1 || aborted[0].ProducerID != 7 || aborted[0].FirstOffset != 8) {
			t.Errorf(
				"version %d: aborted transactions are %v; read_committed is %v",
				version,
				aborted,
				resp.committed,
			)
		}
		if last := got.Topics[2].Partitions[0]; len(last.RecordBatches) != 300 {
			t.Errorf("version %d: %d bytes", version, len(last.RecordBatches))
		}
	}
}
