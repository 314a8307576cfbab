package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lookBytes bounds one look for what a partition still has.
const lookBytes = 1 << 20

// lookout finds stretches in which a reader gets nothing. The client passes over aborted records,
// and over offsets that compaction has emptied, and does not tell: without a look the end of a
// stretch that has nothing else would be waited for without end.
type lookout struct {
	client    *kgo.Client
	topic     string
	topicID   [16]byte
	isolation kgo.IsolationLevel
	level     int8
	passed    map[int32]int64 // up to where a look found nothing, and went on
}

// isOver says whether nothing is to be had from an offset of a partition on before the end. It says
// no where it cannot find out: the client tells what is wrong.
func (l *lookout) isOver(ctx context.Context, partition int32, from, end int64) bool {
	at := max(from, l.passed[partition])
	for at < end {
		part, next := l.look(ctx, partition, at)
		if part.Err != nil || next <= at {
			return false
		}
		if len(part.Records) > 0 {
			return part.Records[0].Offset >= end
		}
		at = next
		l.passed[partition] = at
	}
	return true
}

// look fetches what comes from an offset on, and returns the offset behind it.
func (l *lookout) look(ctx context.Context, partition int32, at int64) (part kgo.FetchPartition, next int64) {
	leader, _, err := l.client.PartitionLeader(l.topic, partition)
	if err != nil {
		return kgo.FetchPartition{Err: err}, at
	}
	wanted := kmsg.NewFetchRequestTopicPartition()
	wanted.Partition, wanted.FetchOffset, wanted.PartitionMaxBytes = partition, at, lookBytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = l.topic, l.topicID, append(topic.Partitions, wanted)
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.IsolationLevel, req.Topics = 1, lookBytes, l.level, append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, l.client.Broker(int(leader)))
	if err != nil {
		return kgo.FetchPartition{Err: err}, at
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return part, at
	}
	return kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: at, IsolationLevel: l.isolation,
		Topic: l.topic, Partition: partition}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
}

// lookout makes one for the records that the options ask for.
func (o *consumeOptions) lookout(cl *kgo.Client) *lookout {
	l := &lookout{client: cl, topic: o.topic, topicID: o.topicID, isolation: o.isolation.level(),
		passed: map[int32]int64{}}
	if o.isolation == readCommitted {
		l.level = 1
	}
	return l
}
