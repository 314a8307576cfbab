package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// ListTransactions, versions 0 to 2, as Kafka 4: there are none. States that Kafka does not know
// are named in the answer.
func init() {
	register(0, 2, listTransactions, rules{
		needs: []access.Need{access.Describe.On(access.TransactionalID)}, quota: access.Requests})
}

// transactionStates are Kafka's.
var transactionStates = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort",
	"Dead", "PrepareEpochFence"}

func listTransactions(_ context.Context, _ *Server, from *peer,
	req *kmsg.ListTransactionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	if !from.asks.MayWithAny(access.Describe, access.TransactionalID) {
		return resp, nil // who may see none is told nothing else
	}
	for _, state := range req.StateFilters {
		if !slices.Contains(transactionStates, state) && !slices.Contains(resp.UnknownStateFilters, state) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, state)
		}
	}
	return resp, nil
}
