package coordinator

import "errors"

// Class is what an error of a call on a Coordinator, a Life or a Node means to its caller: what
// became of the call, and what to do now. Front doors and the packages behind them map classes, and
// not each error, to what they tell and try.
type Class int

const (
	// ClassInDoubt: it is not known what became of the call, and it may still take effect. So are all
	// errors that nobody foresaw. Look before trying again, or try again what may be done twice.
	ClassInDoubt Class = iota
	// ClassFinal: the call was refused. The same call would be refused again, by any node.
	ClassFinal
	// ClassNewLife: the life that made the call is over. What it had not journaled does not count. Go
	// on in the next life, or at another node.
	ClassNewLife
	// ClassLater: nothing was done. The same call may succeed a little later, or at another node.
	ClassLater
)

// classes are the classes of the errors of this package. Those that are missing here are
// ClassInDoubt.
var classes = []struct {
	err   error
	class Class
}{
	{ErrFenced, ClassNewLife}, {ErrIncarnation, ClassNewLife}, {ErrNotOpen, ClassNewLife},

	{ErrUnknownPartition, ClassFinal}, {ErrUnknownTopic, ClassFinal}, {ErrTopicExists, ClassFinal},
	{ErrPartitionCount, ClassFinal}, {ErrOffsetRange, ClassFinal}, {ErrDuplicate, ClassFinal},
	{ErrOutOfOrder, ClassFinal}, {ErrProducerEpoch, ClassFinal}, {ErrKeyReused, ClassFinal},
	{ErrOtherPartitions, ClassFinal}, {ErrMergedMeanwhile, ClassFinal}, {ErrUnknownChange, ClassFinal},
	{ErrAssignmentTooLong, ClassFinal},

	{ErrTransactionalID, ClassFinal}, {ErrTransactionState, ClassFinal}, {ErrTransactionTooLarge, ClassFinal},
	{ErrTransactionEnded, ClassFinal}, {ErrNotOpenThere, ClassFinal}, {ErrNotWhole, ClassFinal},
	{ErrConcurrentTransactions, ClassLater}, {ErrBuildAnew, ClassLater},

	{ErrClosed, ClassLater}, {ErrTooOld, ClassLater}, {ErrTooYoung, ClassLater},
	{ErrLeaseHeld, ClassLater}, {ErrLeaseLost, ClassLater},
}

// ClassOf says what an error means. The error is not nil.
func ClassOf(err error) Class {
	for i := range classes {
		if errors.Is(err, classes[i].err) {
			return classes[i].class
		}
	}
	return ClassInDoubt
}

// lifeOver says whether an error of the coordinator or the journal ends a life.
func lifeOver(err error) bool { return err != nil && ClassOf(err) == ClassNewLife }
