package coordinator

import "firn/segments"

// Fact is one decision. Facts commute and are idempotent: applied in any order, any number of times, they give the same State. Exactly
// one of the pointers is set.
type Fact struct {
	Incarnation Incarnation // in which it was decided
	Commit      *Commit
	Topic       *TopicFact
	LogStart    *LogStart
	ProducerIDs *ProducerIDs
}

// Commit gives offsets to (parts of) a segment's runs.
type Commit struct {
	Segment segments.ID
	Spans   []CommitSpan
}

// CommitSpan is a span and what its batches tell of their producers.
type CommitSpan struct {
	Partition segments.Partition
	Span      Span
	Producers []ProducerBatch // of the span's idempotent batches, in order
}

// Span is contiguous bytes of one partition in a segment that have been given offsets.
type Span struct {
	Segment      segments.ID
	Base, Last   int64 // offsets, inclusive
	Position     int64 // of the first byte, in the segment
	Length       int64
	MaxTimestamp int64 // milliseconds
}

// ProducerBatch is an idempotent batch as its producer numbered it.
type ProducerBatch struct {
	ProducerID    int64
	Epoch         int16
	BaseSequence  int32
	LastSequence  int32
	BaseOffset    int64
	LastTimestamp int64 // of the commit, in milliseconds by the coordinator's clock; decides when an idle producer is forgotten
}

// TopicFact is the whole of a topic as one change left it. Of two with the same id the higher Version stands, and a
// deleted topic stays deleted.
type TopicFact struct {
	ID         segments.TopicID
	Name       string
	Version    uint64
	Partitions int32
	Configs    map[string]string
	Deleted    bool
}

// LogStart moves the log start offset of partitions up; the higher stands.
type LogStart struct {
	Offsets map[segments.Partition]int64
}

// ProducerIDs says that all producer ids below End may have been handed out; the higher stands.
type ProducerIDs struct {
	End int64
}

// Change asks Propose for a fact. Exactly one of the pointers is set.
type Change struct {
	ID          segments.ID // of this request: proposing it again gives the first entry again
	CreateTopic *CreateTopic
	DeleteTopic *segments.TopicID
	Grow        *Grow
	Configure   *Configure
	LogStart    *LogStart
	ProducerIDs int64 // how many ids to hand out: [fact.End-n, fact.End)
}

// CreateTopic asks for a topic under a name that no other has. The caller has validated name, count and configs.
type CreateTopic struct {
	ID         segments.TopicID
	Name       string
	Partitions int32
	Configs    map[string]string
}

// Grow asks for a larger number of partitions.
type Grow struct {
	Topic      segments.TopicID
	Partitions int32
}

// Configure sets configs of a topic, and removes those whose value is nil.
type Configure struct {
	Topic segments.TopicID
	Set   map[string]*string
}
