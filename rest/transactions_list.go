package rest

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/transactions"
)

// ongoingTransaction is a transaction that has not ended. Readers of committed records wait for it.
type ongoingTransaction struct {
	TransactionalID string `json:"transactional_id"`
	State           string `json:"state"`
	ProducerID      int64  `json:"producer_id"`
	ProducerEpoch   int16  `json:"producer_epoch"`
	Began           string `json:"began"`
	TimeoutMillis   int32  `json:"timeout_ms"`
	Partitions      int    `json:"partitions"`
}

// transactionList is the oldest of them.
type transactionList struct {
	Transactions []ongoingTransaction `json:"transactions"`
	More         bool                 `json:"more,omitempty"`
}

// transactionalIDBytes is what a list may need for an id, while it is made.
const transactionalIDBytes = 256

// listTransactions lists the transactions of the cluster that have not ended: every node knows all.
func (s *Server) listTransactions(w http.ResponseWriter, r *http.Request, memory *share) error {
	q := queryOf(r, "limit")
	limit := int(q.number("limit", maxListed, 1, maxListed))
	if q.err != nil {
		return q.err
	}
	if err := memory.grow(r.Context(), int64(s.view().TransactionalIDCount())*transactionalIDBytes); err != nil {
		return err
	}
	all := allows(r, access.Describe, access.Cluster, access.ClusterName)
	ongoing := slices.DeleteFunc(s.view().OngoingTransactions(), func(t coordinator.Transaction) bool {
		return !all && !allows(r, access.Describe, access.TransactionalID, t.ID)
	})
	slices.SortStableFunc(ongoing, func(a, b coordinator.Transaction) int { return cmp.Compare(a.Since(), b.Since()) })
	list := transactionList{Transactions: []ongoingTransaction{}, More: len(ongoing) > limit}
	for i := range ongoing[:min(limit, len(ongoing))] {
		t := &ongoing[i]
		began := ""
		if since := t.Since(); since != 0 {
			began = time.UnixMilli(since).UTC().Format(time.RFC3339Nano)
		}
		list.Transactions = append(list.Transactions, ongoingTransaction{t.ID, string(transactions.StateOf(t)), t.ProducerID,
			t.Epoch, began, t.TimeoutMillis, len(transactions.PartitionsOf(t))})
	}
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}
