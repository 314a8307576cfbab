package kafka

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/transactions"
)

// ListTransactions, versions 0 to 2, as Kafka 4: of the transactional ids that this node looks
// after, since clients ask every node. States that Kafka does not know are named in the answer.
func init() {
	register(0, 2, listTransactions, rules{
		needs: []access.Need{access.Describe.On(access.TransactionalID)}, quota: access.Requests})
}

// transactionStates are Kafka's.
var transactionStates = []string{
	"Empty",
	"Ongoing",
	"PrepareCommit",
	"PrepareAbort",
	"CompleteCommit",
	"CompleteAbort",
	"Dead",
	"PrepareEpochFence",
}

func listTransactions(ctx context.Context, s *Server, from *peer,
	req *kmsg.ListTransactionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	if !from.asks.MayWithAny(access.Describe, access.TransactionalID) {
		return resp, nil // a client that may see none learns nothing else
	}
	for _, state := range req.StateFilters {
		if !slices.Contains(transactionStates, state) && !slices.Contains(resp.UnknownStateFilters, state) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, state)
		}
	}
	wanted, refused := s.transactionFilter(ctx, req)
	if refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	for _, t := range s.opts.Transactions.Mine() {
		if wanted(&t) && from.asks.May(access.Describe, access.TransactionalID, t.ID) {
			resp.TransactionStates = append(resp.TransactionStates, kmsg.ListTransactionsResponseTransactionState{
				TransactionalID: t.ID, ProducerID: t.ProducerID, TransactionState: string(transactions.StateOf(&t))})
		}
	}
	return resp, nil
}

// transactionFilter is what a request wants to see. Patterns are RE2's, in Kafka as here.
func (s *Server) transactionFilter(ctx context.Context,
	req *kmsg.ListTransactionsRequest) (func(t *coordinator.Transaction) bool, *refusal) {
	var pattern *regexp.Regexp
	if p := orEmpty(req.TransactionalIDPattern); p != "" {
		var err error
		if pattern, err = regexp.Compile("^(?:" + p + ")$"); err != nil {
			return nil, refuse(kerr.InvalidRegularExpression, "%v", err)
		}
	}
	longerThan, now := time.Duration(-1), time.Time{}
	if req.Version >= 1 && req.DurationFilterMillis >= 0 {
		var err error
		if now, err = s.opts.Transactions.Now(ctx); err != nil {
			return nil, s.transactionError(err, kerr.InvalidProducerEpoch)
		}
		longerThan = time.Duration(req.DurationFilterMillis) * time.Millisecond
	}
	return func(t *coordinator.Transaction) bool {
		since := t.Since()
		return (len(req.StateFilters) == 0 || slices.Contains(req.StateFilters, string(transactions.StateOf(t)))) &&
			(len(req.ProducerIDFilters) == 0 || slices.Contains(req.ProducerIDFilters, t.ProducerID)) &&
			(pattern == nil || pattern.MatchString(t.ID)) &&
			(longerThan < 0 || since != 0 && now.Sub(time.UnixMilli(since)) > longerThan)
	}, nil
}
