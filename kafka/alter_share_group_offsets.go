package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
	"firn.dev/segments"
)

// AlterShareGroupOffsets, version 0, as Kafka 4: a share group without members begins partitions
// somewhere else, and knows nothing more of what was delivered. A group that is not there begins to
// be, as a share group.
func init() {
	register(0, 0, alterShareGroupOffsets, rules{
		needs: []access.Need{access.Read.On(access.Group), access.Read.On(access.Topic)}, quota: access.Requests})
}

func alterShareGroupOffsets(ctx context.Context, s *Server, from *peer,
	req *kmsg.AlterShareGroupOffsetsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrAlterShareGroupOffsetsResponse()
	refused := from.may(access.Read, access.Group, req.GroupID)
	var begin []groups.ShareBeginning
	seen := map[segments.Partition]bool{}
	if refused == nil {
		refused = checkShareGroupID(req.GroupID)
	}
	s.catchUp(ctx) // a start offset is not beyond the end of the log
	for i := 0; i < len(req.Topics) && refused == nil; i++ {
		t := &req.Topics[i]
		a := kmsg.NewAlterShareGroupOffsetsResponseTopic()
		a.Topic = t.Topic
		topic := s.opts.Node.View().Topic(t.Topic)
		no := from.may(access.Read, access.Topic, t.Topic)
		if topic == nil && no == nil {
			no = unknownTopic(t.Topic)
		}
		if no == nil {
			a.TopicID = topic.ID
		}
		for _, p := range t.Partitions {
			at, wrong := segments.Partition{Topic: a.TopicID, Index: p.Partition}, no
			info, _ := s.opts.Node.View().Partition(at)
			switch {
			case wrong != nil:
			case p.Partition < 0 || p.Partition >= topic.Partitions:
				wrong = noPartition(p.Partition)
			case seen[at]:
				wrong = refuse(kerr.InvalidRequest, "partition %d is named twice", p.Partition)
			case p.StartOffset < 0:
				wrong = refuse(kerr.InvalidRequest, "start offset %d is negative", p.StartOffset)
			case p.StartOffset > info.HighWatermark:
				wrong = refuse(kerr.OffsetOutOfRange, "start offset %d is behind the end of the partition, %d", p.StartOffset,
					info.HighWatermark)
			default:
				seen[at] = true
				begin = append(begin, groups.ShareBeginning{Partition: at, Offset: p.StartOffset})
			}
			a.Partitions = append(a.Partitions, kmsg.AlterShareGroupOffsetsResponseTopicPartition{Partition: p.Partition,
				ErrorCode: wrong.code(), ErrorMessage: wrong.text()})
		}
		resp.Topics = append(resp.Topics, a)
	}
	if refused == nil && len(begin) > 0 {
		err := s.opts.Groups.AlterShares(ctx, req.GroupID, begin)
		from.changedGroup("AlterShareGroupOffsets", req.GroupID, err)
		if err != nil {
			refused = refuse(err, "%s", err.Description)
		}
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage, resp.Topics = refused.code(), refused.text(), nil
	}
	return resp, nil
}
