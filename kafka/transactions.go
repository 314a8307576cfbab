package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/transactions"
)

// What the APIs of transactions share. Package transactions decides.
//
// There are two protocols. In the old one, a client adds each partition and group to its
// transaction before it writes there. In the new one (KIP-890 part 2, transaction.version 2) the
// first batch does that, and each transaction has an epoch of its own. A client that follows the
// feature uses, of some APIs, the versions below.
const (
	produceNew         = 12
	txnOffsetCommitNew = 5
	endTxnNew          = 5
	producerFencedOf   = 2 // AddPartitionsToTxn, AddOffsetsToTxn, EndTxn: knows PRODUCER_FENCED
	initFencedOf       = 4 // InitProducerId: the same
)

// transactionPatience is how long a request waits for a transaction before it, or for the
// coordinator. After that clients try again.
const transactionPatience = 15 * time.Second

// protocolOf is that of a client which uses a version.
func protocolOf(version, since int16) coordinator.Protocol {
	if version >= since {
		return coordinator.Transactional
	}
	return coordinator.OldTransactional
}

// transaction does something for a transactional id that the client may write with, and returns
// what is to be answered. fenced is for a client whose epoch is over.
func (s *Server) transaction(ctx context.Context, from *peer, id string, fenced *kerr.Error,
	do func(ctx context.Context) error) *refusal {
	if refused := from.may(access.Write, access.TransactionalID, id); refused != nil {
		return refused
	}
	if id == "" {
		return refuse(kerr.InvalidRequest, "the transactional id is empty")
	}
	ctx, cancel := context.WithTimeout(ctx, transactionPatience)
	defer cancel()
	return s.transactionError(do(ctx), fenced)
}

// transactionErrors are Kafka's errors for those of transactions.
var transactionErrors = []struct {
	err  error
	kind *kerr.Error
}{
	{coordinator.ErrTransactionalID, kerr.InvalidProducerIDMapping},
	{coordinator.ErrTransactionState, kerr.InvalidTxnState},
	{coordinator.ErrTransactionTooLarge, kerr.InvalidTxnState},
	{coordinator.ErrConcurrentTransactions, kerr.ConcurrentTransactions},
	{transactions.ErrTimeout, kerr.InvalidTransactionTimeout},
	{transactions.ErrTooMany, kerr.PolicyViolation},
	{coordinator.ErrMalformed, kerr.InvalidRequest},
	{coordinator.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{context.DeadlineExceeded, kerr.ConcurrentTransactions}, // it waited for a transaction in vain
}

// transactionError is how a client gets to know err; nil for nil. After the last of them it looks
// for the coordinator again, and tries again.
func (s *Server) transactionError(err error, fenced *kerr.Error) *refusal {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*kerr.Error](err); ok {
		return refuse(known, "%s", known.Description)
	}
	if errors.Is(err, coordinator.ErrProducerEpoch) {
		return refuse(fenced, "%v", err)
	}
	for _, e := range transactionErrors {
		if errors.Is(err, e.err) {
			return refuse(e.kind, "%v", err)
		}
	}
	s.opts.Logger.Warn("a request of a transaction failed", "error", err)
	return refuse(kerr.CoordinatorNotAvailable, "%v", err)
}

// fencedAs is the error for a client whose epoch is over: it depends on what its version knows.
func fencedAs(version, since int16) *kerr.Error {
	if version >= since {
		return kerr.ProducerFenced
	}
	return kerr.InvalidProducerEpoch
}
