package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// InitProducerId v0-v5. Every idempotent producer gets an id that nobody has had, with epoch 0.
// That also goes for one that brings an old id with it: Kafka bumps the epoch of transactional
// producers alone.
//
// One with a transactional id gets the next epoch of it, which fences all others, once what they
// have left open is aborted; one that brings a producer id and epoch with it does so only if it has
// not been fenced itself (KIP-360).
func init() {
	register(0, 5, initProducerID, rules{
		needs: []access.Need{access.IdempotentWrite.On(access.Cluster), access.Write.On(access.Topic),
			access.Write.On(access.TransactionalID)},
		quota: access.Requests})
}

func initProducerID(
	ctx context.Context,
	s *Server,
	from *peer,
	req *kmsg.InitProducerIDRequest,
) (kmsg.Response, error) {
	resp := kmsg.NewPtrInitProducerIDResponse()
	if req.TransactionalID != nil {
		got, refused := s.initTransactional(ctx, from, req)
		if refused != nil {
			got = coordinator.Producer{ProducerID: -1, Epoch: -1}
		}
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = refused.code(), got.ProducerID, got.Epoch
		return resp, nil
	}
	if !from.asks.May(access.IdempotentWrite, access.Cluster, access.ClusterName) &&
		!from.asks.MayWithAny(access.Write, access.Topic) {
		resp.ErrorCode, resp.ProducerEpoch = kerr.ClusterAuthorizationFailed.Code, -1
		return resp, nil
	}
	id, err := s.opts.Node.ProducerID(ctx)
	if err != nil {
		s.opts.Logger.Warn("no producer id", "error", err)
		resp.ErrorCode, resp.ProducerEpoch = kerr.CoordinatorNotAvailable.Code, -1 // clients try again
		return resp, nil
	}
	resp.ProducerID = id
	return resp, nil
}

func (s *Server) initTransactional(ctx context.Context, from *peer,
	req *kmsg.InitProducerIDRequest) (got coordinator.Producer, refused *refusal) {
	var held *coordinator.Producer
	if req.ProducerID >= 0 && req.ProducerEpoch >= 0 {
		held = &coordinator.Producer{ProducerID: req.ProducerID, Epoch: req.ProducerEpoch}
	}
	id := *req.TransactionalID
	refused = s.transaction(
		ctx,
		from,
		id,
		fencedAs(req.Version, initFencedOf),
		func(ctx context.Context) (err error) {
			timeout := time.Duration(req.TransactionTimeoutMillis) * time.Millisecond
			got, err = s.opts.Transactions.Begin(ctx, id, timeout, held)
			return err
		},
	)
	return got, refused
}
