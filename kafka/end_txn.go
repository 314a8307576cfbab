package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// EndTxn, versions 0 to 5, as Kafka 4. It is answered when the ending is complete: everybody who
// reads committed records sees all of it, or nothing. In version 5 the next transaction has an
// epoch of its own (KIP-890).
func init() {
	register(
		0,
		5,
		endTxn,
		rules{needs: []access.Need{access.Write.On(access.TransactionalID)}, quota: access.Requests},
	)
}

func endTxn(ctx context.Context, s *Server, from *peer, req *kmsg.EndTxnRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	result := coordinator.Aborted
	if req.Commit {
		result = coordinator.Committed
	}
	next := coordinator.Producer{ProducerID: -1, Epoch: -1}
	refused := s.transaction(
		ctx,
		from,
		req.TransactionalID,
		fencedAs(req.Version, producerFencedOf),
		func(ctx context.Context) error {
			p := coordinator.Producer{ProducerID: req.ProducerID, Epoch: req.ProducerEpoch}
			got, err := s.opts.Transactions.End(ctx, req.TransactionalID, p, result, req.Version >= endTxnNew)
			if err == nil {
				next = got
			}
			return err
		},
	)
	resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = refused.code(), next.ProducerID, next.Epoch
	return resp, nil
}
