package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/segments"
)

// OffsetDelete, version 0, as Kafka 4: deletes what a group has committed for partitions. Those of
// topics that its members are subscribed to are refused with GROUP_SUBSCRIBED_TO_TOPIC.
func init() {
	register(0, 0, offsetDelete, rules{
		needs: []access.Need{access.Delete.On(access.Group), access.Read.On(access.Topic)}, quota: access.Requests})
}

func offsetDelete(ctx context.Context, s *Server, from *peer, req *kmsg.OffsetDeleteRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	if refused := from.may(access.Delete, access.Group, req.Group); refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	var asked []segments.Partition
	var answers []*kmsg.OffsetDeleteResponseTopicPartition // of those
	resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	for i, t := range req.Topics {
		a := &resp.Topics[i]
		a.Topic, a.Partitions = t.Topic, make([]kmsg.OffsetDeleteResponseTopicPartition, len(t.Partitions))
		refused := from.may(access.Read, access.Topic, t.Topic)
		topic := s.readable(t.Topic)
		if topic == nil && refused == nil {
			refused = unknownTopic(t.Topic)
		}
		for j, p := range t.Partitions {
			a.Partitions[j].Partition = p.Partition
			if refused != nil {
				a.Partitions[j].ErrorCode = refused.code()
				continue
			}
			if p.Partition < 0 || p.Partition >= topic.Partitions {
				a.Partitions[j].ErrorCode = kerr.UnknownTopicOrPartition.Code
				continue
			}
			asked = append(asked, segments.Partition{Topic: topic.ID, Index: p.Partition})
			answers = append(answers, &a.Partitions[j])
		}
	}
	errs, err := s.opts.Groups.DeleteOffsets(ctx, req.Group, asked)
	from.changedGroup("OffsetDelete", req.Group, err)
	if err != nil {
		resp.ErrorCode, resp.Topics = err.Code, nil
		return resp, nil
	}
	for i, err := range errs {
		answers[i].ErrorCode = codeOf(err)
	}
	return resp, nil
}
