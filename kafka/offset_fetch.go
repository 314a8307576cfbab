package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// OffsetFetch, versions 1 to 10, as Kafka 4: of one group, from version 8 on of several; topics
// have ids from version 10 on.
//
//   - A partition for which nothing was committed has offset -1, whether it or its group exist or
//     not. Null topics are all that the group has committed for.
//   - A topic, partition or group that is asked for twice is answered once.
//   - From version 9 on a member of the new protocol says who it is: UNKNOWN_MEMBER_ID or
//     STALE_MEMBER_EPOCH if that is not so.
//   - A client that asks for stable offsets (KIP-447) is told UNSTABLE_OFFSET_COMMIT while an
//     offset of the partition waits for its transaction.
//   - Of all topics, a client gets those that it may describe.
func init() {
	register(1, 10, offsetFetch, rules{
		needs: []access.Need{
			access.Describe.On(access.Group),
			access.Describe.On(access.Topic),
		}, quota: access.Requests})
}

func offsetFetch(ctx context.Context, s *Server, from *peer, req *kmsg.OffsetFetchRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrOffsetFetchResponse()
	if req.Version >= 8 {
		seen := map[string]bool{}
		var distinct []*kmsg.OffsetFetchRequestGroup
		for i := range req.Groups {
			if g := &req.Groups[i]; !seen[g.Group] {
				seen[g.Group] = true
				distinct = append(distinct, g)
			}
		}
		resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(distinct))
		inParallel(len(distinct), func(i int) { // who asks first for a group of a shard waits for its lease
			resp.Groups[i] = s.fetchOffsets(ctx, from, distinct[i], req)
		})
		return resp, nil
	}
	only := kmsg.NewOffsetFetchRequestGroup()
	only.Group = req.Group
	if req.Topics != nil {
		only.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(req.Topics))
	}
	for _, t := range req.Topics {
		only.Topics = append(only.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	a := s.fetchOffsets(ctx, from, &only, req)
	resp.ErrorCode = a.ErrorCode
	if a.ErrorCode != 0 {
		a.Topics = refusedOffsets(only.Topics, a.ErrorCode) // version 1 has room for the error nowhere else
	}
	for _, t := range a.Topics {
		topic := kmsg.OffsetFetchResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode})
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

// fetchOffsets answers for one group.
func (s *Server) fetchOffsets(ctx context.Context, from *peer, g *kmsg.OffsetFetchRequestGroup,
	req *kmsg.OffsetFetchRequest) kmsg.OffsetFetchResponseGroup {
	a := kmsg.NewOffsetFetchResponseGroup()
	a.Group = g.Group
	if refused := from.may(access.Describe, access.Group, g.Group); refused != nil {
		a.ErrorCode = refused.code()
		return a
	}
	err := s.opts.Groups.FetchAs(ctx, g.Group, orEmpty(g.MemberID), g.MemberEpoch, func(view *coordinator.View) {
		if g.Topics == nil {
			a.Topics = s.allOffsets(from, view, g.Group)
		}
		seen := map[segments.Partition]bool{}
		for i := range g.Topics {
			a.Topics = append(a.Topics, s.topicOffsets(from, view, g.Group, &g.Topics[i], req.Version >= 10, seen))
		}
		if req.RequireStable {
			s.refuseUnstable(view, g.Group, a.Topics)
		}
	})
	if err != nil {
		a.ErrorCode, a.Topics = err.Code, nil
	}
	return a
}

// refuseUnstable has no answer for partitions of which an offset waits for its transaction.
func (s *Server) refuseUnstable(view *coordinator.View, group string, topics []kmsg.OffsetFetchResponseGroupTopic) {
	for i := range topics {
		topic := topics[i].TopicID
		if known := s.readable(topics[i].Topic); known != nil {
			topic = known.ID
		}
		for j := range topics[i].Partitions {
			p := &topics[i].Partitions[j]
			if p.ErrorCode == 0 && view.Unstable(group, segments.Partition{Topic: topic, Index: p.Partition}) {
				*p = noOffset(p.Partition)
				p.ErrorCode = kerr.UnstableOffsetCommit.Code
			}
		}
	}
}

// allOffsets returns all that a group has committed.
func (s *Server) allOffsets(from *peer, view *coordinator.View, group string) []kmsg.OffsetFetchResponseGroupTopic {
	var topics []kmsg.OffsetFetchResponseGroupTopic
	for _, c := range view.CommittedOffsets(group) { // ordered by topic
		t := s.readableByID(c.Partition.Topic)
		if t == nil || !from.asks.May(access.Describe, access.Topic, t.Name) {
			continue
		}
		if n := len(topics); n == 0 || topics[n-1].TopicID != t.ID {
			topics = append(topics, kmsg.OffsetFetchResponseGroupTopic{Topic: t.Name, TopicID: t.ID})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, committedOffset(c))
	}
	return topics
}

// topicOffsets answers for those partitions of one topic that are not in seen, and adds them.
func (s *Server) topicOffsets(from *peer, view *coordinator.View, group string, t *kmsg.OffsetFetchRequestGroupTopic,
	byID bool, seen map[segments.Partition]bool) kmsg.OffsetFetchResponseGroupTopic {
	a := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic, TopicID: t.TopicID}
	topic, err := s.groupTopic(from, access.Describe, byID, t.Topic, t.TopicID)
	for _, index := range t.Partitions {
		if topic == nil {
			p := noOffset(index)
			if byID || err == kerr.TopicAuthorizationFailed {
				p.ErrorCode = codeOf(err)
			}
			a.Partitions = append(a.Partitions, p)
			continue
		}
		at := segments.Partition{Topic: topic.ID, Index: index}
		if seen[at] {
			continue
		}
		seen[at] = true
		if c, there := view.Committed(group, at); there {
			a.Partitions = append(a.Partitions, committedOffset(c))
		} else {
			a.Partitions = append(a.Partitions, noOffset(index))
		}
	}
	return a
}

func committedOffset(c coordinator.CommittedOffset) kmsg.OffsetFetchResponseGroupTopicPartition {
	return kmsg.OffsetFetchResponseGroupTopicPartition{
		Partition:   c.Partition.Index,
		Offset:      c.Offset,
		LeaderEpoch: c.LeaderEpoch,
		Metadata:    &c.Metadata,
	}
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	return kmsg.OffsetFetchResponseGroupTopicPartition{
		Partition:   partition,
		Offset:      -1,
		LeaderEpoch: -1,
		Metadata:    new(""),
	}
}

// refusedOffsets answers each partition with an error.
func refusedOffsets(topics []kmsg.OffsetFetchRequestGroupTopic, code int16) []kmsg.OffsetFetchResponseGroupTopic {
	var refused []kmsg.OffsetFetchResponseGroupTopic
	for _, t := range topics {
		a := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic, TopicID: t.TopicID}
		for _, index := range t.Partitions {
			p := noOffset(index)
			p.ErrorCode = code
			a.Partitions = append(a.Partitions, p)
		}
		refused = append(refused, a)
	}
	return refused
}
