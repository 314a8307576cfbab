package kafka

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
	"firn.dev/segments"
)

// DescribeShareGroupOffsets, versions 0 and 1, as Kafka 4: where share groups are with partitions,
// or with all that they have begun. One that a group has not begun has start offset -1. Version 1
// tells the lag: the records from there on that are not finished.
func init() {
	register(0, 1, describeShareGroupOffsets, rules{
		needs: []access.Need{access.Describe.On(access.Group), access.Describe.On(access.Topic)}, quota: access.Requests})
}

func describeShareGroupOffsets(ctx context.Context, s *Server, from *peer,
	req *kmsg.DescribeShareGroupOffsetsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeShareGroupOffsetsResponse()
	named := firstOfEach(req.Groups)
	resp.Groups = make([]kmsg.DescribeShareGroupOffsetsResponseGroup, len(named))
	s.catchUp(ctx) // the lag is up to the end of the log
	inParallel(len(named), func(i int) {
		asked := named[i]
		a := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
		defer func() { resp.Groups[i] = a }()
		a.GroupID = asked.GroupID
		if refused := from.may(access.Describe, access.Group, asked.GroupID); refused != nil {
			a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
			return
		}
		states, err := s.opts.Groups.ShareOffsets(ctx, asked.GroupID)
		if err != nil {
			a.ErrorCode, a.ErrorMessage = err.Code, &err.Description
			return
		}
		topics := asked.Topics
		if topics == nil {
			topics = s.sharedTopics(from, states)
		}
		a.Topics = []kmsg.DescribeShareGroupOffsetsResponseGroupTopic{}
		for _, t := range topics {
			a.Topics = append(a.Topics, s.describedShares(from, t, states))
		}
	})
	return resp, nil
}

// firstOfEach is what a request asks of each group that it names: of one that it names twice, the
// first.
func firstOfEach(asked []kmsg.DescribeShareGroupOffsetsRequestGroup) (
	firsts []*kmsg.DescribeShareGroupOffsetsRequestGroup) {
	seen := make(map[string]bool, len(asked))
	for i := range asked {
		if group := asked[i].GroupID; !seen[group] {
			seen[group] = true
			firsts = append(firsts, &asked[i])
		}
	}
	return firsts
}

// sharedTopics are the partitions that a share group has begun, of topics that the client may know
// of.
func (s *Server) sharedTopics(from *peer, states map[segments.Partition]groups.ShareState) (
	topics []kmsg.DescribeShareGroupOffsetsRequestGroupTopic) {
	begun := slices.SortedFunc(maps.Keys(states), segments.Partition.Compare)
	for id, indexes := range byTopic(begun) {
		if t := s.opts.Node.View().TopicByID(id); t != nil && from.asks.May(access.Describe, access.Topic, t.Name) {
			topics = append(topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: t.Name, Partitions: indexes})
		}
	}
	return topics
}

// describedShares is what the answer says of one topic.
func (s *Server) describedShares(from *peer, asked kmsg.DescribeShareGroupOffsetsRequestGroupTopic,
	states map[segments.Partition]groups.ShareState) kmsg.DescribeShareGroupOffsetsResponseGroupTopic {
	a := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
	a.Topic, a.Partitions = asked.Topic, []kmsg.DescribeShareGroupOffsetsResponseGroupTopicPartition{}
	view := s.opts.Node.View()
	topic := view.Topic(asked.Topic)
	refused := from.may(access.Describe, access.Topic, asked.Topic)
	if topic != nil && refused == nil {
		a.TopicID = topic.ID
	}
	for _, index := range asked.Partitions {
		p := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
		p.Partition, p.StartOffset, p.Lag = index, -1, -1
		at := segments.Partition{Topic: a.TopicID, Index: index}
		info, exists := view.Partition(at)
		switch state, begun := states[at]; {
		case refused != nil:
			p.ErrorCode, p.ErrorMessage = refused.code(), refused.text()
		case topic == nil || !exists:
			p.ErrorCode, p.ErrorMessage = kerr.UnknownTopicOrPartition.Code, &kerr.UnknownTopicOrPartition.Description
		case begun:
			p.StartOffset, p.LeaderEpoch = state.Offset, leaderEpoch
			p.Lag = max(info.HighWatermark-state.Offset-state.Finished, 0)
		}
		a.Partitions = append(a.Partitions, p)
	}
	return a
}
