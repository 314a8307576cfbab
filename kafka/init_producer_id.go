package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// InitProducerId v0-v5: every idempotent producer gets an id that nobody has had, with epoch 0. That also goes for one that brings an old id with it: Kafka
// bumps the epoch of transactional producers alone.
//
// Transactions are not served. A transactional id is answered TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which every client takes for final at
// once; most others would be tried again, some for ever.
func init() {
	register(0, 5, func(ctx context.Context, s *Server, from *peer,
		req *kmsg.InitProducerIDRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrInitProducerIDResponse()
		if req.TransactionalID != nil {
			resp.ErrorCode, resp.ProducerEpoch = kerr.TransactionalIDAuthorizationFailed.Code, -1
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
	}, rules{needs: []access.Need{access.IdempotentWrite.On(access.Cluster), access.Write.On(access.Topic)},
		quota: access.Requests})
}
