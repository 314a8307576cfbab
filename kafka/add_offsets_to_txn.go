package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// AddOffsetsToTxn, versions 0 to 4, as Kafka 4.
func init() {
	register(0, 4, addOffsetsToTxn, rules{
		needs: []access.Need{
			access.Write.On(access.TransactionalID),
			access.Read.On(access.Group),
		}, quota: access.Requests})
}

func addOffsetsToTxn(ctx context.Context, s *Server, from *peer,
	req *kmsg.AddOffsetsToTxnRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	if refused := from.may(access.Read, access.Group, req.Group); refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	add := coordinator.AddToTransaction{ID: req.TransactionalID, Groups: []string{req.Group},
		Producer: coordinator.Producer{ProducerID: req.ProducerID, Epoch: req.ProducerEpoch}}
	refused := s.transaction(
		ctx,
		from,
		req.TransactionalID,
		fencedAs(req.Version, producerFencedOf),
		func(ctx context.Context) error {
			return s.opts.Transactions.Add(ctx, add)
		},
	)
	resp.ErrorCode = refused.code()
	return resp, nil
}
