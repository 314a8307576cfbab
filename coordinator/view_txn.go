package coordinator

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// What a View shows of transactions. All of it is confirmed.

// OpenTransaction is a transaction in a partition in which it has records, and no marker yet.
type OpenTransaction struct {
	Partition   segments.Partition
	ProducerID  int64
	Ordinal     uint64 // of its transactional id: TransactionalID.Ordinal
	FirstOffset int64
	LastOffset  int64 // of its newest record
	Since       int64 // when the first was committed, in milliseconds by the coordinator's clock
}

func (o openTransaction) of(at segments.Partition, id int64) OpenTransaction {
	return OpenTransaction{at, id, o.ordinal, o.first, o.last, o.since}
}

// Transaction is a transactional id and where its transaction is open.
type Transaction struct {
	TransactionalID
	Open     []OpenTransaction // ordered by partition
	Complete bool              // the ending before is, as far as this view has seen
}

// Since is when the transaction began, in milliseconds by the coordinator's clock; 0 if none is
// ongoing.
func (t *Transaction) Since() int64 {
	since := t.Started
	for i := range t.Open {
		if since == 0 || t.Open[i].Since < since {
			since = t.Open[i].Since
		}
	}
	return since
}

// Aborted returns the transactions that were aborted in a partition and have an offset in [from,
// to), ordered by the offset of their markers.
func (v *View) Aborted(at segments.Partition, from, to int64) []AbortedTransaction {
	v.mu.RLock()
	p := v.state.partitions[at]
	if p == nil || p.txns == nil {
		v.mu.RUnlock()
		return nil
	}
	all := p.txns.aborted // only ever appended to, so it may be searched without the lock
	v.mu.RUnlock()
	first, _ := slices.BinarySearchFunc(all, from, func(a AbortedTransaction, offset int64) int {
		return cmp.Compare(a.LastOffset, offset)
	})
	var found []AbortedTransaction
	for _, a := range all[first:] {
		if a.FirstOffset < to {
			found = append(found, a)
		}
	}
	return found
}

// OpenTransactions returns the open transactions of a partition, ordered by producer id.
func (v *View) OpenTransactions(at segments.Partition) []OpenTransaction {
	v.mu.RLock()
	defer v.mu.RUnlock()
	p := v.state.partitions[at]
	if p == nil || p.txns == nil {
		return nil
	}
	open := make([]OpenTransaction, 0, len(p.txns.open))
	for _, id := range slices.Sorted(maps.Keys(p.txns.open)) {
		open = append(open, p.txns.open[id].of(at, id))
	}
	return open
}

// TransactionalID returns a transactional id; false if there is none. One that was forgotten lately
// is Gone.
func (v *View) TransactionalID(id string) (TransactionalID, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if t := v.state.transactions.ids[id]; t != nil {
		return *t, true
	}
	return TransactionalID{}, false
}

// TransactionalIDOf returns the transactional id that has a producer id at present; false if none
// has.
func (v *View) TransactionalIDOf(producer int64) (TransactionalID, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if id, known := v.state.transactions.producers[producer]; known {
		return *v.state.transactions.ids[id], true
	}
	return TransactionalID{}, false
}

// Unstable says whether an offset of a group is staged for a partition: in a transaction that is
// ongoing, or in one whose ending, or in an atomic request that, is not complete. What is committed
// for it may change then.
func (v *View) Unstable(group string, at segments.Partition) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, t := range v.state.transactions.ids {
		if isStaged(t.Staged, group, at) {
			return true
		}
	}
	for _, a := range v.state.atomic {
		if isStaged([]StagedOffsets{a.StagedOffsets}, group, at) {
			return true
		}
	}
	for _, e := range v.state.transactions.incomplete {
		if isStaged(e.Offsets, group, at) {
			return true
		}
	}
	return false
}

func isStaged(staged []StagedOffsets, group string, at segments.Partition) bool {
	for i := range staged {
		if staged[i].Group != group {
			continue
		}
		_, found := slices.BinarySearchFunc(staged[i].Partitions, at, func(o StagedOffset, at segments.Partition) int {
			return comparePartitions(o.Partition, at)
		})
		return found
	}
	return false
}

// TransactionalIDCount is how many transactional ids there are. Front doors bound it.
func (v *View) TransactionalIDCount() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.state.transactions.ids)
}

// Transaction returns a transactional id and where its transaction is open; false if there is none,
// or it was forgotten.
func (v *View) Transaction(id string) (Transaction, bool) {
	found := v.transactions(func(t *TransactionalID) bool { return t.ID == id })
	if len(found) == 0 {
		return Transaction{}, false
	}
	return found[0], true
}

// Transactions returns all transactional ids that are not forgotten, ordered by id, and where their
// transactions are open. It looks at every partition.
func (v *View) Transactions() []Transaction {
	return v.transactions(func(*TransactionalID) bool { return true })
}

// OngoingTransactions returns the transactions that have not ended, or are to be aborted, ordered
// by id, and where they are open. It looks at every partition.
func (v *View) OngoingTransactions() []Transaction {
	open := v.openProducers()
	return v.transactions(func(t *TransactionalID) bool { return t.Aborting || t.busy() || open[t.ProducerID] })
}

// openProducers are the producer ids that have a transaction open in some partition.
func (v *View) openProducers() map[int64]bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	open := map[int64]bool{}
	for _, p := range v.state.partitions {
		if p.txns == nil {
			continue
		}
		for id := range p.txns.open {
			open[id] = true
		}
	}
	return open
}

func (v *View) transactions(wanted func(*TransactionalID) bool) []Transaction {
	v.mu.RLock()
	defer v.mu.RUnlock()
	of := map[int64]*Transaction{}
	for _, t := range v.state.transactions.ids {
		if !t.Gone && wanted(t) {
			of[t.ProducerID] = &Transaction{TransactionalID: *t, Complete: true}
		}
	}
	if len(of) == 0 {
		return nil
	}
	for key := range v.state.transactions.incomplete {
		if t := v.state.transactions.ids[key.id]; t != nil && of[t.ProducerID] != nil {
			of[t.ProducerID].Complete = false
		}
	}
	for at, p := range v.state.partitions {
		if p.txns == nil {
			continue
		}
		for id, open := range p.txns.open {
			if t := of[id]; t != nil {
				t.Open = append(t.Open, open.of(at, id))
			}
		}
	}
	found := make([]Transaction, 0, len(of))
	for _, t := range of {
		slices.SortFunc(t.Open, func(a, b OpenTransaction) int { return comparePartitions(a.Partition, b.Partition) })
		found = append(found, *t)
	}
	slices.SortFunc(found, func(a, b Transaction) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// IsAborted says whether a batch is of one of these aborted transactions, or a marker: readers of
// committed records leave it out.
func IsAborted(aborted []AbortedTransaction, h *batch.Header) bool {
	return h.Attributes.Control() ||
		h.Attributes.Transactional() && slices.ContainsFunc(aborted, func(a AbortedTransaction) bool {
			return a.ProducerID == h.ProducerID && a.FirstOffset <= h.BaseOffset && h.BaseOffset < a.LastOffset
		})
}
