package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeProducers, version 0, as Kafka 4. Any node serves every partition. The producers are the idempotent ones that the
// partition remembers; there are no transactions, so none has one open, and no coordinator epoch.
func init() { register(0, 0, describeProducers) }

func describeProducers(_ context.Context, s *Server, _ *peer, req *kmsg.DescribeProducersRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewDescribeProducersResponseTopic()
		topic.Topic = t.Topic
		for _, number := range t.Partitions {
			topic.Partitions = append(topic.Partitions, s.producersOf(t.Topic, number))
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

func (s *Server) producersOf(topic string, number int32) kmsg.DescribeProducersResponseTopicPartition {
	a := kmsg.NewDescribeProducersResponseTopicPartition()
	a.Partition = number
	p, _, refused := s.partition(topic, number, -1)
	if refused != nil {
		a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
		return a
	}
	for _, known := range s.opts.Node.View().Producers(p) {
		producer := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		producer.ProducerID, producer.ProducerEpoch = known.ProducerID, int32(known.Epoch)
		producer.LastSequence, producer.LastTimestamp = known.LastSequence, known.LastTimestamp
		producer.CoordinatorEpoch, producer.CurrentTxnStartOffset = -1, -1
		a.ActiveProducers = append(a.ActiveProducers, producer)
	}
	return a
}
