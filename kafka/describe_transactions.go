package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DescribeTransactions, version 0, as Kafka 4: there are none, so that every id is
// TRANSACTIONAL_ID_NOT_FOUND.
func init() {
	register(0, 0, describeTransactions, rules{
		needs: []access.Need{access.Describe.On(access.TransactionalID)}, quota: access.Requests})
}

func describeTransactions(_ context.Context, _ *Server, from *peer,
	req *kmsg.DescribeTransactionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		a := kmsg.NewDescribeTransactionsResponseTransactionState()
		a.TransactionalID, a.ErrorCode = id, kerr.TransactionalIDNotFound.Code
		if refused := from.may(access.Describe, access.TransactionalID, id); refused != nil {
			a.ErrorCode = refused.code()
		}
		resp.TransactionStates = append(resp.TransactionStates, a)
	}
	return resp, nil
}
