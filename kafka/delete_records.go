package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/segments"
	"firn.dev/topics"
)

// DeleteRecords, versions 0 to 2, as Kafka 4. Any node serves every partition.
//
//   - It moves the log start up; -1 stands for the high watermark. Records below it are not served
//     any more from then on, and their objects leave the bucket later. An offset at or below the
//     log start changes nothing and is no error.
//   - Partitions of one topic are changed together, as many at once as a change may have.
//   - A topic whose cleanup policy is only "compact" is a POLICY_VIOLATION.
func init() {
	register(0, 2, deleteRecords, rules{needs: []access.Need{access.Delete.On(access.Topic)}, quota: access.Requests})
}

func deleteRecords(ctx context.Context, s *Server, from *peer, req *kmsg.DeleteRecordsRequest) (kmsg.Response, error) {
	ctx, cancel := withTimeout(ctx, req.TimeoutMillis)
	defer cancel()
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, len(req.Topics))
	inParallel(len(req.Topics), func(i int) { resp.Topics[i] = s.deleteTopicRecords(ctx, from, req.Topics[i]) })
	return resp, nil
}

func (s *Server) deleteTopicRecords(ctx context.Context, from *peer,
	asked kmsg.DeleteRecordsRequestTopic) kmsg.DeleteRecordsResponseTopic {
	starts := topics.Trimming{}
	places, refused := make([]segments.Partition, len(asked.Partitions)), make([]*refusal, len(asked.Partitions))
	forbidden := from.may(access.Delete, access.Topic, asked.Topic)
	for i, p := range asked.Partitions {
		if refused[i] = forbidden; forbidden == nil {
			places[i], refused[i] = s.planDelete(asked.Topic, p, starts)
		}
	}
	failed := s.topics.Trim(ctx, starts)
	for i := range asked.Partitions {
		if refused[i] == nil {
			refused[i] = s.refusalOf(failed[places[i]])
		}
	}
	for i, p := range asked.Partitions {
		if forbidden == nil {
			from.changed("DeleteRecords", fmt.Sprintf("%s/%d before offset %d", asked.Topic, p.Partition, p.Offset), refused[i])
		}
	}
	a := kmsg.NewDeleteRecordsResponseTopic()
	a.Topic = asked.Topic
	for i, p := range asked.Partitions {
		answer := kmsg.NewDeleteRecordsResponseTopicPartition()
		answer.Partition, answer.LowWatermark = p.Partition, -1
		if refused[i] == nil {
			_, info, gone := s.partition(asked.Topic, p.Partition, -1)
			answer.LowWatermark, refused[i] = info.LogStart, gone
		}
		answer.ErrorCode = refused[i].code()
		a.Partitions = append(a.Partitions, answer)
	}
	return a
}

// planDelete notes where the log of one partition has to start, if that is further up than it does.
func (s *Server) planDelete(topic string, asked kmsg.DeleteRecordsRequestTopicPartition, starts topics.Trimming) (
	segments.Partition, *refusal) {
	at, info, refused := s.partition(topic, asked.Partition, -1)
	if refused != nil {
		return at, refused
	}
	if t := s.opts.Node.View().TopicByID(at.Topic); t != nil {
		if err := s.topics.CheckTrim(t); err != nil {
			return at, s.refusalOf(err)
		}
	}
	return at, s.refusalOf(starts.Add(at, info, asked.Offset))
}
