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

// OffsetCommit, versions 2 to 10, as Kafka 4; topics have ids from version 10 on.
//
//   - What is committed is decided, and everybody who asks this node sees it, when the answer
//     arrives. It is journaled within a second: when the coordinator is lost before that, the group
//     reads those records again.
//   - Any offset is stored and returned as the number that it is, as Kafka does: kafkajs commits
//     -1 and -2 on its way back from out of range.
//   - The retention time of versions 2 to 4 is not looked at: offsets live as long as the server's
//     retention says.
//   - A request beyond MaxAdminRequestBytes is INVALID_COMMIT_OFFSET_SIZE: as in Kafka, what one
//     commit stores is bounded.
//   - A commit of a generation that the group is not in any more is ILLEGAL_GENERATION, also when
//     the group has a new owner that knows of no generation; from version 9 on, when it may be a
//     member epoch, that is UNKNOWN_MEMBER_ID. A wrong member epoch is STALE_MEMBER_EPOCH, unless
//     the member has had those partitions since then (KIP-1251).
func init() {
	register(2, 10, offsetCommit, rules{
		needs:        []access.Need{access.Read.On(access.Group), access.Read.On(access.Topic)},
		answersLarge: true, quota: access.Requests})
}

func offsetCommit(ctx context.Context, s *Server, from *peer, req *kmsg.OffsetCommitRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	offsets := map[segments.Partition]coordinator.GroupOffset{}
	for i := range req.Topics {
		topic := &req.Topics[i]
		answer := kmsg.NewOffsetCommitResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		known, err := s.groupTopic(from, access.Read, req.Version >= 10, topic.Topic, topic.TopicID)
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			a := kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: codeOf(err)}
			if err == nil {
				a.ErrorCode = codeOf(s.checkCommit(known, p.Partition, p.Metadata))
			}
			if a.ErrorCode == 0 {
				at := segments.Partition{Topic: known.ID, Index: p.Partition}
				offsets[at] = coordinator.GroupOffset{
					Partition:   at,
					Offset:      p.Offset,
					LeaderEpoch: max(p.LeaderEpoch, -1),
					Metadata:    orEmpty(p.Metadata),
				}
			}
			answer.Partitions = append(answer.Partitions, a)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	if refused := from.may(access.Read, access.Group, req.Group); refused != nil {
		failCommits(resp, refused.code())
		return resp, nil
	}
	if from.large {
		failCommits(resp, kerr.InvalidCommitOffsetSize.Code)
		return resp, nil
	}
	all := make([]coordinator.GroupOffset, 0, len(offsets))
	for _, o := range offsets {
		all = append(all, o)
	}
	committer := groups.Committer{
		MemberID:   req.MemberID,
		InstanceID: orEmpty(req.InstanceID),
		Generation: req.Generation,
		Epochs:     req.Version >= 9,
	}
	if err := s.opts.Groups.Commit(ctx, req.Group, committer, all); err != nil {
		failCommits(resp, err.Code)
	}
	return resp, nil
}

// failCommits answers each partition with an error.
func failCommits(resp *kmsg.OffsetCommitResponse, code int16) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			resp.Topics[i].Partitions[j].ErrorCode = code
		}
	}
}

// groupTopic finds a topic by name, or in the newest versions by id, with which the client may do
// something.
func (s *Server) groupTopic(from *peer, may access.Operation, byID bool, name string,
	id [16]byte) (*coordinator.Topic, *kerr.Error) {
	var t *coordinator.Topic
	if !byID {
		t = s.readable(name)
	} else if t = s.readableByID(id); t != nil {
		name = t.Name
	} else {
		return nil, kerr.UnknownTopicID
	}
	switch {
	case !from.asks.May(may, access.Topic, name):
		return nil, kerr.TopicAuthorizationFailed
	case t == nil:
		return nil, kerr.UnknownTopicOrPartition
	}
	return t, nil
}

func (s *Server) checkCommit(topic *coordinator.Topic, partition int32, metadata *string) *kerr.Error {
	switch {
	case partition < 0 || partition >= topic.Partitions:
		return kerr.UnknownTopicOrPartition
	case len(orEmpty(metadata)) > s.opts.Groups.Limits().OffsetMetadataBytes:
		return kerr.OffsetMetadataTooLarge
	}
	return nil
}
