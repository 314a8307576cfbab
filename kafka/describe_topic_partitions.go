package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/topics"
)

// DescribeTopicPartitions, version 0, as Kafka 4 (KIP-966): Metadata in pages.
//
//   - Topics are answered in order of their names, all of them if none is asked for, from the
//     cursor on, until the answer has as many partitions as asked for, and at most 2,000. Then the
//     next cursor says where to go on.
//   - Topics are never created. There are no eligible leader replicas to speak of: any node can
//     lead. Their lists are empty and not null, which Java clients up to 3.9 fail on.
//   - A cursor at a negative partition, or at a topic that the request does not list, is
//     INVALID_REQUEST for every topic listed.
//   - Of all topics, a client gets those that it may describe.
func init() {
	register(0, 0, describeTopicPartitions, rules{
		needs: []access.Need{access.Describe.On(access.Topic)}, quota: access.Requests})
}

// maxPagePartitions is Kafka's max.request.partition.size.limit.
const maxPagePartitions = 2000

func describeTopicPartitions(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeTopicPartitionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	names, refused := s.pageTopics(from, req)
	if refused != nil {
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, pageTopic(t.Topic, refused))
		}
		return resp, nil
	}
	nodes := s.nodes(from)
	place := placement{nodes, nearby(nodes, from.ClientID)}
	room := min(max(req.ResponsePartitionLimit, 1), maxPagePartitions)
	for _, name := range names {
		first := int32(0)
		if req.Cursor != nil && req.Cursor.Topic == name {
			first = req.Cursor.Partition
		}
		if room == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: first}
			break
		}
		if refused := from.may(access.Describe, access.Topic, name); refused != nil {
			resp.Topics = append(resp.Topics, pageTopic(name, refused))
			continue
		}
		t := s.readable(name)
		if t == nil {
			if refused = s.refusalOf(topics.CheckName(name)); refused == nil {
				refused = unknownTopic(name)
			}
			resp.Topics = append(resp.Topics, pageTopic(name, refused))
			continue
		}
		first = min(first, t.Partitions)
		end := min(t.Partitions, first+room)
		page := s.pagePartitions(t, place, first, end)
		page.AuthorizedOperations = from.topicOperations(name)
		resp.Topics = append(resp.Topics, page)
		room -= end - first
		if end < t.Partitions {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: end}
			break
		}
	}
	return resp, nil
}

// pageTopics returns the names of the topics to answer, from the cursor on, in order and each once.
func (s *Server) pageTopics(from *peer, req *kmsg.DescribeTopicPartitionsRequest) ([]string, *refusal) {
	var names []string
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	if len(names) == 0 {
		for _, t := range s.listed() {
			if from.asks.May(access.Describe, access.Topic, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if req.Cursor == nil {
		return names, nil
	}
	at, listed := slices.BinarySearch(names, req.Cursor.Topic)
	if req.Cursor.Partition < 0 || len(req.Topics) > 0 && !listed {
		return nil, refuse(kerr.InvalidRequest, "the cursor is at partition %d of topic %q", req.Cursor.Partition,
			req.Cursor.Topic)
	}
	return names[at:], nil
}

func pageTopic(name string, refused *refusal) kmsg.DescribeTopicPartitionsResponseTopic {
	a := kmsg.NewDescribeTopicPartitionsResponseTopic()
	a.Topic, a.ErrorCode, a.IsInternal = &name, refused.code(), coordinator.IsInternalTopic(name)
	return a
}

func (s *Server) pagePartitions(t *coordinator.Topic, place placement, first, end int32) (
	a kmsg.DescribeTopicPartitionsResponseTopic) {
	a = pageTopic(t.Name, nil)
	a.TopicID = t.ID
	for i := first; i < end; i++ {
		m := place.metadata(segments.Partition{Topic: t.ID, Index: i}, s.declared(t, i))
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		p.ErrorCode, p.Partition, p.LeaderID, p.LeaderEpoch = m.ErrorCode, m.Partition, m.Leader, m.LeaderEpoch
		p.Replicas, p.ISR = m.Replicas, m.ISR
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{}
		a.Partitions = append(a.Partitions, p)
	}
	return a
}
