package rest_test

import (
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// A transaction is listed, the oldest first, until it has ended.
func TestTransactionsThatHaveNotEnded(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	topic := f.makeTopic(t, "orders", 2)
	change := func(c coordinator.Change) *coordinator.TransactionalID {
		t.Helper()
		fact, err := f.node.Change(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return fact.TransactionalID
	}
	held := map[string]coordinator.Producer{}
	for i, id := range []string{"z", "a", "idle"} {
		known := change(coordinator.Change{Fence: &coordinator.Fence{ID: id, TimeoutMillis: 60_000,
			NewProducerID: int64(i + 1)}})
		held[id] = coordinator.Producer{ProducerID: known.ProducerID, Epoch: known.Epoch}
		if id == "idle" {
			continue
		}
		change(coordinator.Change{Add: &coordinator.AddToTransaction{ID: id, Producer: held[id],
			Partitions: []segments.Partition{{Topic: topic.ID, Index: 0}, {Topic: topic.ID, Index: 1}}}})
		began := f.coordinatorTime(t)
		for f.coordinatorTime(t).UnixMilli() == began.UnixMilli() { // the next one begins later
		}
	}
	var list transactionList
	if f.call(t, "GET", "/v1/transactions", nil, &list); len(list.Transactions) != 2 || list.More {
		t.Fatalf("%+v", list)
	}
	first := list.Transactions[0]
	if _, err := time.Parse(time.RFC3339Nano, first.Began); err != nil {
		t.Error(err)
	}
	if first.Began = ""; first != (ongoingTransaction{"z", "Ongoing", 1, 0, "", 60_000, 2}) {
		t.Errorf("the oldest is %+v", first)
	}
	list = transactionList{}
	if f.call(t, "GET", "/v1/transactions?limit=1", nil, &list); len(list.Transactions) != 1 || !list.More {
		t.Errorf("one of two is %+v", list)
	}
	change(coordinator.Change{Fence: &coordinator.Fence{ID: "z", TimeoutMillis: 60_000, NewProducerID: 9}})
	list = transactionList{}
	f.call(t, "GET", "/v1/transactions", nil, &list)
	if n := len(list.Transactions); n != 2 || list.Transactions[0].State != "PrepareAbort" {
		t.Errorf("after a fence: %+v", list)
	}
}

func (f *firn) coordinatorTime(t *testing.T) time.Time {
	t.Helper()
	now, err := f.node.CoordinatorTime(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return now
}
