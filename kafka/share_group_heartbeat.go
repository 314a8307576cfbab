package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
)

// ShareGroupHeartbeat, version 1, as Kafka 4: the one call by which members of a share group
// (KIP-932) join, stay, get their partitions, and leave. A group that is something else already, or
// has offsets of consumers, is GROUP_ID_NOT_FOUND.
func init() {
	register(1, 1, shareGroupHeartbeat, rules{
		needs: []access.Need{access.Read.On(access.Group), access.Describe.On(access.Topic)}, quota: access.Requests})
}

// maxShareMemberID is how long the ids of members of share groups may be: they make them of 16
// random bytes.
const maxShareMemberID = 36

// maxShareGroupID is how long the ids of share groups may be: each session keeps one.
const maxShareGroupID = 1 << 10

func checkShareGroupID(group string) *refusal {
	if len(group) > maxShareGroupID {
		return refuse(kerr.InvalidGroupID, "GroupId is longer than %d characters.", maxShareGroupID)
	}
	return nil
}

func shareGroupHeartbeat(ctx context.Context, s *Server, from *peer,
	req *kmsg.ShareGroupHeartbeatRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrShareGroupHeartbeatResponse()
	refused := from.may(access.Read, access.Group, req.GroupID)
	for _, name := range req.SubscribedTopicNames {
		if refused == nil {
			refused = from.may(access.Describe, access.Topic, name)
		}
	}
	if refused == nil {
		refused = checkShareGroupID(req.GroupID)
	}
	if refused == nil && len(req.MemberID) > maxShareMemberID {
		refused = refuse(kerr.InvalidRequest, "MemberId is longer than %d characters.", maxShareMemberID)
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	a := s.opts.Groups.ShareHeartbeat(ctx, req.GroupID, groups.ShareHeartbeat{
		MemberID: req.MemberID, Epoch: req.MemberEpoch, RackID: req.RackID,
		ClientID: from.ClientID, ClientHost: from.clientHost(), Names: req.SubscribedTopicNames})
	resp.ErrorCode, resp.ErrorMessage = codeOf(a.Err), textOf(a.Err)
	if a.Err != nil {
		return resp, nil
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &a.MemberID, a.Epoch, int32(a.Interval.Milliseconds())
	if a.Assigns {
		resp.Assignment = new(kmsg.NewShareGroupHeartbeatResponseAssignment())
		resp.Assignment.TopicPartitions = []kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{}
		for id, indexes := range byTopic(a.Assigned) {
			resp.Assignment.TopicPartitions = append(resp.Assignment.TopicPartitions,
				kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{TopicID: id, Partitions: indexes})
		}
	}
	return resp, nil
}
