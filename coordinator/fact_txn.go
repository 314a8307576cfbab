package coordinator

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"firn.dev/segments"
)

// TransactionalID is the whole of a transactional id as one change left it. Of two with the same id
// the higher Version stands. docs/internals/transactions.md has the rules.
type TransactionalID struct {
	Version uint64 // grows with each fact, of whichever id
	Time    int64  // when it was decided, in milliseconds by the coordinator's clock
	ID      string

	ProducerID    int64
	Epoch         int16
	TimeoutMillis int32
	// PreviousEpoch of the producer id may still ask for the next one (KIP-360): a timeout, or its
	// own call, has raised the epoch; -1: none.
	PreviousEpoch int16

	Ordinal  uint64 // of the transaction that is open, or of the next one: from 1
	Aborting bool   // the epoch was raised while the transaction was ongoing: its owner has to abort it
	Gone     bool   // forgotten, as long as nobody fences it

	Started int64                // when the first of the following came; 0: nothing has
	Added   []segments.Partition // old protocol: by AddPartitionsToTxn; ascending
	Groups  []string             // old protocol: by AddOffsetsToTxn; ascending
	Staged  []StagedOffsets      // of different groups, ascending

	// How the transaction before has ended, and whose EndTxn that was. An EndTxn that comes again is
	// answered with the present producer id and epoch.
	Result          Result
	EndedProducerID int64
	EndedEpoch      int16 // -1: nobody's who is to be answered
}

// Result is how a transaction ends.
type Result byte

// The results, as FORMAT.md numbers them.
const (
	NoResult  Result = 0
	Committed Result = 1
	Aborted   Result = 2
)

func (r Result) String() string {
	return [...]string{"none", "commit", "abort", "?"}[min(r, 3)]
}

// StagedOffsets are what TxnOffsetCommit staged of one group: each partition under the version that
// its staging has among the commits of the group.
type StagedOffsets struct {
	Group      string
	Epoch      uint64 // of the group's lease, at the newest staging
	Partitions []StagedOffset
}

// StagedOffset is one partition's part of it.
type StagedOffset struct {
	Version uint64
	GroupOffset
}

// Ended is what an ending did, whole: the transactional id after it, and the offsets that count
// once it is complete.
type Ended struct {
	TransactionalID
	Offsets []StagedOffsets
}

// Marker says that a span is the marker of an ending: one control batch, at one offset.
type Marker struct {
	ProducerID int64
	Ordinal    uint64 // of the transaction that it ends
	Result     Result
}

// Protocol says how a batch or an offset comes to a transaction.
type Protocol byte

// The protocols.
const (
	NotTransactional Protocol = iota
	Transactional             // it opens the transaction by itself (KIP-890 part 2)
	OldTransactional          // the partition, or the group, has to be added first
)

// Limits of one transaction. An error names them.
const (
	MaxTransactionPartitions       = 1000
	maxTransactionGroups           = 100
	MaxStagedOffsets               = 1000
	MaxStagedBytes                 = 256 << 10 // of metadata, and names of groups
	maxTransactionalIDBytes        = 4096
	maxProducerEpoch         int16 = math.MaxInt16 - 1 // that a producer is told; one more fences it
)

// Fence asks for the next epoch of a transactional id, which nothing older has effect after. It is
// the first step of InitProducerId, and of a timeout. What is ongoing has to be aborted then, under
// the new epoch, before InitProducerId is answered. Refused with ErrConcurrentTransactions while
// the last ending is not complete.
type Fence struct {
	ID            string
	TimeoutMillis int32
	NewProducerID int64     // that nobody has had: taken if the id has none, or has used up its epochs
	Held          *Producer // asks for its next epoch (KIP-360); refused with ErrProducerEpoch if it may not
	Expired       *Expired  // a timeout: refused with ErrTransactionState if that is not ongoing any more
}

// Producer is a producer id and epoch.
type Producer struct {
	ProducerID int64
	Epoch      int16
}

// Expired is a transaction whose time is over.
type Expired struct {
	Producer
	Ordinal uint64
}

// AddToTransaction asks for partitions and groups to be added to the transaction of a producer of
// the old protocol.
type AddToTransaction struct {
	ID string
	Producer
	Partitions []segments.Partition
	Groups     []string
}

// StageOffsets asks for offsets of a group to be staged, under the lease of the group, as
// CommitOffsets are: they count when the transaction has committed.
type StageOffsets struct {
	ID string
	Producer
	Protocol Protocol
	Lease    string
	Group    string
	Epoch    uint64 // of the lease
	Version  uint64 // above all that the holder of the lease has given
	Offsets  []GroupOffset
}

// ForgetTransactionalID asks for an id to be forgotten that was not used since a time. Refused with
// ErrTransactionState if it was, or something is ongoing.
type ForgetTransactionalID struct {
	ID      string
	Version uint64 // of its newest fact, as the caller knows it
}

// Ending asks for a transaction to be ended, within a Commit. It is decided in one step with its
// markers, of which the commit has to bring one for each partition in which the transaction is
// open: see CommitBatch.Ending.
type Ending struct {
	Incarnation   Incarnation // in which it was built: in another it is refused with ErrBuildAnew
	ID            string
	Producer      // the current one: after a fence that of the fence
	Ordinal       uint64
	Result        Result
	ByOwner       bool  // the abort of what was fenced: changes no epoch, and is nobody's to be answered
	Bump          bool  // the next transaction has the next epoch (KIP-890 part 2)
	NewProducerID int64 // taken if the epochs are used up; -1: none
}

// Validate refuses what no front door asks for.
func (e *Ending) Validate() error {
	switch {
	case e.ID == "" || len(e.ID) > maxTransactionalIDBytes || e.ProducerID < 0 || e.Epoch < 0 || e.Ordinal == 0:
		return fmt.Errorf("%w: ending of %q, producer %d, epoch %d, transaction %d", ErrMalformed, e.ID, e.ProducerID,
			e.Epoch, e.Ordinal)
	case e.Result != Committed && e.Result != Aborted, e.ByOwner && (e.Result != Aborted || e.Bump):
		return fmt.Errorf("%w: ending of %q with result %d", ErrMalformed, e.ID, e.Result)
	}
	return nil
}

// OfID says whether a change is one of a transactional id.
func (c *Change) OfID() bool {
	return c.Fence != nil || c.Add != nil || c.Stage != nil || c.Forget != nil
}

// TransactionalID is the id that such a change is of.
func (c *Change) TransactionalID() string {
	switch {
	case c.Fence != nil:
		return c.Fence.ID
	case c.Add != nil:
		return c.Add.ID
	case c.Stage != nil:
		return c.Stage.ID
	}
	return c.Forget.ID
}

// DecideID returns what a change makes of an id (nil: one that is not known), of which open says
// whether a transaction is open in a partition. The last fence and ending are complete. The
// coordinator adds version and time.
func DecideID(now *TransactionalID, c *Change, open bool, millis int64) (*TransactionalID, error) {
	switch {
	case c.Fence != nil:
		return decideFence(now, c.Fence, open)
	case c.Add != nil:
		return decideAdd(now, c.Add, millis)
	case c.Stage != nil:
		return decideStage(now, c.Stage, millis)
	case open:
		return nil, fmt.Errorf("%w: %q is in use", ErrTransactionState, c.Forget.ID)
	}
	return decideForget(now, c.Forget)
}

// StagedVersion is the highest version of what is staged; 0: nothing is.
func (t *TransactionalID) StagedVersion() (version uint64) {
	for i := range t.Staged {
		for j := range t.Staged[i].Partitions {
			version = max(version, t.Staged[i].Partitions[j].Version)
		}
	}
	return version
}

// clone returns a copy whose lists may be appended to.
func (t *TransactionalID) clone() *TransactionalID {
	c := *t
	c.Added, c.Groups, c.Staged = slices.Clip(t.Added), slices.Clip(t.Groups), slices.Clone(t.Staged)
	return &c
}

// busy says whether a transaction is ongoing of which something is in the fact itself.
func (t *TransactionalID) busy() bool { return len(t.Added)+len(t.Groups)+len(t.Staged) > 0 }

// is says whether a producer is the present one.
func (t *TransactionalID) is(p Producer) bool {
	return t != nil && !t.Gone && t.ProducerID == p.ProducerID && t.Epoch == p.Epoch
}

// known refuses a producer that is not the present one of an id.
func (t *TransactionalID) known(id string, p Producer) error {
	switch {
	case t == nil || t.Gone || t.ProducerID != p.ProducerID:
		return fmt.Errorf("%w: %q, producer %d", ErrTransactionalID, id, p.ProducerID)
	case t.Epoch != p.Epoch:
		return fmt.Errorf("%w: %q has epoch %d, not %d", ErrProducerEpoch, id, t.Epoch, p.Epoch)
	}
	return nil
}

// decideFence returns what a fence makes of an id (nil: one that is not known), of which open says
// whether a transaction is open in a partition. The coordinator adds version and time. The last
// ending is complete.
func decideFence(now *TransactionalID, f *Fence, open bool) (*TransactionalID, error) {
	if f.ID == "" || len(f.ID) > maxTransactionalIDBytes || f.TimeoutMillis < 0 && f.Expired == nil {
		return nil, fmt.Errorf("%w: a transactional id of %d bytes, at most %d are allowed; timeout %d", ErrMalformed,
			len(f.ID), maxTransactionalIDBytes, f.TimeoutMillis)
	}
	if err := f.allowed(now, open); err != nil {
		return nil, err
	}
	if now == nil || now.Gone {
		ordinal := uint64(1)
		if now != nil {
			ordinal = now.Ordinal
		}
		return f.fresh(ordinal)
	}
	ongoing := open || now.busy()
	next := now.clone()
	switch {
	case now.Epoch < maxProducerEpoch, now.Epoch == maxProducerEpoch && ongoing:
		next.Epoch++
	case ongoing:
		return nil, fmt.Errorf("%w: %q", ErrConcurrentTransactions, f.ID)
	default:
		return f.fresh(now.Ordinal)
	}
	next.Aborting = ongoing
	next.PreviousEpoch, next.EndedProducerID, next.EndedEpoch = -1, -1, -1
	if f.Expired != nil || f.Held != nil {
		next.PreviousEpoch = now.Epoch
	}
	if f.Expired == nil {
		next.TimeoutMillis = f.TimeoutMillis
	}
	return next, nil
}

// fresh is an id with a new producer id.
func (f *Fence) fresh(ordinal uint64) (*TransactionalID, error) {
	if f.NewProducerID < 0 {
		return nil, fmt.Errorf("%w: %q needs a new producer id", ErrMalformed, f.ID)
	}
	return &TransactionalID{ID: f.ID, ProducerID: f.NewProducerID, TimeoutMillis: f.TimeoutMillis, PreviousEpoch: -1,
		Ordinal: ordinal, EndedProducerID: -1, EndedEpoch: -1}, nil
}

// allowed refuses a fence that is not this caller's.
func (f *Fence) allowed(now *TransactionalID, open bool) error {
	switch x := f.Expired; {
	case x != nil && (!now.is(x.Producer) || now.Ordinal != x.Ordinal || now.Aborting || !open && !now.busy()):
		return fmt.Errorf("%w: transaction %d of %q is not ongoing any more", ErrTransactionState, x.Ordinal, f.ID)
	case x != nil || f.Held == nil || now.is(*f.Held):
		return nil
	case now == nil || now.Gone || now.ProducerID != f.Held.ProducerID:
		return now.known(f.ID, *f.Held)
	case f.Held.Epoch != now.PreviousEpoch:
		return fmt.Errorf("%w: %q has epoch %d, not %d", ErrProducerEpoch, f.ID, now.Epoch, f.Held.Epoch)
	}
	return nil
}

// decideAdd returns what AddPartitionsToTxn or AddOffsetsToTxn makes of an id. The last ending is
// complete.
func decideAdd(now *TransactionalID, a *AddToTransaction, millis int64) (*TransactionalID, error) {
	if err := now.known(a.ID, a.Producer); err != nil {
		return nil, err
	}
	next := now.clone()
	next.EndedProducerID, next.EndedEpoch, next.PreviousEpoch = -1, -1, -1
	next.begin(millis)
	for _, at := range a.Partitions {
		if at.Index < 0 {
			return nil, fmt.Errorf("%w: partition %s", ErrMalformed, at)
		}
		if i, there := slices.BinarySearchFunc(next.Added, at, comparePartitions); !there {
			next.Added = slices.Insert(next.Added, i, at)
		}
	}
	for _, group := range a.Groups {
		if i, there := slices.BinarySearch(next.Groups, group); !there {
			next.Groups = slices.Insert(next.Groups, i, group)
		}
	}
	return next, next.bounded()
}

// begin notes when a transaction began of which the fact itself has a part.
func (t *TransactionalID) begin(millis int64) {
	if !t.busy() {
		t.Started = millis
	}
}

// bounded refuses a transaction of more than the limits allow.
func (t *TransactionalID) bounded() error {
	offsets, bytes := 0, 0
	for i := range t.Staged {
		offsets += len(t.Staged[i].Partitions)
		bytes += len(t.Staged[i].Group)
		for j := range t.Staged[i].Partitions {
			bytes += len(t.Staged[i].Partitions[j].Metadata)
		}
	}
	for _, group := range t.Groups {
		bytes += len(group)
	}
	for _, limit := range []struct {
		what       string
		have, most int
	}{
		{"partitions", len(t.Added), MaxTransactionPartitions},
		{"groups", max(len(t.Groups), len(t.Staged)), maxTransactionGroups},
		{"staged offsets", offsets, MaxStagedOffsets},
		{"bytes of names and metadata of staged offsets", bytes, MaxStagedBytes},
	} {
		if limit.have > limit.most {
			return fmt.Errorf("%w: %d %s, at most %d are allowed", ErrTransactionTooLarge, limit.have, limit.what, limit.most)
		}
	}
	return nil
}

// decideStage returns what TxnOffsetCommit makes of an id. The last ending is complete.
func decideStage(now *TransactionalID, s *StageOffsets, millis int64) (*TransactionalID, error) {
	if err := now.known(s.ID, s.Producer); err != nil {
		return nil, err
	}
	if s.Protocol == OldTransactional {
		if _, added := slices.BinarySearch(now.Groups, s.Group); !added {
			return nil, fmt.Errorf("%w: group %q was not added to the transaction of %q", ErrTransactionState, s.Group, s.ID)
		}
	}
	next := now.clone()
	next.PreviousEpoch = -1
	next.begin(millis)
	i, there := slices.BinarySearchFunc(next.Staged, s.Group, func(o StagedOffsets, group string) int {
		return strings.Compare(o.Group, group)
	})
	if !there {
		next.Staged = slices.Insert(next.Staged, i, StagedOffsets{Group: s.Group})
	}
	of := &next.Staged[i]
	of.Epoch, of.Partitions = s.Epoch, slices.Clone(of.Partitions)
	for _, o := range s.Offsets {
		if o.Partition.Index < 0 {
			return nil, fmt.Errorf("%w: partition %s", ErrMalformed, o.Partition)
		}
		staged := StagedOffset{s.Version, o}
		j, again := slices.BinarySearchFunc(of.Partitions, o.Partition, func(x StagedOffset, at segments.Partition) int {
			return comparePartitions(x.Partition, at)
		})
		switch {
		case !again:
			of.Partitions = slices.Insert(of.Partitions, j, staged)
		case of.Partitions[j].Version <= s.Version:
			of.Partitions[j] = staged
		}
	}
	return next, next.bounded()
}

// decideForget returns the trace of an id that is forgotten. Nothing is open, and the last ending
// is complete.
func decideForget(now *TransactionalID, f *ForgetTransactionalID) (*TransactionalID, error) {
	if now == nil || now.Gone || now.Version != f.Version || now.busy() || now.Aborting {
		return nil, fmt.Errorf("%w: %q is in use", ErrTransactionState, f.ID)
	}
	next := *now
	next.Gone, next.PreviousEpoch, next.EndedProducerID, next.EndedEpoch = true, -1, -1, -1
	return &next, nil
}

// DecideEnding returns what an ending makes of an id. ErrTransactionEnded says that it has ended so
// before: then nothing is to be decided, and no marker has an offset.
func DecideEnding(now *TransactionalID, e *Ending, in Incarnation) (*Ended, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	switch {
	case e.Incarnation != in:
		return nil, fmt.Errorf("%w: it was built in incarnation %d", ErrBuildAnew, e.Incarnation)
	case now != nil && !now.Gone && now.Ordinal == e.Ordinal+1 && now.Result == e.Result && now.endedBy(e):
		return nil, ErrTransactionEnded
	}
	if err := now.known(e.ID, e.Producer); err != nil {
		return nil, err
	}
	if now.Ordinal != e.Ordinal || now.Aborting && !e.ByOwner {
		return nil, fmt.Errorf("%w: transaction %d of %q is not the present one, which is %d", ErrTransactionState,
			e.Ordinal, e.ID, now.Ordinal)
	}
	ended := &Ended{TransactionalID: *now}
	next := &ended.TransactionalID
	if e.Result == Committed {
		ended.Offsets = now.Staged
	}
	next.Ordinal++
	next.Result, next.Aborting, next.Started = e.Result, false, 0
	next.Added, next.Groups, next.Staged = nil, nil, nil
	if e.ByOwner {
		next.EndedProducerID, next.EndedEpoch = -1, -1
		return ended, nil
	}
	next.PreviousEpoch, next.EndedProducerID, next.EndedEpoch = -1, e.ProducerID, e.Epoch
	switch {
	case !e.Bump:
	case now.Epoch < maxProducerEpoch:
		next.Epoch, next.PreviousEpoch = now.Epoch+1, now.Epoch
	case e.NewProducerID < 0:
		return nil, fmt.Errorf("%w: %q needs a new producer id", ErrMalformed, e.ID)
	default:
		next.ProducerID, next.Epoch = e.NewProducerID, 0
	}
	return ended, nil
}

// endedBy says whether the last ending was this one.
func (t *TransactionalID) endedBy(e *Ending) bool {
	if e.ByOwner {
		return t.EndedEpoch < 0 && t.is(e.Producer)
	}
	return t.EndedProducerID == e.ProducerID && t.EndedEpoch == e.Epoch
}
