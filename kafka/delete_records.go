package kafka

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// DeleteRecords, versions 0 to 2, as Kafka 4. Any node serves every partition.
//
//   - It moves the log start up; -1 stands for the high watermark. Records below it are not served any more from then on, and their
//     objects leave the bucket later. An offset at or below the log start changes nothing and is no error.
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
	starts := map[segments.Partition]int64{}
	refused := make([]*refusal, len(asked.Partitions))
	forbidden := from.may(access.Delete, access.Topic, asked.Topic)
	for i, p := range asked.Partitions {
		if refused[i] = forbidden; forbidden == nil {
			refused[i] = s.planDelete(asked.Topic, p, starts)
		}
	}
	failed := s.moveStarts(ctx, starts)
	for i, p := range asked.Partitions {
		if refused[i] == nil {
			refused[i] = s.refusalOf(failed[p.Partition])
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

// moveStarts moves the log starts of partitions of one topic, and says of which that failed, and why.
func (s *Server) moveStarts(ctx context.Context, starts map[segments.Partition]int64) map[int32]error {
	failed := map[int32]error{}
	for some := range slices.Chunk(slices.Collect(maps.Keys(starts)), coordinator.MaxLogStarts) {
		l := &coordinator.LogStart{Offsets: make(map[segments.Partition]int64, len(some))}
		for _, at := range some {
			l.Offsets[at] = starts[at]
		}
		if _, err := s.change(ctx, coordinator.Change{LogStart: l}); err != nil {
			for _, at := range some {
				failed[at.Index] = err
			}
		}
	}
	return failed
}

// planDelete notes where the log of one partition has to start, if that is further up than it does.
func (s *Server) planDelete(topic string, asked kmsg.DeleteRecordsRequestTopicPartition, starts map[segments.Partition]int64) *refusal {
	p, info, refused := s.partition(topic, asked.Partition, -1)
	if refused != nil {
		return refused
	}
	if t := s.opts.Node.View().TopicByID(p.Topic); t != nil {
		if c, _ := topicconfig.Parse(t.Configs); c.Compact && !c.Delete {
			return refuse(kerr.PolicyViolation, "topic %q is only compacted: records are deleted by writing their keys without values", topic)
		}
	}
	offset := asked.Offset
	if offset == -1 {
		offset = info.HighWatermark
	}
	if offset < 0 || offset > info.HighWatermark {
		return refuse(kerr.OffsetOutOfRange, "offset %d lies beyond the high watermark %d", offset, info.HighWatermark)
	}
	if offset > info.LogStart {
		starts[p] = max(starts[p], offset)
	}
	return nil
}
