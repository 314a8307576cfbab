package kafka

import (
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/groups"
	"firn.dev/segments"
)

// shareFetchResponse is written by hand, like fetchResponse, so that records are not copied.
type shareFetchResponse struct {
	*kmsg.ShareFetchResponse // without topics
	topics                   []*shareTopic
	known                    map[segments.TopicID]*shareTopic
	partitions               map[segments.Partition]*shareFetched
}

// shareTopic is what the answer says of one topic.
type shareTopic struct {
	id         segments.TopicID
	partitions []*shareFetched
}

// shareFetched is what the answer says of one partition.
type shareFetched struct {
	segments.Partition
	refused      *refusal
	acknowledged *refusal
	acquired     []groups.AcquiredRange
	batches      [][]byte
	bytes        int
}

func newShareFetchResponse(req *kmsg.ShareFetchRequest) *shareFetchResponse {
	return &shareFetchResponse{ShareFetchResponse: req.ResponseKind().(*kmsg.ShareFetchResponse),
		known: map[segments.TopicID]*shareTopic{}, partitions: map[segments.Partition]*shareFetched{}}
}

// at is the part of the answer that is about a partition.
func (r *shareFetchResponse) at(p segments.Partition) *shareFetched {
	if a := r.partitions[p]; a != nil {
		return a
	}
	t := r.known[p.Topic]
	if t == nil {
		t = &shareTopic{id: p.Topic}
		r.known[p.Topic] = t
		r.topics = append(r.topics, t)
	}
	a := &shareFetched{Partition: p}
	t.partitions = append(t.partitions, a)
	r.partitions[p] = a
	return a
}

// recordBytes is how many bytes of records there are.
func (r *shareFetchResponse) recordBytes() (n int) {
	for _, p := range r.partitions {
		n += p.bytes
	}
	return n
}

// refuses says that the client is to hear of an error now.
func (r *shareFetchResponse) refuses() bool {
	for _, p := range r.partitions {
		if p.refused != nil {
			return true
		}
	}
	return r.ErrorCode != 0
}

func (r *shareFetchResponse) firstError() int16 {
	if r.ErrorCode != 0 {
		return r.ErrorCode
	}
	for _, t := range r.topics {
		for _, p := range t.partitions {
			for _, refused := range []*refusal{p.refused, p.acknowledged} {
				if code := refused.code(); code != 0 {
					return code
				}
			}
		}
	}
	return 0
}

// appendBuffers returns the response: everything but records in one buffer, cut where records go.
func (r *shareFetchResponse) appendBuffers(head []byte) net.Buffers {
	room := len(head) + 64 + 32*len(r.topics)
	for _, p := range r.partitions {
		room += 96 + len(orEmpty(p.refused.text())) + len(orEmpty(p.acknowledged.text())) + 20*len(p.acquired)
	}
	w := fetchWriter{version: fetchTopicIDs, flexible: true, meta: append(make([]byte, 0, room), head...)}
	w.int32(r.ThrottleMillis)
	w.int16(r.ErrorCode)
	w.text(r.ErrorMessage)
	w.int32(r.AcquisitionLockTimeoutMillis)
	w.count(len(r.topics))
	for _, t := range r.topics {
		w.topic(fetchTopic{id: t.id})
		w.count(len(t.partitions))
		for _, p := range t.partitions {
			w.shared(p)
		}
		w.noTags()
	}
	w.count(0) // nodes
	w.noTags()
	w.cut()
	return w.out
}

func (w *fetchWriter) shared(p *shareFetched) {
	w.int32(p.Index)
	w.int16(p.refused.code())
	w.text(p.refused.text())
	w.int16(p.acknowledged.code())
	w.text(p.acknowledged.text())
	w.int32(-1) // the leader is who answers
	w.int32(-1)
	w.noTags()
	w.count(p.bytes)
	if p.bytes > 0 {
		w.cut()
		w.out = append(w.out, p.batches...)
	}
	w.count(len(p.acquired))
	for _, r := range p.acquired {
		w.int64(r.First)
		w.int64(r.Last)
		w.int16(r.Deliveries)
		w.noTags()
	}
	w.noTags()
}

// text writes a string that may be null.
func (w *fetchWriter) text(s *string) {
	if s == nil {
		w.count(-1)
		return
	}
	w.count(len(*s))
	w.meta = append(w.meta, *s...)
}
