package coordinator

import (
	"context"
	"time"

	"firn/segments"
)

// View is the State that all readers of a node share, kept current by the commit stream. Only confirmed facts show in it. Its
// methods are safe for concurrent use and cheap; what they return is not changed afterwards and must not be changed.
type View struct{}

// Topic is a topic as readers see it.
type Topic struct {
	ID         segments.TopicID
	Name       string
	Partitions int32
	Configs    map[string]string // those that were set; defaults are the front door's
}

// PartitionInfo is where a partition stands.
type PartitionInfo struct {
	LogStart      int64
	HighWatermark int64 // one past the last record that may be served
	Bytes         int64 // of all spans between the two
}

// ProducerState is what a partition knows of an idempotent producer.
type ProducerState struct {
	ProducerID    int64
	Epoch         int16
	LastSequence  int32
	LastTimestamp int64
	LastOffset    int64
}

// ClusterID is Kafka's cluster id: drawn when the bucket's first incarnation was made, the same ever after.
func (v *View) ClusterID() string { panic("unwritten") }

// Topic returns the topic of that name, or nil.
func (v *View) Topic(name string) *Topic { panic("unwritten") }

// TopicByID returns the topic with that id, or nil.
func (v *View) TopicByID(id segments.TopicID) *Topic { panic("unwritten") }

// Topics returns all topics, ordered by name.
func (v *View) Topics() []*Topic { panic("unwritten") }

// Partition says where a partition stands; false if there is none.
func (v *View) Partition(p segments.Partition) (PartitionInfo, bool) { panic("unwritten") }

// Spans returns up to n spans in order of offsets, from the one that holds offset on (or the first behind it), all below the
// high watermark and not wholly below the log start.
func (v *View) Spans(p segments.Partition, offset int64, n int) []Span { panic("unwritten") }

// SpanByTime returns the first span that holds a record with this timestamp or a later one.
func (v *View) SpanByTime(p segments.Partition, timestamp int64) (Span, bool) { panic("unwritten") }

// SpanOfMaxTimestamp returns the first of the spans with the largest timestamp.
func (v *View) SpanOfMaxTimestamp(p segments.Partition) (Span, bool) { panic("unwritten") }

// Producers returns the idempotent producers that the partition remembers, ordered by id.
func (v *View) Producers(p segments.Partition) []ProducerState { panic("unwritten") }

// Watch is told of every high watermark that moves, and every topic that changes, from the moment of the call on. One
// signal may stand for many moves. Close it after use.
func (v *View) Watch(ps ...segments.Partition) *Watch { panic("unwritten") }

// Watch is a subscription to some partitions.
type Watch struct{ C <-chan struct{} }

// Close ends the subscription.
func (w *Watch) Close() { panic("unwritten") }

// WaitFor waits until the high watermark of p is greater than offset. It returns ErrUnknownPartition if p goes away meanwhile.
func (v *View) WaitFor(ctx context.Context, p segments.Partition, offset int64) error {
	panic("unwritten")
}

// Stalled waits until decided facts have awaited their confirmation for longer than age, and returns those, oldest first. It runs no timer while
// nothing awaits confirmation.
func (v *View) Stalled(ctx context.Context, age time.Duration) ([]Entry, error) { panic("unwritten") }
