package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
	"firn.dev/segments"
)

// ConsumerGroupDescribe, versions 0 and 1, as Kafka 4: groups of the new protocol, with what each
// member has and is to have. Others are GROUP_ID_NOT_FOUND, after which tools ask with
// DescribeGroups. One that is named twice is answered once. Version 1 says which protocol a member
// speaks.
func init() {
	register(0, 1, consumerGroupDescribe, rules{
		needs: []access.Need{access.Describe.On(access.Group), access.Describe.On(access.Topic)}, quota: access.Requests})
}

func consumerGroupDescribe(ctx context.Context, s *Server, from *peer,
	req *kmsg.ConsumerGroupDescribeRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	named := slices.Collect(distinct(req.Groups))
	resp.Groups = make([]kmsg.ConsumerGroupDescribeResponseGroup, len(named))
	inParallel(len(named), func(i int) { // who asks first for a group of a shard waits for its lease
		group := named[i]
		a := kmsg.NewConsumerGroupDescribeResponseGroup()
		if refused := from.may(access.Describe, access.Group, group); refused != nil {
			a.Group, a.ErrorCode, a.ErrorMessage = group, refused.code(), refused.text()
			resp.Groups[i] = a
			return
		}
		d, err := s.opts.Groups.Describe(ctx, group)
		a.Group, a.ErrorCode, a.ErrorMessage = group, codeOf(err), textOf(err)
		switch {
		case err == kerr.GroupIDNotFound:
			a.ErrorMessage = new(fmt.Sprintf("Group %s not found.", group))
		case err == nil && d.Type != groups.Consumer:
			a.ErrorCode, a.ErrorMessage = kerr.GroupIDNotFound.Code, new(fmt.Sprintf("Group %s is not a consumer group.", group))
		case err == nil:
			a.State, a.Epoch, a.AssignmentEpoch, a.AssignorName = d.State.String(), d.Epoch, d.Epoch, d.Protocol
			for i := range d.Members {
				a.Members = append(a.Members, s.describedConsumer(&d.Members[i]))
			}
			if refused := from.mayDescribeTopics(a.Members); refused != nil {
				a.ErrorCode, a.ErrorMessage, a.Members = refused.code(), refused.text(), nil
			}
			if req.IncludeAuthorizedOperations {
				a.AuthorizedOperations = from.asks.Operations(access.Group, group)
			}
		}
		resp.Groups[i] = a
	})
	return resp, nil
}

// mayDescribeTopics refuses the description of members that would name topics which the client may
// not know of, as Kafka does.
func (p *peer) mayDescribeTopics(members []kmsg.ConsumerGroupDescribeResponseGroupMember) *refusal {
	var names []string
	for i := range members {
		m := &members[i]
		names = append(names, m.SubscribedTopics...)
		for _, t := range slices.Concat(m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions) {
			names = append(names, t.Topic)
		}
	}
	return p.mayDescribeAll(names)
}

// mayDescribeAll refuses if the client may not know of one of these topics.
func (p *peer) mayDescribeAll(names []string) *refusal {
	for _, name := range names {
		if refused := p.may(access.Describe, access.Topic, name); refused != nil {
			return refused
		}
	}
	return nil
}

// describedConsumer is a member as ConsumerGroupDescribe shows it.
func (s *Server) describedConsumer(m *groups.Member) kmsg.ConsumerGroupDescribeResponseGroupMember {
	a := kmsg.NewConsumerGroupDescribeResponseGroupMember()
	a.MemberID, a.InstanceID, a.RackID, a.MemberEpoch = m.ID, orNull(m.InstanceID), orNull(m.RackID), m.Epoch
	a.ClientID, a.ClientHost = m.ClientID, m.ClientHost
	a.SubscribedTopics, a.SubscribedTopicRegex = m.Topics, orNull(m.Regex)
	a.Assignment.TopicPartitions, a.TargetAssignment.TopicPartitions = s.namedTopics(m.Has), s.namedTopics(m.Target)
	a.MemberType = 1
	if m.Classic {
		a.MemberType = 0
	}
	return a
}

// namedTopics returns partitions with the names of their topics. Topics that are gone are left out.
func (s *Server) namedTopics(partitions []segments.Partition) []kmsg.AssignmentTopicPartition {
	var topics []kmsg.AssignmentTopicPartition
	view := s.opts.Node.View()
	for id, indexes := range byTopic(partitions) {
		if t := view.TopicByID(id); t != nil {
			topics = append(topics, kmsg.AssignmentTopicPartition{TopicID: id, Topic: t.Name, Partitions: indexes})
		}
	}
	return topics
}
