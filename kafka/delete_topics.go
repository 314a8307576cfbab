package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn/coordinator"
	"firn/segments"
)

// DeleteTopics, versions 0 to 6; Kafka 4 begins at 1. Any node serves it.
//
//   - Topics are deleted by name, or from version 6 on by name or id. A topic that the request names twice, in either way, is
//     refused.
//   - A topic is gone, from every node's answers soon after, by the time of this answer. Its objects leave the bucket later.
func init() { register(0, 6, deleteTopics) }

func deleteTopics(ctx context.Context, s *Server, _ *peer, req *kmsg.DeleteTopicsRequest) (kmsg.Response, error) {
	ctx, cancel := withTimeout(ctx, req.TimeoutMillis)
	defer cancel()
	asked := req.Topics
	for _, name := range req.TopicNames {
		asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(asked))
	found := make([]*coordinator.Topic, len(asked))
	refused := make([]*refusal, len(asked))
	times := map[segments.TopicID]int{}
	for i, t := range asked {
		if found[i], refused[i] = s.topicToDelete(t); found[i] != nil {
			times[found[i].ID]++
		}
	}
	inParallel(len(asked), func(i int) {
		if t := found[i]; t != nil && times[t.ID] > 1 {
			refused[i] = refuse(kerr.InvalidRequest, "the request names topic %q more than once", t.Name)
		} else if t != nil {
			_, err := s.change(ctx, coordinator.Change{DeleteTopic: &t.ID})
			refused[i] = s.refusalOf(err)
		}
		resp.Topics[i] = deletedTopic(asked[i], found[i], refused[i])
	})
	return resp, nil
}

// topicToDelete finds the topic that is asked for.
func (s *Server) topicToDelete(asked kmsg.DeleteTopicsRequestTopic) (*coordinator.Topic, *refusal) {
	view := s.opts.Node.View()
	byID := asked.TopicID != segments.TopicID{}
	switch {
	case byID && asked.Topic != nil:
		return nil, refuse(kerr.InvalidRequest, "a topic is deleted by name or by id, not by both")
	case byID:
		if t := view.TopicByID(asked.TopicID); t != nil {
			return t, nil
		}
		return nil, refuse(kerr.UnknownTopicID, "there is no topic with id %s", segments.TopicID(asked.TopicID))
	case asked.Topic == nil:
		return nil, refuse(kerr.InvalidRequest, "neither name nor id of a topic was given")
	}
	if t := view.Topic(*asked.Topic); t != nil {
		return t, nil
	}
	return nil, unknownTopic(*asked.Topic)
}

func deletedTopic(asked kmsg.DeleteTopicsRequestTopic, found *coordinator.Topic, refused *refusal) kmsg.DeleteTopicsResponseTopic {
	a := kmsg.NewDeleteTopicsResponseTopic()
	a.Topic, a.TopicID = asked.Topic, asked.TopicID
	if found != nil {
		a.Topic, a.TopicID = &found.Name, found.ID
	}
	a.ErrorCode, a.ErrorMessage = refused.code(), refused.text()
	return a
}
