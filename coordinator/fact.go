package coordinator

import (
	"fmt"
	"maps"

	"firn.dev/segments"
)

// Fact is one decision. Facts commute and are idempotent: applied in any order, any number of
// times, they give the same State. Exactly one of the pointers is set.
type Fact struct {
	Incarnation Incarnation // in which it was decided
	Commit      *Commit
	Topic       *TopicFact
	LogStart    *LogStart
	ProducerIDs *ProducerIDs
	Offsets     *Offsets
	Merge       *Merge
	Settings    *Settings

	TransactionalID *TransactionalID
}

// Commit gives offsets to (parts of) a segment's runs, and ends transactions.
type Commit struct {
	Segment segments.ID
	Spans   []CommitSpan
	Endings []Ended
	Atomic  []AtomicOffsets // of atomic requests, ascending by number
}

// CommitSpan is a span and what its batches tell of their producers and requests.
type CommitSpan struct {
	Partition segments.Partition
	Span      Span
	Producers []ProducerBatch // of the span's idempotent batches, in order
	Keyed     []Keyed         // of the span's batches with a key, in order; their Partition is the span's
	Marker    *Marker         // nil, or whose marker the span is: it has no other batch then
	Atomic    uint32          // number of the atomic request that the span is of, in its segment; 0: of none
}

// Span is contiguous bytes of one partition in a segment that have been given offsets.
type Span struct {
	Segment      segments.ID
	Base, Last   int64 // offsets, inclusive
	Position     int64 // of the first byte, in the segment
	Length       int64
	MaxTimestamp int64 // milliseconds

	// Version is 0 for bytes of a mixed segment, as they were committed. Otherwise it is the version
	// of the Merge that made the span: then the segment is a merged one, with offsets of its own, an
	// index to seek in, and maybe holes.
	Version uint64

	// Listed is 0 for bytes of a segment. Otherwise Segment names not a segment but an index object,
	// which lists this many spans, and this span stands for all of them: Position is 0, Length is
	// the sum of theirs, MaxTimestamp the largest of theirs. Version is that of the merge that put
	// it in their place.
	Listed uint32

	// Compacted says that a compaction made the span: of each key in it, it has no record that is
	// older than another one up to the end of what was compacted then. Horizon is when the first of
	// its tombstones may go, in milliseconds; 0 if it has none.
	Compacted bool
	Horizon   int64
}

// ProducerBatch is an idempotent batch as its producer numbered it.
type ProducerBatch struct {
	ProducerID    int64
	Epoch         int16
	BaseSequence  int32
	LastSequence  int32
	BaseOffset    int64
	LastTimestamp int64 // of the commit, in milliseconds by the coordinator's clock; an idle producer is forgotten by it

	Ordinal uint64 // of the transaction in which it was admitted: TransactionalID.Ordinal; 0: in none
}

// TopicFact is the whole of a topic as one change left it. Of two with the same id the higher
// Version stands, and a deleted topic stays deleted.
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
	Offsets map[segments.Partition]int64 // of MaxLogStarts partitions at most
}

// MaxLogStarts bounds the partitions of one LogStart, so that one change does not
// hold up a coordinator.
const MaxLogStarts = 1000

// Validate refuses what would hold a coordinator up.
func (l *LogStart) Validate() error {
	if len(l.Offsets) > MaxLogStarts {
		return fmt.Errorf("%w: log starts of %d partitions in one change, at most %d are allowed",
			ErrMalformed, len(l.Offsets), MaxLogStarts)
	}
	return nil
}

// ProducerIDs says that all producer ids below End may have been handed out; the higher stands.
type ProducerIDs struct {
	End int64
}

// Offsets is what one consumer group committed or deleted in one step. For each partition
// the highest Version stands.
type Offsets struct {
	Group      string
	Version    uint64 // grows with each fact of one group, and from one holder of its lease to the next
	Epoch      uint64 // of the lease under which it was decided
	Time       int64  // when it was decided, in milliseconds by the coordinator's clock
	Forget     bool   // the group is deleted: all that it committed with lower versions is gone
	Partitions []GroupOffset
}

// GroupOffset is one partition's part of it.
type GroupOffset struct {
	Partition   segments.Partition
	Offset      int64 // of the next record to read, or whatever number the client committed
	LeaderEpoch int32 // of the last record read; -1: unknown
	Deleted     bool  // what was committed is deleted: see DeletedOffset
	Metadata    string
}

// DeletedOffset deletes what a group has committed for a partition.
func DeletedOffset(at segments.Partition) GroupOffset {
	return GroupOffset{Partition: at, Offset: -1, LeaderEpoch: -1, Deleted: true}
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
	Offsets     *CommitOffsets
	Merge       *ProposeMerge
	Settings    []Setting // of different keys, MaxSettings at most

	// Of transactional ids. Refused with ErrConcurrentTransactions while the id's last fence or
	// ending is not complete: DecidedID.Complete.
	Fence  *Fence
	Add    *AddToTransaction
	Stage  *StageOffsets
	Forget *ForgetTransactionalID
}

// CommitOffsets asks for a group's offsets to be stored, under a lease: if that is not held with
// that epoch by now, by the coordinator's clock, the change is refused with ErrLeaseLost.
// Change.ID is not looked at: there are too many to remember. What makes a commit idempotent is
// its Version, which the holder of the lease gives it: of two commits of a group the higher
// stands, in whatever order they arrive, so one that comes late or twice undoes nothing.
//
// One without group and offsets changes nothing. Who holds the lease and has seen its entry has
// seen all that was decided under the lease before; and above its version, the holder may count on
// by itself.
type CommitOffsets struct {
	Lease   string
	Epoch   uint64
	Version uint64 // 0: one that is higher than all so far
	Group   string
	Forget  bool          // delete the group
	Offsets []GroupOffset // of different partitions
}

// CreateTopic asks for a topic under a name that no other topic has. The caller has validated
// name, count and configs.
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
	Assign     [][]int32 // brokers of each new partition; nil: they are not assigned
}

// Apply changes the topic, whose fact is the caller's, or returns ErrPartitionCount or
// ErrAssignmentTooLong.
func (g *Grow) Apply(t *TopicFact) error {
	if more := g.Partitions - t.Partitions; more < 1 || len(g.Assign) > 0 && len(g.Assign) != int(more) {
		return fmt.Errorf("%w: %s has %d, asked for are %d", ErrPartitionCount, t.Name, t.Partitions, g.Partitions)
	}
	brokers := make(map[int32][]int32, len(g.Assign))
	for i, of := range g.Assign {
		brokers[t.Partitions+int32(i)] = of
	}
	t.Partitions = g.Partitions
	return t.assign(brokers)
}

// Configure sets configs of a topic, and removes those whose value is nil.
type Configure struct {
	Topic  segments.TopicID
	Set    map[string]*string
	Assign map[int32][]int32 // brokers that some partitions are assigned to; others stay as they are
}

// Apply changes the topic, whose fact is the caller's, or returns ErrAssignmentTooLong.
func (c *Configure) Apply(t *TopicFact) error {
	t.configure(c.Set)
	return t.assign(c.Assign)
}

// configure sets configs. Those that the topic had may be others' too.
func (t *TopicFact) configure(set map[string]*string) {
	configs := make(map[string]string, len(t.Configs)+len(set))
	maps.Copy(configs, t.Configs)
	for key, value := range set {
		if value == nil {
			delete(configs, key)
		} else {
			configs[key] = *value
		}
	}
	t.Configs = configs
}
