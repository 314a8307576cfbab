package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// AddPartitionsToTxn, versions 0 to 3, as Kafka 4: partitions are added all or none. Later versions
// are what Kafka's brokers say to each other.
func init() {
	register(0, 3, addPartitionsToTxn, rules{
		needs: []access.Need{
			access.Write.On(access.TransactionalID),
			access.Write.On(access.Topic),
		}, quota: access.Requests})
}

func addPartitionsToTxn(ctx context.Context, s *Server, from *peer,
	req *kmsg.AddPartitionsToTxnRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	add := coordinator.AddToTransaction{ID: req.TransactionalID,
		Producer: coordinator.Producer{ProducerID: req.ProducerID, Epoch: req.ProducerEpoch}}
	unknown := false
	for _, t := range req.Topics {
		topic := kmsg.AddPartitionsToTxnResponseTopic{Topic: t.Topic}
		refused := from.may(access.Write, access.Topic, t.Topic)
		for _, number := range t.Partitions {
			p := kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: number}
			at, err := segments.Partition{}, refused
			if err == nil {
				at, _, err = s.partition(t.Topic, number, -1)
			}
			add.Partitions = append(add.Partitions, at)
			p.ErrorCode, unknown = err.code(), unknown || err != nil
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	all := func(code int16) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; p.ErrorCode == 0 {
					p.ErrorCode = code
				}
			}
		}
	}
	if unknown {
		all(kerr.OperationNotAttempted.Code)
		return resp, nil
	}
	all(
		s.transaction(ctx, from, req.TransactionalID, fencedAs(req.Version, producerFencedOf),
			func(ctx context.Context) error {
				return s.opts.Transactions.Add(ctx, add)
			}).
			code(),
	)
	return resp, nil
}
