package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
	"firn.dev/segments"
)

// ConsumerGroupHeartbeat, versions 0 and 1, as Kafka 4: the one call by which members of the new
// protocol (KIP-848) join, stay, get their partitions, and leave.
//
//   - From version 1 on members make their own ids, and can subscribe to what a regular expression
//     matches, of the topics that they may describe. Kafka matches once for all members that have
//     the expression, with the permissions of one of them; here each member has its own.
//   - The server-side assignors are uniform, the default, and range.
//   - A group of consumers of the classic protocol becomes one of the new when the first member of
//     that joins.
//   - A member that this node does not know, because the group had another owner before, gets
//     UNKNOWN_MEMBER_ID, after which it joins again.
func init() {
	register(0, 1, consumerGroupHeartbeat, rules{
		needs: []access.Need{access.Read.On(access.Group), access.Describe.On(access.Topic)}, quota: access.Requests})
}

func consumerGroupHeartbeat(ctx context.Context, s *Server, from *peer,
	req *kmsg.ConsumerGroupHeartbeatRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	refused := from.may(access.Read, access.Group, req.Group)
	for _, name := range req.SubscribedTopicNames {
		if refused == nil {
			refused = from.may(access.Describe, access.Topic, name)
		}
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	if req.Version >= 1 && req.MemberID == "" {
		resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRequest.Code, new("MemberId can't be empty.")
		return resp, nil
	}
	r := groups.ConsumerHeartbeat{
		MemberID: req.MemberID, Epoch: req.MemberEpoch, InstanceID: req.InstanceID, RackID: req.RackID,
		ClientID: from.ClientID, ClientHost: from.clientHost(),
		RebalanceTimeout: time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond,
		Names:            req.SubscribedTopicNames, Regex: req.SubscribedTopicRegex, Assignor: req.ServerAssignor,
	}
	if asks := from.asks; asks.Authorizer != (access.Everything{}) {
		r.Describes = func(topic string) bool { return asks.May(access.Describe, access.Topic, topic) }
	}
	if req.Topics != nil {
		r.Owned = []segments.Partition{}
	}
	for _, t := range req.Topics {
		for _, index := range t.Partitions {
			r.Owned = append(r.Owned, segments.Partition{Topic: t.TopicID, Index: index})
		}
	}
	a := s.opts.Groups.ConsumerHeartbeat(ctx, req.Group, r)
	resp.ErrorCode, resp.ErrorMessage = codeOf(a.Err), textOf(a.Err)
	if a.Err != nil {
		return resp, nil
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &a.MemberID, a.Epoch, int32(a.Interval.Milliseconds())
	if a.Assigns {
		resp.Assignment = new(kmsg.NewConsumerGroupHeartbeatResponseAssignment())
		resp.Assignment.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
		for id, indexes := range byTopic(a.Assigned) {
			resp.Assignment.Topics = append(resp.Assignment.Topics,
				kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: id, Partitions: indexes})
		}
	}
	return resp, nil
}
