package kafka

import (
	"encoding/binary"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
)

// fetchResponse is written by hand, so that records go from the index's memory to the socket
// without being copied.
type fetchResponse struct {
	*kmsg.FetchResponse // version, error, session; without topics
	topics              []fetchTopic
	partitions          []fetchPartition // of all topics, in the order of the request
	committed           bool             // read_committed
}

func newFetchResponse(req *kmsg.FetchRequest) *fetchResponse {
	return &fetchResponse{
		FetchResponse: req.ResponseKind().(*kmsg.FetchResponse),
	}
}

func (r *fetchResponse) firstError() int16 {
	for i := range r.partitions {
		if code := r.partitions[i].refused.code(); code != 0 {
			return code
		}
	}
	return r.ErrorCode
}

// recordBytes is how many bytes of records there are.
func (r *fetchResponse) recordBytes() (n int) {
	for i := range r.partitions {
		n += r.partitions[i].bytes
	}
	return n
}

// Versions in which the response changed.
const (
	fetchLogStart         = 5
	fetchPreferredReplica = 11
	fetchFlexible         = 12
)

// appendBuffers returns the response: everything but records in one buffer, cut where records go.
func (r *fetchResponse) appendBuffers(head []byte) net.Buffers {
	w := fetchWriter{version: r.Version, flexible: r.Version >= fetchFlexible, meta: r.room(head)}
	w.int32(r.ThrottleMillis)
	if r.Version >= fetchSessions {
		w.int16(r.ErrorCode)
		w.int32(r.SessionID)
	}
	w.count(len(r.topics))
	rest := r.partitions
	for _, t := range r.topics {
		w.topic(t)
		w.count(t.partitions)
		for i := range t.partitions {
			w.partition(&rest[i], r.committed)
		}
		rest = rest[t.partitions:]
		w.noTags()
	}
	w.noTags()
	w.cut()
	return w.out
}

// room returns head with capacity for everything but records.
func (r *fetchResponse) room(head []byte) []byte {
	size := len(head) + 32 + 64*len(r.partitions)
	for _, t := range r.topics {
		size += 32 + len(t.name)
	}
	return append(make([]byte, 0, size), head...)
}

// fetchWriter writes Kafka's types into meta, and whole buffers between.
type fetchWriter struct {
	version  int16
	flexible bool
	out      net.Buffers
	meta     []byte
	from     int // of what is in meta and not yet in out
}

// cut puts what was written since the last cut into out.
func (w *fetchWriter) cut() {
	if len(w.meta) > w.from {
		w.out = append(w.out, w.meta[w.from:len(w.meta):len(w.meta)])
		w.from = len(w.meta)
	}
}

func (w *fetchWriter) int16(v int16) { w.meta = binary.BigEndian.AppendUint16(w.meta, uint16(v)) }
func (w *fetchWriter) int32(v int32) { w.meta = binary.BigEndian.AppendUint32(w.meta, uint32(v)) }
func (w *fetchWriter) int64(v int64) { w.meta = binary.BigEndian.AppendUint64(w.meta, uint64(v)) }

// count writes the length of an array or of bytes, -1 for null.
func (w *fetchWriter) count(n int) {
	if w.flexible {
		w.meta = binary.AppendUvarint(w.meta, uint64(n+1))
		return
	}
	w.int32(int32(n))
}

func (w *fetchWriter) noTags() {
	if w.flexible {
		w.meta = append(w.meta, 0)
	}
}

func (w *fetchWriter) topic(t fetchTopic) {
	switch {
	case w.version >= fetchTopicIDs:
		w.meta = append(w.meta, t.id[:]...)
	case w.flexible:
		w.count(len(t.name))
		w.meta = append(w.meta, t.name...)
	default:
		w.int16(int16(len(t.name)))
		w.meta = append(w.meta, t.name...)
	}
}

// aborted writes the aborted transactions of a partition.
func (w *fetchWriter) aborted(all []coordinator.AbortedTransaction) {
	w.count(len(all))
	for _, a := range all {
		w.int64(a.ProducerID)
		w.int64(a.FirstOffset)
		w.noTags()
	}
}

func (w *fetchWriter) partition(p *fetchPartition, committed bool) {
	w.int32(p.Index)
	w.int16(p.refused.code())
	highWatermark, lastStable, logStart := p.highWatermark, p.lastStable, p.logStart
	if p.refused != nil {
		highWatermark, lastStable, logStart = -1, -1, -1
	}
	w.int64(highWatermark)
	w.int64(lastStable)
	if w.version >= fetchLogStart {
		w.int64(logStart)
	}
	if committed {
		w.aborted(p.aborted)
	} else {
		w.count(-1) // null where nobody asks
	}
	if w.version >= fetchPreferredReplica {
		w.int32(p.closer)
	}
	w.count(p.bytes)
	if p.bytes > 0 {
		w.cut()
		w.out = append(w.out, p.batches...)
	}
	w.noTags()
}
