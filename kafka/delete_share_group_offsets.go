package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/segments"
)

// DeleteShareGroupOffsets, version 0, as Kafka 4: a share group without members forgets where it is
// with topics, and begins them anew when somebody fetches them.
func init() {
	register(0, 0, deleteShareGroupOffsets, rules{
		needs: []access.Need{access.Delete.On(access.Group), access.Read.On(access.Topic)}, quota: access.Requests})
}

func deleteShareGroupOffsets(ctx context.Context, s *Server, from *peer,
	req *kmsg.DeleteShareGroupOffsetsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDeleteShareGroupOffsetsResponse()
	refused := from.may(access.Delete, access.Group, req.GroupID)
	var gone []segments.Partition
	for i := 0; i < len(req.Topics) && refused == nil; i++ {
		a := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		a.Topic = req.Topics[i].Topic
		no := from.may(access.Read, access.Topic, a.Topic)
		topic := s.opts.Node.View().Topic(a.Topic)
		if topic == nil && no == nil {
			no = refuse(kerr.UnknownTopicOrPartition, "%s", kerr.UnknownTopicOrPartition.Description)
		}
		if a.ErrorCode, a.ErrorMessage = no.code(), no.text(); no == nil {
			a.TopicID = topic.ID
			for index := range topic.Partitions {
				gone = append(gone, segments.Partition{Topic: topic.ID, Index: index})
			}
		}
		resp.Topics = append(resp.Topics, a)
	}
	if refused == nil {
		err := s.opts.Groups.DeleteShares(ctx, req.GroupID, gone)
		from.changedGroup("DeleteShareGroupOffsets", req.GroupID, err)
		if err != nil {
			refused = refuse(err, "%s", err.Description)
		}
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage, resp.Topics = refused.code(), refused.text(), nil
	}
	return resp, nil
}
