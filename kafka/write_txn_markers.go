package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// WriteTxnMarkers, versions 1 and 2: in Kafka it is what brokers say to each other, and what an
// administrator aborts a hanging transaction with (KIP-664). Here an ending is one step, so a
// marker of one partition cannot be written alone: the whole transaction is aborted. Markers of
// commits are INVALID_TXN_STATE.
func init() {
	register(1, 2, writeTxnMarkers, rules{
		needs: []access.Need{
			access.Alter.On(access.Cluster),
			access.ClusterAction.On(access.Cluster),
		}, quota: access.Requests})
}

func writeTxnMarkers(ctx context.Context, s *Server, from *peer,
	req *kmsg.WriteTxnMarkersRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	var forbidden *refusal
	if !from.asks.May(access.ClusterAction, access.Cluster, access.ClusterName) {
		forbidden = from.mayWithCluster(access.Alter)
	}
	for _, m := range req.Markers {
		refused := forbidden
		if refused == nil {
			refused = s.abortProducer(ctx, &m)
		}
		a := kmsg.WriteTxnMarkersResponseMarker{ProducerID: m.ProducerID}
		for _, t := range m.Topics {
			topic := kmsg.WriteTxnMarkersResponseMarkerTopic{Topic: t.Topic}
			for _, number := range t.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.WriteTxnMarkersResponseMarkerTopicPartition{
					Partition: number, ErrorCode: refused.code()})
			}
			a.Topics = append(a.Topics, topic)
		}
		resp.Markers = append(resp.Markers, a)
	}
	return resp, nil
}

func (s *Server) abortProducer(ctx context.Context, m *kmsg.WriteTxnMarkersRequestMarker) *refusal {
	if m.Committed {
		return refuse(kerr.InvalidTxnState,
			"an administrator can abort a transaction, and its producer alone can commit it")
	}
	ctx, cancel := context.WithTimeout(ctx, transactionPatience)
	defer cancel()
	p := coordinator.Producer{ProducerID: m.ProducerID, Epoch: m.ProducerEpoch}
	return s.transactionError(s.opts.Transactions.Abort(ctx, p), kerr.InvalidProducerEpoch)
}
