package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/segments/batch"
)

// FuzzDecodeProduce: the decoder never panics, takes what kmsg takes, and finds the same in it;
// kmsg alone also takes nonsense that the decoder refuses: negative lengths, and more tagged fields
// than there are bytes.
func FuzzDecodeProduce(f *testing.F) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for version := int16(3); version <= produceTopicIDs; version++ {
		for range 5 {
			req := kmsg.NewPtrProduceRequest()
			req.Version = version
			Randomise(reflect.ValueOf(req).Elem(), rnd)
			f.Add(version, req.AppendTo(nil))
		}
	}
	var known shapes
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 3 || version > produceTopicIDs {
			return
		}
		got, err := decodeProduce(version, body)
		_, _, shaped := known.check(int16(kmsg.Produce), version, body)
		if err != nil && shaped == nil {
			t.Fatalf("refused what has the shape of a request: %v", err)
		}
		want := kmsg.NewPtrProduceRequest()
		want.Version = version
		if err != nil || shaped != nil || want.ReadFrom(body) != nil {
			return
		}
		compareProduce(t, got, want)
	})
}

func compareProduce(t *testing.T, got produceRequest, want *kmsg.ProduceRequest) {
	t.Helper()
	if got.Acks != want.Acks || got.TimeoutMillis != want.TimeoutMillis ||
		(got.TransactionalID != nil) != (want.TransactionID != nil) ||
		len(got.Topics) != len(want.Topics) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i, topic := range want.Topics {
		if string(got.Topics[i].Name) != topic.Topic || got.Topics[i].ID != topic.TopicID ||
			len(got.Topics[i].Partitions) != len(topic.Partitions) {
			t.Fatalf("topic %d: got %+v, want %+v", i, got.Topics[i], topic)
		}
		for j, p := range topic.Partitions {
			if q := got.Topics[i].Partitions[j]; q.Index != p.Partition || !bytes.Equal(q.Records, p.Records) {
				t.Fatalf("topic %d: got %+v, want %+v", i, q, p)
			}
		}
	}
}

// BenchmarkDecodeProduce is a request of 12 partitions.
func BenchmarkDecodeProduce(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.Version = produceTopicIDs
	topic := kmsg.ProduceRequestTopic{TopicID: [16]byte{1}}
	for i := range int32(12) {
		records, err := batch.Build([]batch.Record{{Value: fmt.Append(nil, i)}}, batch.NoProducer(batch.None))
		if err != nil {
			b.Fatal(err)
		}
		topic.Partitions = append(topic.Partitions, kmsg.ProduceRequestTopicPartition{Partition: i, Records: records})
	}
	req.Topics = []kmsg.ProduceRequestTopic{topic}
	body := req.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeProduce(req.Version, body); err != nil {
			b.Fatal(err)
		}
	}
}
