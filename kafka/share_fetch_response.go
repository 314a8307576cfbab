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
	partitions               []*shareFetched
	known                    map[segments.Partition]*shareFetched
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
		known: map[segments.Partition]*shareFetched{}}
}

// at is the part of the answer that is about a partition. Those of a topic follow each other.
func (r *shareFetchResponse) at(p segments.Partition) *shareFetched {
	a := r.known[p]
	if a == nil {
		a = &shareFetched{Partition: p}
		r.known[p] = a
		i := len(r.partitions)
		for i > 0 && r.partitions[i-1].Topic != p.Topic {
			i--
		}
		if i == 0 {
			i = len(r.partitions)
		}
		r.partitions = append(r.partitions[:i:i], append([]*shareFetched{a}, r.partitions[i:]...)...)
	}
	return a
}

func (r *shareFetchResponse) bytes() (n int) {
	for _, p := range r.partitions {
		n += p.bytes
	}
	return n
}

func (r *shareFetchResponse) recordBytes() int { return r.bytes() }

func (r *shareFetchResponse) firstError() int16 {
	for _, p := range r.partitions {
		if code := max(p.refused.code(), p.acknowledged.code()); code != 0 && r.ErrorCode == 0 {
			return code
		}
	}
	return r.ErrorCode
}

// appendBuffers returns the response: everything but records in one buffer, cut where records go.
func (r *shareFetchResponse) appendBuffers(head []byte) net.Buffers {
	room := len(head) + 64
	topics := 0
	for i, p := range r.partitions {
		room += 96 + len(orEmpty(p.refused.text())) + len(orEmpty(p.acknowledged.text())) + 20*len(p.acquired)
		if i == 0 || p.Topic != r.partitions[i-1].Topic {
			topics++
		}
	}
	w := fetchWriter{version: fetchTopicIDs, flexible: true, meta: append(make([]byte, 0, room), head...)}
	w.int32(r.ThrottleMillis)
	w.int16(r.ErrorCode)
	w.text(r.ErrorMessage)
	w.int32(r.AcquisitionLockTimeoutMillis)
	w.count(topics)
	for i, p := range r.partitions {
		if i == 0 || p.Topic != r.partitions[i-1].Topic {
			if i > 0 {
				w.noTags()
			}
			n := i
			for n < len(r.partitions) && r.partitions[n].Topic == p.Topic {
				n++
			}
			w.topic(fetchTopic{id: p.Topic})
			w.count(n - i)
		}
		w.shared(p)
	}
	if topics > 0 {
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
