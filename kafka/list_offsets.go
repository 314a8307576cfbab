package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
)

// ListOffsets, versions 1 to 11, as Kafka 4. Any node serves every partition.
//
//   - Beside a timestamp there are the special ones below, each from some version on; others are
//     UNSUPPORTED_VERSION, as in Kafka.
//   - "Local" and "tiered" are one in Firn: every record is in the bucket. The earliest local
//     offset is the log start; there is no answer (-1) to the latest tiered and the earliest
//     pending one, as from a Kafka without tiered storage.
//   - The newest offset counts what other nodes have acknowledged before the request, unless this
//     node is cut off from the coordinator: then it is the newest that this node knows.
//   - Who reads committed records alone gets the last stable offset for the newest one, and finds
//     nothing from there on by time.
//   - The timeout (version 10 on) bounds lookups by time, which may have to read the bucket.
func init() {
	register(
		1,
		11,
		listOffsets,
		rules{needs: []access.Need{access.Describe.On(access.Topic)}, quota: access.Requests},
	)
}

// Special timestamps.
const (
	latestOffset        = -1
	earliestOffset      = -2
	maxTimestampOffset  = -3 // KIP-734
	earliestLocalOffset = -4 // KIP-405
	latestTieredOffset  = -5 // KIP-1005
	earliestPendingCopy = -6 // KIP-1023
)

// specialSince says from which version on each special timestamp may be used.
var specialSince = map[int64]int16{
	latestOffset: 1, earliestOffset: 1, maxTimestampOffset: 7, earliestLocalOffset: 8, latestTieredOffset: 9,
	earliestPendingCopy: 11,
}

func listOffsets(ctx context.Context, s *Server, from *peer, req *kmsg.ListOffsetsRequest) (kmsg.Response, error) {
	ctx, cancel := withTimeout(ctx, req.TimeoutMillis)
	defer cancel()
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	twice := listedTwice(req.Topics)
	s.catchUp(ctx)
	forbidden := make([]*refusal, len(req.Topics))
	// topic and partition of the request: a lookup by time may have to read the bucket, whichever
	// topic it is of
	var all [][2]int
	for i, t := range req.Topics {
		resp.Topics[i].Topic = t.Topic
		forbidden[i] = from.may(access.Describe, access.Topic, t.Topic)
		resp.Topics[i].Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			all = append(all, [2]int{i, j})
		}
	}
	inParallel(len(all), func(n int) {
		i, j := all[n][0], all[n][1]
		name, asked := req.Topics[i].Topic, req.Topics[i].Partitions[j]
		a := kmsg.NewListOffsetsResponseTopicPartition()
		a.Partition = asked.Partition
		switch {
		case forbidden[i] != nil:
			a.ErrorCode = forbidden[i].code()
		case twice[topicPartition{name, asked.Partition}]:
			a.ErrorCode = kerr.InvalidRequest.Code
		default:
			a.ErrorCode = s.listOffset(ctx, req, name, asked, &a).code()
		}
		resp.Topics[i].Partitions[j] = a
	})
	return resp, nil
}

// topicPartition names a partition as clients do.
type topicPartition struct {
	topic     string
	partition int32
}

// listedTwice returns the partitions that are asked for more than once, all of which Kafka refuses.
func listedTwice(topics []kmsg.ListOffsetsRequestTopic) map[topicPartition]bool {
	seen, twice := map[topicPartition]bool{}, map[topicPartition]bool{}
	for _, t := range topics {
		for _, p := range t.Partitions {
			name := topicPartition{t.Topic, p.Partition}
			if seen[name] {
				twice[name] = true
			}
			seen[name] = true
		}
	}
	return twice
}

// listOffset fills in the answer for one partition, or refuses.
func (s *Server) listOffset(ctx context.Context, req *kmsg.ListOffsetsRequest, topic string,
	asked kmsg.ListOffsetsRequestTopicPartition, a *kmsg.ListOffsetsResponseTopicPartition) *refusal {
	if since, special := specialSince[asked.Timestamp]; asked.Timestamp < 0 && (!special || req.Version < since) {
		return refuse(kerr.UnsupportedVersion, "timestamp %d", asked.Timestamp)
	}
	at, info, refused := s.readablePartition(topic, asked.Partition, asked.CurrentLeaderEpoch)
	if refused != nil {
		return refused
	}
	end := info.HighWatermark
	if req.IsolationLevel == readCommitted {
		end = info.LastStable
	}
	switch asked.Timestamp {
	case earliestOffset, earliestLocalOffset:
		a.Offset, a.LeaderEpoch = info.LogStart, leaderEpoch
	case latestOffset:
		a.Offset, a.LeaderEpoch = end, leaderEpoch
	case latestTieredOffset, earliestPendingCopy: // no answer
	default:
		found, ok, err := s.offsetByTime(ctx, at, asked.Timestamp)
		if err != nil {
			return s.unsearchable(at, err)
		}
		if ok && (found.Offset < end || req.IsolationLevel != readCommitted) {
			a.Offset, a.Timestamp, a.LeaderEpoch = found.Offset, found.Timestamp, leaderEpoch
		}
	}
	return nil
}

func (s *Server) offsetByTime(
	ctx context.Context,
	at segments.Partition,
	timestamp int64,
) (index.Position, bool, error) {
	if at.Topic == offsetsTopic.ID {
		found, ok := s.commits.byTime(timestamp)
		return found, ok, nil
	}
	if isInternal(at.Topic) {
		return index.Position{}, false, nil
	}
	if timestamp == maxTimestampOffset {
		return s.opts.Index.MaxTimestamp(ctx, at)
	}
	return s.opts.Index.ByTime(ctx, at, timestamp)
}

// unsearchable is the answer for a partition in which a lookup by time failed. Clients try again
// after a KAFKA_STORAGE_ERROR.
func (s *Server) unsearchable(at segments.Partition, err error) *refusal {
	if errors.Is(err, coordinator.ErrUnknownPartition) || errors.Is(err, context.DeadlineExceeded) {
		return s.refusalOf(err)
	}
	s.opts.Logger.Error("ListOffsets cannot search a partition", "partition", at, "error", err)
	return refuse(kerr.KafkaStorageError, "%v", err)
}

// partition finds a partition by the topic's name, and checks the leader epoch that the client
// believes in.
func (s *Server) partition(
	topic string,
	number, epoch int32,
) (segments.Partition, coordinator.PartitionInfo, *refusal) {
	view := s.opts.Node.View()
	t := view.Topic(topic)
	if t == nil {
		return segments.Partition{}, coordinator.PartitionInfo{}, unknownTopic(topic)
	}
	at := segments.Partition{Topic: t.ID, Index: number}
	info, there := view.Partition(at)
	if !there {
		return at, info, noPartition(number)
	}
	return at, info, checkLeaderEpoch(epoch)
}
