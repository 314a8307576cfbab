package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/transactions"
)

// DescribeTransactions, version 0, as Kafka 4. Every node knows every transactional id. Of the
// topics of a transaction a client gets those that it may describe.
func init() {
	register(0, 0, describeTransactions, rules{
		needs: []access.Need{
			access.Describe.On(access.TransactionalID),
			access.Describe.On(access.Topic),
		}, quota: access.Requests})
}

func describeTransactions(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeTransactionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		a := kmsg.NewDescribeTransactionsResponseTransactionState()
		a.TransactionalID, a.StartTimestamp = id, -1
		if refused := from.may(access.Describe, access.TransactionalID, id); refused != nil {
			a.ErrorCode = refused.code()
		} else if t, known := s.opts.Transactions.Of(id); known {
			s.describeTransaction(from, &t, &a)
		} else {
			a.ErrorCode = kerr.TransactionalIDNotFound.Code
		}
		resp.TransactionStates = append(resp.TransactionStates, a)
	}
	return resp, nil
}

func (s *Server) describeTransaction(from *peer, t *coordinator.Transaction,
	a *kmsg.DescribeTransactionsResponseTransactionState) {
	a.State, a.TimeoutMillis = string(transactions.StateOf(t)), t.TimeoutMillis
	a.ProducerID, a.ProducerEpoch = t.ProducerID, t.Epoch
	if since := t.Since(); since != 0 {
		a.StartTimestamp = since
	}
	for topic, indexes := range byTopic(transactions.PartitionsOf(t)) {
		known := s.opts.Node.View().TopicByID(topic)
		if known == nil || !from.asks.May(access.Describe, access.Topic, known.Name) {
			continue
		}
		a.Topics = append(
			a.Topics,
			kmsg.DescribeTransactionsResponseTransactionStateTopic{Topic: known.Name, Partitions: indexes},
		)
	}
}
