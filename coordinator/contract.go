package coordinator

import (
	"context"
	"errors"
	"iter"
	"time"

	"firn.dev/segments"
)

// Incarnation numbers the times that coordinator state was built from the bucket. It grows
// by one each time.
type Incarnation uint64

// Coordinator decides order. It is fast and may forget: everything that it decided and that a
// client was told of is in the bucket, and when it has lost anything its incarnation is over.
// Implementations pass the suite in coordinatortest.
//
// Every call that decides carries the incarnation that the caller lives in and fails with
// ErrIncarnation if that is not the current one: the caller must then begin a new life. Calls may
// be repeated after any error: Commit is idempotent by segment id, Propose by change id, Confirm by
// itself. The exception is Open.
type Coordinator interface {
	Log
	Lookups
	Leases
	Registry
	Recoveries
}

// Log decides, and numbers its decisions in one stream.
type Log interface {
	// Generation returns what is open: the current incarnation, and which opening of it
	// this is. It returns ErrNotOpen if there is no state that can be trusted: then a node
	// has to Recover and Open.
	Generation(ctx context.Context) (Generation, error)

	// Open loads recovered state as that of a new incarnation, if it holds none or a lower one.
	// Otherwise it returns ErrIncarnation.
	//
	// A state is opened at most once, whatever comes of it. Parts may be loaded again: after any other
	// error than the following the same state may be tried again. ErrOpening says that the opening
	// itself was sent and its outcome is not known: see there. ErrOpenedBefore refuses all further
	// tries with the state.
	Open(ctx context.Context, state *State) error

	// Commit gives the batches of a segment their offsets, in one atomic step: for each batch, in
	// order, it checks partition and producer state and takes the next offsets or rejects that batch
	// alone. Committing a segment again gives the first answer again; if only some of its batches
	// survived a recovery, those keep their offsets and the others, rejected ones among them, are
	// decided anew. A segment whose id is older than the commit deadline, by the coordinator's clock,
	// is refused with ErrTooOld. Commits of that age are forgotten, so it stays refused if that clock
	// is set back.
	Commit(ctx context.Context, in Incarnation, req CommitRequest) (CommitAnswer, error)

	// Propose decides a change of anything but records: see Change. A change that cannot be made is
	// refused with one of this package's errors, one of a kind that the implementation does not know
	// with ErrUnknownChange.
	Propose(ctx context.Context, in Incarnation, change Change) (Entry, error)

	// Confirm says that the facts with these stream numbers are in the journal. Their effects become
	// visible to every reader: high watermarks move over the confirmed prefix. Numbers that are
	// confirmed already are no error.
	Confirm(ctx context.Context, in Incarnation, seqs []uint64) error

	Stream
}

// Stream is the commit stream of a Log.
type Stream interface {
	// Settled returns a number up to which every fact is confirmed, and so in the journal. A follower
	// that reads the bucket after this call, and then follows from that number, misses nothing.
	Settled(ctx context.Context, in Incarnation) (uint64, error)

	// Latest returns the number of the newest entry. A follower that has applied this entry has seen
	// everything that was acknowledged before the call.
	Latest(ctx context.Context, in Incarnation) (uint64, error)

	// Follow yields the entries with numbers greater than after, in order, and waits for more until
	// ctx ends. It ends with ErrIncarnation when the incarnation does, and with ErrTrimmed when
	// entries after `after` are no longer kept: the follower then starts again from the bucket.
	// Entries of facts that await their confirmation are always kept.
	Follow(ctx context.Context, in Incarnation, after uint64) iter.Seq2[Entry, error]
}

// Lookups answer callers that have no View: guests.
type Lookups interface {
	// Topic returns the live topic of that name: as the newest decision left it, but with as many
	// partitions as commits may use. It returns ErrUnknownTopic if there is no such topic, or none yet
	// that commits may use.
	Topic(ctx context.Context, in Incarnation, name string) (TopicFact, error)

	// HighWatermarks returns the end of each partition's confirmed prefix; -1 for partitions that
	// commits may not use.
	HighWatermarks(ctx context.Context, in Incarnation, partitions []segments.Partition) ([]int64, error)

	// TransactionalID returns what is decided of a transactional id, whether it is confirmed or not.
	// It returns ErrTransactionalID if there is no such id.
	TransactionalID(ctx context.Context, in Incarnation, id string) (DecidedID, error)

	// Keyed returns what a topic remembers of each of these requests, confirmed or not; nil for one
	// that it does not know.
	Keyed(ctx context.Context, in Incarnation, topic segments.TopicID, ids ...[16]byte) ([]*RequestKey, error)
}

// GuestCoordinator is what a Guest needs of a Coordinator.
type GuestCoordinator interface {
	Log
	Lookups
	Recoveries
}

// Recoveries lets processes know that a recovery lives, so that nobody begins another, which would
// end it. It is advice, and is there before anything is open: an announcement that is lost, late or
// wrong costs time, and nothing else.
type Recoveries interface {
	// AnnounceRecovery says for ttl that the recovery lives that began an incarnation. It is said
	// again and again, until the recovery has ended.
	AnnounceRecovery(ctx context.Context, in Incarnation, ttl time.Duration) error
	// AnnouncedRecovery returns the newest incarnation that is announced; 0 if there is none.
	AnnouncedRecovery(ctx context.Context) (Incarnation, error)
}

// DefaultRetainBytes is how much of the commit stream a coordinator keeps: some ten seconds of
// a hundred commits per second into a thousand partitions each, in which a node reads the
// bucket before it follows.
const DefaultRetainBytes = 64 << 20

// Leases are named, timed rights. Time is the coordinator's.
type Leases interface {
	// Acquire takes or, for the same holder, renews the lease for ttl. The epoch grows each time that
	// the holder changes. ErrLeaseHeld says that another holder has it, and the returned lease says
	// which and until when.
	Acquire(ctx context.Context, in Incarnation, name, holder string, ttl time.Duration) (Lease, error)
	// Release gives the lease up if holder still holds it with that epoch; otherwise it
	// returns ErrLeaseLost.
	Release(ctx context.Context, in Incarnation, name, holder string, epoch uint64) error

	// Now returns the time by the coordinator's clock, by which it also judges how old segments are. A
	// node asks for it when it decides what is old: its own clock may be wrong.
	Now(ctx context.Context, in Incarnation) (time.Time, error)
}

// Lease is a right as it stands.
type Lease struct {
	Name    string
	Holder  string
	Epoch   uint64        // fences: grows with each new holder, also across incarnations
	Expires time.Duration // from now
}

// Registry knows which nodes are alive.
type Registry interface {
	// Register announces the node for ttl, again and again. An empty ttl takes it away at once.
	Register(ctx context.Context, in Incarnation, node NodeInfo, ttl time.Duration) error
	// Nodes returns the live nodes, ordered by id.
	Nodes(ctx context.Context, in Incarnation) ([]NodeInfo, error)
}

// NodeInfo is what clients need to know of a node.
type NodeInfo struct {
	ID        int32 // Kafka's broker id
	Life      string
	KafkaHost string // of the first of its listeners
	KafkaPort int32
	Listeners []Listener `json:",omitempty"`
	HTTP      string     // host:port, or https://host:port; empty if none
	Zone      string     // Kafka's rack
}

// Listener is where clients that came through the listener of a name, of whichever node, reach this
// node.
type Listener struct {
	Name string
	Host string
	Port int32
}

// DecidedID is what is decided of a transactional id.
type DecidedID struct {
	TransactionalID
	Open []segments.Partition // in which its transaction is open; ascending
	// the last fence and ending are: in the journal, and all of what has ended below the high
	// watermarks
	Complete bool
}

// Ongoing says whether its transaction has something that an ending would end.
func (d *DecidedID) Ongoing() bool { return len(d.Open) > 0 || d.busy() }

// CommitRequest asks for offsets for the runs of one segment. The runs share no bytes, and
// Decisions is MaxCommitDecisions at most.
//
// Endings are decided before the batches. One without markers, of a transaction that is open
// nowhere, needs no segment: such a request has no runs, and an id of its own.
type CommitRequest struct {
	Segment segments.ID
	Runs    []CommitRun
	Endings []Ending // of different transactional ids
	Atomic  []Atomic
}

// CommitRun is the part of one run that a commit needs.
type CommitRun struct {
	Partition segments.Partition
	Position  int64 // of the run's first byte, in the segment
	Batches   []CommitBatch
}

// CommitBatch is the part of one batch that a commit needs. Its bytes follow those of
// the batch before it.
type CommitBatch struct {
	Length        int32 // of the whole batch, in bytes
	Records       int32
	MaxTimestamp  int64
	ProducerID    int64 // -1: not idempotent
	ProducerEpoch int16
	BaseSequence  int32

	// Key says which request the batch belongs to; nil for all but keyed requests. Such a batch has no
	// producer id. If its partition remembers the request, written within KeyExpiration, the batch is
	// rejected: with ErrDuplicate if it is the same request, with ErrKeyReused if it is another. If
	// any partition of the topic remembers it, the batch has to have the same Partitions, otherwise it
	// is rejected with ErrOtherPartitions: its records may be spread over the partitions in another
	// way, so some would be written twice, and the client would get wrong offsets for others.
	Key *RequestKey

	// Protocol is that of a transactional batch. The coordinator admits it if its producer is the
	// present one of a transactional id: else it is rejected with ErrTransactionalID or
	// ErrProducerEpoch; with ErrConcurrentTransactions while the last fence or ending is not complete;
	// with ErrTransactionState if its partition was not added and has to be, or if a producer of a
	// transactional id writes a batch that is not transactional.
	Protocol Protocol
	// Ending says that the batch is a marker: of CommitRequest.Endings[Ending-1]; 0: it is none. A
	// marker has one record, and rejected with ErrNotOpenThere where its transaction is not open.
	Ending int
	// Atomic says that the batch is of an atomic request: CommitRequest.Atomic[Atomic-1]; 0: of none.
	Atomic int
}

// CommitAnswer answers a CommitRequest batch by batch.
type CommitAnswer struct {
	// Entry is the fact that the accepted batches became. Its Seq is 0 if nothing was accepted, or all
	// was accepted and confirmed before.
	Entry Entry
	// Runs answers each batch of each run, in the order of the request.
	Runs [][]BatchAnswer
	// Endings answers each ending. With nil it is decided, by this commit or one before. It is
	// complete when Entry is confirmed and the high watermarks have passed its markers. ErrBuildAnew
	// says that the commit lacks a marker, or the ending is of another incarnation: ask for the
	// TransactionalID, and build it anew. ErrConcurrentTransactions says that it cannot be decided
	// yet: a commit is not while records of its transaction await their confirmation. Tell nobody of
	// ErrProducerEpoch, ErrTransactionalID and ErrTransactionState before the facts that decided so
	// are confirmed.
	Endings []error
}

// BatchAnswer is the answer for one batch. With a nil Err the batch has the offsets from BaseOffset
// on. Err is one of the producer errors below, or ErrUnknownPartition. A duplicate has ErrDuplicate
// and the offset of the original, which may still await its confirmation: answer no client before
// the high watermark has passed it.
type BatchAnswer struct {
	BaseOffset     int64
	LogStartOffset int64
	Err            error
}

// Entry is one entry of the commit stream: a decided fact, or the news that earlier
// ones are confirmed.
type Entry struct {
	Seq       uint64   // 1, 2, 3, … within the incarnation
	Fact      *Fact    // decided now, or nil
	Confirmed []uint64 // Seqs of facts that are in the journal now, or nil
}

// Errors of a Coordinator. All but those of the first group concern one request alone.
var (
	ErrNotOpen     = errors.New("the coordinator holds no state; it has to be recovered from the bucket")
	ErrIncarnation = errors.New("the coordinator's incarnation has changed")
	ErrTrimmed     = errors.New("the commit stream no longer reaches back that far")
	ErrFenced      = errors.New("fenced: this node's journal was sealed by a recovery")

	// ErrUnavailable is trouble that may pass: the coordinator did not answer, or gave an unexpected
	// answer. The call may have taken effect.
	ErrUnavailable = errors.New("the coordinator is not available")

	ErrTooOld           = errors.New("the segment is older than the commit deadline")
	ErrUnknownPartition = errors.New("unknown topic or partition")
	ErrUnknownTopic     = errors.New("unknown topic")
	ErrTopicExists      = errors.New("topic already exists")
	ErrPartitionCount   = errors.New("a topic's partition count can only grow")
	ErrOffsetRange      = errors.New("offset lies beyond the high watermark")

	// ErrAssignmentTooLong says that more would be remembered of a topic than maxAssignmentBytes.
	ErrAssignmentTooLong = errors.New("the assignments of the topic's partitions are too long")

	ErrDuplicate     = errors.New("duplicate of a batch written before")
	ErrOutOfOrder    = errors.New("out of order sequence number")
	ErrProducerEpoch = errors.New("producer epoch is older than the current one")
	ErrKeyReused     = errors.New("the idempotency key was used for another request")

	// ErrOtherPartitions says that a request with a key is written already, with its records in the
	// partitions that they got when the topic had another number of them. Look the request up, and
	// write it for that number.
	ErrOtherPartitions = errors.New("the request was written when the topic had another number of partitions")

	// ErrTransactionalID says that the id is not known, or has another producer id.
	ErrTransactionalID = errors.New("unknown transactional id, or not of this producer id")
	// ErrConcurrentTransactions says that the ending of a transaction is not complete yet. Try again.
	ErrConcurrentTransactions = errors.New("the transaction before is not complete yet")
	// ErrTransactionState says that the transaction is not in a state for this.
	ErrTransactionState = errors.New("not in this state of the transaction")
	// ErrTransactionTooLarge says that a transaction has more than a limit allows. Abort it.
	ErrTransactionTooLarge = errors.New("the transaction is too large")
	// ErrTransactionEnded says that an ending was decided before, with the same result.
	ErrTransactionEnded = errors.New("the transaction has ended so")
	// ErrBuildAnew says that an ending cannot be decided as it was built. Nothing was done.
	ErrBuildAnew = errors.New("the ending has to be built anew")
	// ErrNotWhole is the answer to a batch of an atomic request that is refused because of another
	// one.
	ErrNotWhole = errors.New("refused together with others of its request")
	// ErrNotOpenThere is the answer to a marker: its transaction is not open in the partition, or its
	// ending was not decided.
	ErrNotOpenThere = errors.New("no transaction to be ended there")

	ErrLeaseHeld = errors.New("lease is held by another")
	ErrLeaseLost = errors.New("lease is no longer held")

	ErrMergedMeanwhile = errors.New("the partition was merged since this merge was planned")

	// ErrTooYoung refuses to merge a segment that may still be committed again: the planner's clock
	// is ahead of the coordinator's. Plan again later.
	ErrTooYoung = errors.New("the segment is too young to be merged; is this machine's clock ahead?")

	ErrUnknownChange = errors.New("this coordinator does not know changes of this kind")
)
