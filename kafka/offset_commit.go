package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/segments"
)

// OffsetCommit, versions 2 to 10, as Kafka 4; topics have ids from version 10 on.
//
//   - What is committed is decided, and everybody who asks this node sees it, when the answer arrives. It is journaled within a second: when the
//     coordinator is lost before that, the group reads those records again.
//   - Any offset is stored and returned as the number that it is, as Kafka does: kafkajs commits
//     -1 and -2 on its way back from out of range.
//   - The retention time of versions 2 to 4 is not looked at: offsets live as long as the server's retention says.
//   - A commit of a generation that the group is not in any more is ILLEGAL_GENERATION, also when the group has a new owner that knows of no generation;
//     from version 9 on, when it may be a member epoch, that is UNKNOWN_MEMBER_ID. A wrong member epoch is STALE_MEMBER_EPOCH, unless the member has had those
//     partitions since then (KIP-1251).
func init() { register(2, 10, offsetCommit) }

func offsetCommit(ctx context.Context, s *Server, _ *peer, req *kmsg.OffsetCommitRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	offsets := map[segments.Partition]coordinator.GroupOffset{}
	for i := range req.Topics {
		topic := &req.Topics[i]
		answer := kmsg.NewOffsetCommitResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		known, err := s.groupTopic(req.Version >= 10, topic.Topic, topic.TopicID)
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			a := kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: codeOf(err)}
			if err == nil {
				a.ErrorCode = codeOf(s.checkCommit(known, p))
			}
			if a.ErrorCode == 0 {
				at := segments.Partition{Topic: known.ID, Index: p.Partition}
				offsets[at] = coordinator.GroupOffset{Partition: at, Offset: p.Offset, LeaderEpoch: max(p.LeaderEpoch, -1), Metadata: orEmpty(p.Metadata)}
			}
			answer.Partitions = append(answer.Partitions, a)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	all := make([]coordinator.GroupOffset, 0, len(offsets))
	for _, o := range offsets {
		all = append(all, o)
	}
	committer := groups.Committer{MemberID: req.MemberID, InstanceID: orEmpty(req.InstanceID), Generation: req.Generation, Epochs: req.Version >= 9}
	if err := s.opts.Groups.Commit(ctx, req.Group, committer, all); err != nil {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				resp.Topics[i].Partitions[j].ErrorCode = err.Code
			}
		}
	}
	return resp, nil
}

// groupTopic finds a topic by name, or in the newest versions by id.
func (s *Server) groupTopic(byID bool, name string, id [16]byte) (*coordinator.Topic, *kerr.Error) {
	view := s.opts.Node.View()
	if byID {
		if t := view.TopicByID(id); t != nil {
			return t, nil
		}
		return nil, kerr.UnknownTopicID
	}
	if t := view.Topic(name); t != nil {
		return t, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

func (s *Server) checkCommit(topic *coordinator.Topic, p *kmsg.OffsetCommitRequestTopicPartition) *kerr.Error {
	switch {
	case p.Partition < 0 || p.Partition >= topic.Partitions:
		return kerr.UnknownTopicOrPartition
	case len(orEmpty(p.Metadata)) > s.opts.Groups.Limits().OffsetMetadataBytes:
		return kerr.OffsetMetadataTooLarge
	}
	return nil
}
