package kafka

import (
	"fmt"

	"firn.dev/segments"
)

// produceRequest is a decoded Produce request. It is decoded by hand and not by kmsg, because
// records then stay where they were read and nothing but the two levels of slices is allocated,
// whose length is bounded by the bytes that were sent.
type produceRequest struct {
	TransactionalID []byte // nil: none
	Acks            int16
	TimeoutMillis   int32
	Topics          []produceTopic
}

type produceTopic struct {
	Name       []byte           // v3-v12
	ID         segments.TopicID // v13
	Partitions []producePartition
}

type producePartition struct {
	Index   int32
	Records []byte
}

// maxProducePartitions is how many partitions a Produce request may name in all. Each gets an
// answer of some hundred bytes, whereas asking costs six.
const maxProducePartitions = 20_000

// A Produce request takes so much memory for each partition, beside its bytes: for checks, for the
// batch, for the answer. It is counted where partitions are many: few of them are few beside the
// records.
const (
	producePartitionBytes = 640
	fewPartitions         = 64
)

// partitions is how many partitions a request names.
func (r *produceRequest) partitions() (n int) {
	for i := range r.Topics {
		n += len(r.Topics[i].Partitions)
	}
	return n
}

const (
	produceTopicIDs = 13 // the first version that names topics by id
	produceFlexible = 9  // the first with compact types and tagged fields
)

// decodeProduce decodes the body of a Produce request. The result aliases body.
func decodeProduce(version int16, body []byte) (produceRequest, error) {
	in := wire{src: body}
	flexible := version >= produceFlexible
	var req produceRequest
	req.TransactionalID = in.optionalString(flexible)
	req.Acks = in.int16()
	req.TimeoutMillis = in.int32()
	req.Topics = make([]produceTopic, in.countUpTo(maxProducePartitions, flexible, 3))
	for i, room := 0, maxProducePartitions; i < len(req.Topics); i++ {
		req.Topics[i].decode(&in, version, room)
		room -= len(req.Topics[i].Partitions)
	}
	if flexible {
		in.skipTags()
	}
	if in.bad {
		return produceRequest{}, fmt.Errorf(
			"%w: Produce version %d of %d bytes, or one of more than %d partitions",
			errFrame,
			version,
			len(body),
			maxProducePartitions,
		)
	}
	return req, nil
}

// decode reads one topic with up to room partitions.
func (t *produceTopic) decode(in *wire, version int16, room int) {
	flexible := version >= produceFlexible
	if version >= produceTopicIDs {
		copy(t.ID[:], in.span(len(t.ID)))
	} else {
		t.Name = in.optionalString(flexible)
	}
	t.Partitions = make([]producePartition, in.countUpTo(room, flexible, 5))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		p.Index = in.int32()
		p.Records = in.optionalBytes(flexible)
		if flexible {
			in.skipTags()
		}
	}
	if flexible {
		in.skipTags()
	}
}
