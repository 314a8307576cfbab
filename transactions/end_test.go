package transactions_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/transactions"
)

// lossy is a writer whose first answer is lost, after something has happened.
type lossy struct {
	transactions.Writer
	then func()
}

func (l *lossy) End(ctx context.Context, e coordinator.Ending, open []segments.Partition) error {
	err := l.Writer.End(ctx, e, open)
	if then := l.then; then != nil {
		l.then = nil
		then()
		return coordinator.ErrUnavailable
	}
	return err
}

// An EndTxn whose answer was lost does not end the next transaction, though that has the same
// producer id and epoch in the old protocol.
func TestEndTxnIsOfOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		const id = "id"
		at := segments.Partition{Topic: w.topic}
		p := begin(t, w, id)
		sequences := map[segments.Partition]int32{}
		add := func() {
			t.Helper()
			added := coordinator.AddToTransaction{ID: id, Producer: p, Partitions: []segments.Partition{at}}
			if err := w.manager.Add(t.Context(), added); err != nil {
				t.Fatal(err)
			}
			w.writeTo(at, coordinator.OldTransactional, p, sequences, new(bool))
		}
		add()
		elsewhere := &lossy{Writer: w.writer, then: func() {
			if _, err := w.manager.End(t.Context(), id, p, coordinator.Committed, false); err != nil {
				t.Fatal(err)
			}
			add()
		}}
		other, err := transactions.New(transactions.Options{Node: w.node, Writer: elsewhere})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close(t.Context())
		_, err = other.End(t.Context(), id, p, coordinator.Committed, false)
		if !errors.Is(err, coordinator.ErrTransactionState) {
			t.Errorf("the late EndTxn is answered %v", err)
		}
		if now, _ := w.node.View().Transaction(id); len(now.Open) != 1 || now.Ordinal != 2 {
			t.Errorf("the second transaction is not open: %+v", now)
		}
	})
}

// A producer whose transaction a timeout has aborted may abort it, too, and goes on with the epoch
// that it is told then. It may not commit it; and once another session has begun, it is fenced.
func TestProducerGoesOnAfterTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		const id = "id"
		slow, err := w.manager.Begin(t.Context(), id, time.Minute, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.write(slow, map[segments.Partition]int32{}, new(bool))
		time.Sleep(2 * time.Minute)
		if _, err := w.manager.End(t.Context(), id, slow, coordinator.Committed, true); !errors.Is(
			err, coordinator.ErrTransactionState) {
			t.Errorf("the commit of what was aborted is answered %v", err)
		}
		next, err := w.manager.End(t.Context(), id, slow, coordinator.Aborted, true)
		if err != nil || next.Epoch != slow.Epoch+1 {
			t.Fatalf("the abort of what was aborted is answered %+v, %v", next, err)
		}
		w.write(next, map[segments.Partition]int32{}, new(bool))
		if _, err := w.manager.End(t.Context(), id, next, coordinator.Committed, true); err != nil {
			t.Errorf("the next transaction does not commit: %v", err)
		}

		if slow, err = w.manager.Begin(t.Context(), id, time.Minute, nil); err != nil {
			t.Fatal(err)
		}
		w.write(slow, map[segments.Partition]int32{}, new(bool))
		time.Sleep(2 * time.Minute)
		if _, err := w.manager.Begin(t.Context(), id, time.Minute, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.manager.End(t.Context(), id, slow, coordinator.Aborted, true); !errors.Is(
			err, coordinator.ErrProducerEpoch) {
			t.Errorf("the abort of a producer that is fenced is answered %v", err)
		}
	})
}

// A client of the old protocol that ends a transaction in which it did nothing is told so, as by
// Kafka, and goes on. One of the new protocol gets its next epoch, which keeps out what may still
// be on its way.
func TestEndOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		const id = "id"
		at := segments.Partition{Topic: w.topic}
		p := begin(t, w, id)
		for _, result := range []coordinator.Result{coordinator.Committed, coordinator.Aborted} {
			if _, err := w.manager.End(t.Context(), id, p, result, false); !errors.Is(err, coordinator.ErrTransactionState) {
				t.Errorf("%s of nothing in the old protocol is answered %v", result, err)
			}
		}
		added := coordinator.AddToTransaction{ID: id, Producer: p, Partitions: []segments.Partition{at}}
		if err := w.manager.Add(t.Context(), added); err != nil {
			t.Fatal(err)
		}
		w.writeTo(at, coordinator.OldTransactional, p, map[segments.Partition]int32{}, new(bool))
		for range 2 { // the second time as one whose answer was lost
			if got, err := w.manager.End(t.Context(), id, p, coordinator.Committed, false); err != nil || got != p {
				t.Errorf("the commit of a record is answered %+v, %v", got, err)
			}
		}
		next, err := w.manager.End(t.Context(), "other", begin(t, w, "other"), coordinator.Committed, true)
		if err != nil || next.Epoch != 1 {
			t.Errorf("a commit of nothing in the new protocol is answered %+v, %v", next, err)
		}
	})
}

func begin(t *testing.T, w *world, id string) coordinator.Producer {
	t.Helper()
	p, err := w.manager.Begin(t.Context(), id, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
