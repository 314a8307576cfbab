package kafka

import (
	"cmp"
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// DeleteTopics, versions 0 to 6; Kafka 4 begins at 1. Any node serves it.
//
//   - Topics are deleted by name, or from version 6 on by name or id. A topic that the request
//     names twice, in either way, is refused, and answered once.
//   - A topic is gone, from every node's answers soon after, by the time of this answer. Its
//     objects leave the bucket later.
//   - A topic that the client may delete but not describe is not named to it by its id.
func init() {
	register(0, 6, deleteTopics, rules{
		needs: []access.Need{access.Delete.On(access.Topic), access.Describe.On(access.Topic)}, quota: access.Mutations})
}

// strictDeleteTopics is the first version whose clients know THROTTLING_QUOTA_EXCEEDED.
const strictDeleteTopics = 5

func deleteTopics(ctx context.Context, s *Server, from *peer, req *kmsg.DeleteTopicsRequest) (kmsg.Response, error) {
	ctx, cancel := withTimeout(ctx, req.TimeoutMillis)
	defer cancel()
	asked := req.Topics
	for _, name := range req.TopicNames {
		asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	plans := s.planDeletions(from, asked)
	for i := range plans {
		if d := &plans[i]; d.refused == nil {
			d.refused = s.mutates(from, req.Version >= strictDeleteTopics, int(d.topic.Partitions))
		}
	}
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(plans))
	inParallel(len(plans), func(i int) { resp.Topics[i] = s.deleteTopic(ctx, from, plans[i]) })
	return resp, nil
}

// deletion is a topic that is to be deleted, or why it cannot be.
type deletion struct {
	asked   kmsg.DeleteTopicsRequestTopic
	topic   *coordinator.Topic
	refused *refusal
}

// planDeletions finds the topics of a request. Those that it names twice are answered once.
func (s *Server) planDeletions(from *peer, asked []kmsg.DeleteTopicsRequestTopic) []deletion {
	var plans []deletion
	found := map[segments.TopicID]int{} // where in plans
	for _, a := range asked {
		d := deletion{asked: a}
		if d.topic, d.refused = s.topicToDelete(from, a); d.topic != nil {
			if first, twice := found[d.topic.ID]; twice {
				plans[first].refused = refuse(kerr.InvalidRequest, "the request names topic %q more than once", d.topic.Name)
				continue
			}
			found[d.topic.ID] = len(plans)
		}
		plans = append(plans, d)
	}
	return plans
}

// topicToDelete finds the topic that is asked for.
func (s *Server) topicToDelete(from *peer, asked kmsg.DeleteTopicsRequestTopic) (*coordinator.Topic, *refusal) {
	byID := asked.TopicID != segments.TopicID{}
	switch {
	case byID && asked.Topic != nil:
		return nil, refuse(kerr.InvalidRequest, "a topic is deleted by name or by id, not by both")
	case byID:
		t := s.readableByID(asked.TopicID)
		switch {
		case t == nil:
			return nil, refuse(kerr.UnknownTopicID, "there is no topic with id %s", segments.TopicID(asked.TopicID))
		case !from.asks.May(access.Describe, access.Topic, t.Name):
			return nil, refuse(kerr.TopicAuthorizationFailed, "no permission to describe this topic")
		}
		refused := from.may(access.Delete, access.Topic, t.Name)
		if isInternal(t.ID) {
			return nil, cmp.Or(refused, unknownTopic(t.Name))
		}
		return t, refused
	case asked.Topic == nil:
		return nil, refuse(kerr.InvalidRequest, "neither name nor id of a topic was given")
	}
	if refused := from.may(access.Delete, access.Topic, *asked.Topic); refused != nil {
		return nil, refused
	}
	if t := s.opts.Node.View().Topic(*asked.Topic); t != nil {
		return t, nil
	}
	return nil, unknownTopic(*asked.Topic)
}

// deleteTopic deletes one topic, if it may be, and answers.
func (s *Server) deleteTopic(ctx context.Context, from *peer, d deletion) kmsg.DeleteTopicsResponseTopic {
	a := kmsg.NewDeleteTopicsResponseTopic()
	a.Topic, a.TopicID = d.asked.Topic, d.asked.TopicID
	if d.topic != nil {
		a.Topic, a.TopicID = &d.topic.Name, d.topic.ID
	}
	if d.refused == nil {
		d.refused = s.refusalOf(s.topics.Delete(ctx, d.topic))
		from.changed("DeleteTopics", d.topic.Name, d.refused)
	}
	a.ErrorCode, a.ErrorMessage = d.refused.code(), d.refused.text()
	return a
}
