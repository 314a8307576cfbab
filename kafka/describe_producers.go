package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/segments"
)

// DescribeProducers, version 0, as Kafka 4. Any node serves every partition. The producers are the
// idempotent ones that the partition remembers, and those of open transactions. There is no
// coordinator epoch.
func init() {
	register(
		0,
		0,
		describeProducers,
		rules{needs: []access.Need{access.Read.On(access.Topic)}, quota: access.Requests},
	)
}

func describeProducers(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeProducersRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	seen := map[topicPartition]bool{}
	for _, t := range req.Topics {
		topic := kmsg.NewDescribeProducersResponseTopic()
		topic.Topic = t.Topic
		refused := from.may(access.Read, access.Topic, t.Topic)
		for _, number := range t.Partitions {
			name := topicPartition{t.Topic, number}
			topic.Partitions = append(topic.Partitions, s.producersOf(name, refused, seen[name]))
			seen[name] = true
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

// producersOf answers for one partition, unless the request has asked for it before: small requests
// must not have huge answers.
func (s *Server) producersOf(name topicPartition, refused *refusal,
	before bool) kmsg.DescribeProducersResponseTopicPartition {
	a := kmsg.NewDescribeProducersResponseTopicPartition()
	a.Partition = name.partition
	var at segments.Partition
	switch {
	case refused != nil:
	case before:
		refused = refuse(
			kerr.InvalidRequest,
			"the request names partition %d of topic %q more than once",
			name.partition,
			name.topic,
		)
	default:
		at, _, refused = s.readablePartition(name.topic, name.partition, -1)
	}
	if refused != nil {
		a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
		return a
	}
	view := s.opts.Node.View()
	open := map[int64]int64{}
	for _, t := range view.OpenTransactions(at) {
		open[t.ProducerID] = t.FirstOffset
	}
	for _, known := range view.Producers(at) {
		producer := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		producer.ProducerID, producer.ProducerEpoch = known.ProducerID, int32(known.Epoch)
		producer.LastSequence, producer.LastTimestamp = known.LastSequence, known.LastTimestamp
		producer.CoordinatorEpoch, producer.CurrentTxnStartOffset = -1, -1
		if first, is := open[known.ProducerID]; is {
			producer.CurrentTxnStartOffset = first
		}
		a.ActiveProducers = append(a.ActiveProducers, producer)
	}
	return a
}
