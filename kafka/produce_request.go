package kafka

import (
	"fmt"

	"firn/segments"
)

// produceRequest is a decoded Produce request. It is decoded by hand and not by kmsg, because records then stay where they were read and nothing
// but the two levels of slices is allocated, whose length is bounded by the bytes that were sent.
type produceRequest struct {
	Transactional bool // it carries a transactional id
	Acks          int16
	TimeoutMillis int32
	Topics        []produceTopic
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

const (
	produceTopicIDs = 13 // the first version that names topics by id
	produceFlexible = 9  // the first with compact types and tagged fields
)

// decodeProduce decodes the body of a Produce request. The result aliases body.
func decodeProduce(version int16, body []byte) (produceRequest, error) {
	in := wire{src: body}
	flexible := version >= produceFlexible
	var req produceRequest
	req.Transactional = in.optionalString(flexible) != nil
	req.Acks = in.int16()
	req.TimeoutMillis = in.int32()
	req.Topics = make([]produceTopic, in.count(flexible, 3))
	for i := range req.Topics {
		req.Topics[i].decode(&in, version)
	}
	if flexible {
		in.skipTags()
	}
	if in.bad {
		return produceRequest{}, fmt.Errorf("%w: Produce version %d of %d bytes", errFrame, version, len(body))
	}
	return req, nil
}

func (t *produceTopic) decode(in *wire, version int16) {
	flexible := version >= produceFlexible
	if version >= produceTopicIDs {
		copy(t.ID[:], in.span(len(t.ID)))
	} else {
		t.Name = in.optionalString(flexible)
	}
	t.Partitions = make([]producePartition, in.count(flexible, 5))
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
