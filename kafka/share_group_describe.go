package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
)

// ShareGroupDescribe, version 1, as Kafka 4: share groups, with what is assigned to each member.
// Other groups are GROUP_ID_NOT_FOUND. One that is named twice is answered once.
func init() {
	register(1, 1, shareGroupDescribe, rules{
		needs: []access.Need{access.Describe.On(access.Group), access.Describe.On(access.Topic)}, quota: access.Requests})
}

func shareGroupDescribe(ctx context.Context, s *Server, from *peer,
	req *kmsg.ShareGroupDescribeRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrShareGroupDescribeResponse()
	named := slices.Collect(distinct(req.GroupIDs))
	resp.Groups = make([]kmsg.ShareGroupDescribeResponseGroup, len(named))
	inParallel(len(named), func(i int) { // who asks first for a group of a shard waits for its lease
		group := named[i]
		a := kmsg.NewShareGroupDescribeResponseGroup()
		defer func() { resp.Groups[i] = a }()
		a.GroupID = group
		if refused := from.may(access.Describe, access.Group, group); refused != nil {
			a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
			return
		}
		d, err := s.opts.Groups.Describe(ctx, group)
		a.ErrorCode, a.ErrorMessage = codeOf(err), textOf(err)
		switch {
		case err == kerr.GroupIDNotFound:
			a.ErrorMessage = new(fmt.Sprintf("Group %s not found.", group))
			return
		case err == nil && d.Type != groups.Share:
			a.ErrorCode, a.ErrorMessage = kerr.GroupIDNotFound.Code, new(fmt.Sprintf("Group %s is not a share group.", group))
			return
		case err != nil:
			return
		}
		a.GroupState, a.GroupEpoch, a.AssignmentEpoch, a.Assignor = d.State.String(), d.Epoch, d.Epoch, d.Protocol
		a.Members = []kmsg.ShareGroupDescribeResponseGroupMember{}
		for i := range d.Members {
			a.Members = append(a.Members, s.describedSharer(&d.Members[i]))
		}
		if refused := from.mayDescribeShared(a.Members); refused != nil {
			a.ErrorCode, a.ErrorMessage, a.Members = refused.code(), refused.text(), nil
		}
		if req.IncludeAuthorizedOperations {
			a.AuthorizedOperations = from.asks.Operations(access.Group, group)
		}
	})
	return resp, nil
}

// mayDescribeShared refuses the description of members that would name topics which the client may
// not know of, as Kafka does.
func (p *peer) mayDescribeShared(members []kmsg.ShareGroupDescribeResponseGroupMember) *refusal {
	var names []string
	for i := range members {
		names = append(names, members[i].SubscribedTopicNames...)
		for _, t := range members[i].Assignment.TopicPartitions {
			names = append(names, t.Topic)
		}
	}
	return p.mayDescribeAll(names)
}

// describedSharer is a member as ShareGroupDescribe shows it.
func (s *Server) describedSharer(m *groups.Member) kmsg.ShareGroupDescribeResponseGroupMember {
	a := kmsg.NewShareGroupDescribeResponseGroupMember()
	a.MemberID, a.RackID, a.MemberEpoch = m.ID, orNull(m.RackID), m.Epoch
	a.ClientID, a.ClientHost, a.SubscribedTopicNames = m.ClientID, m.ClientHost, m.Topics
	a.Assignment.TopicPartitions = []kmsg.ShareGroupDescribeResponseGroupMemberAssignmentTopicPartition{}
	for _, t := range s.namedTopics(m.Has) {
		a.Assignment.TopicPartitions = append(a.Assignment.TopicPartitions,
			kmsg.ShareGroupDescribeResponseGroupMemberAssignmentTopicPartition{TopicID: t.TopicID, Topic: t.Topic,
				Partitions: t.Partitions})
	}
	return a
}
