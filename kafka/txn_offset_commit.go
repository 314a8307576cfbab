package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/segments"
)

// TxnOffsetCommit, versions 0 to 5, as Kafka 4, at the owner of the group. What is sent is in the
// journal when it is answered, and counts when the transaction has committed. From version 3 on the
// client says which member of the group it is (KIP-447); from version 5 on it has not added the
// group to its transaction before.
func init() {
	register(0, 5, txnOffsetCommit, rules{
		needs: []access.Need{
			access.Write.On(access.TransactionalID),
			access.Read.On(access.Group),
			access.Read.On(access.Topic),
		},
		quota: access.Requests})
}

func txnOffsetCommit(
	ctx context.Context,
	s *Server,
	from *peer,
	req *kmsg.TxnOffsetCommitRequest,
) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	offsets := map[segments.Partition]coordinator.GroupOffset{}
	for i := range req.Topics {
		topic := &req.Topics[i]
		answer := kmsg.TxnOffsetCommitResponseTopic{Topic: topic.Topic}
		known, err := s.groupTopic(from, access.Read, false, topic.Topic, topic.TopicID)
		for _, p := range topic.Partitions {
			code := codeOf(err)
			if err == nil {
				code = codeOf(s.checkCommit(known, p.Partition, p.Metadata))
			}
			if code == 0 {
				at := segments.Partition{Topic: known.ID, Index: p.Partition}
				offsets[at] = coordinator.GroupOffset{
					Partition:   at,
					Offset:      p.Offset,
					LeaderEpoch: max(p.LeaderEpoch, -1),
					Metadata:    orEmpty(p.Metadata),
				}
			}
			answer.Partitions = append(
				answer.Partitions,
				kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code},
			)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	refused := from.may(access.Read, access.Group, req.Group)
	if refused == nil && len(offsets) > 0 {
		refused = s.stageOffsets(ctx, from, req, offsets)
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if p := &resp.Topics[i].Partitions[j]; refused != nil {
				p.ErrorCode = refused.code()
			}
		}
	}
	return resp, nil
}

func (s *Server) stageOffsets(ctx context.Context, from *peer, req *kmsg.TxnOffsetCommitRequest,
	offsets map[segments.Partition]coordinator.GroupOffset) *refusal {
	stage := coordinator.StageOffsets{
		ID:       req.TransactionalID,
		Group:    req.Group,
		Protocol: protocolOf(req.Version, txnOffsetCommitNew),
		Producer: coordinator.Producer{ProducerID: req.ProducerID, Epoch: req.ProducerEpoch},
	}
	for _, o := range offsets {
		stage.Offsets = append(stage.Offsets, o)
	}
	committer := groups.Committer{
		MemberID:   req.MemberID,
		InstanceID: orEmpty(req.InstanceID),
		Generation: req.Generation,
	}
	return s.transaction(ctx, from, req.TransactionalID, kerr.InvalidProducerEpoch, func(ctx context.Context) error {
		return s.opts.Transactions.Retry(ctx, func() error { return s.opts.Groups.Stage(ctx, committer, stage) })
	})
}
