package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// OffsetForLeaderEpoch, versions 0 to 4; Kafka 4 begins at 2. Any node serves every partition.
//
// There is one leader epoch, 0 (leader_epoch.go), and it ends at the high watermark. Other epochs
// have no end: -1, which tells a client that there was none. So no client ever finds its log
// truncated; a node that is cut off and may know less than clients have read does not answer.
func init() {
	register(0, 4, offsetForLeaderEpoch, rules{
		needs: []access.Need{access.Describe.On(access.Topic)}, quota: access.Requests})
}

func offsetForLeaderEpoch(ctx context.Context, s *Server, from *peer,
	req *kmsg.OffsetForLeaderEpochRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	behind := s.catchUp(ctx) != nil
	for _, t := range req.Topics {
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = t.Topic
		forbidden := from.may(access.Describe, access.Topic, t.Topic)
		for _, p := range t.Partitions {
			a := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			a.Partition = p.Partition
			at, info, refused := s.readablePartition(t.Topic, p.Partition, p.CurrentLeaderEpoch)
			switch {
			case forbidden != nil:
				a.ErrorCode = forbidden.code()
			case refused != nil:
				a.ErrorCode = refused.code()
			case behind:
				a.ErrorCode = kerr.NotLeaderForPartition.Code
			case p.LeaderEpoch == leaderEpoch:
				a.LeaderEpoch, a.EndOffset = leaderEpoch, info.HighWatermark
				if at.Topic == offsetsTopic.ID { // a client that is ahead of the end waits; it has lost nothing
					a.EndOffset = reach(info.HighWatermark)
				}
			}
			topic.Partitions = append(topic.Partitions, a)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}
