package ingest

import (
	"context"
	"testing"
	"testing/synctest"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/segments/memory"
)

// givenUp is a coordinator as one node sees it: to others, Redis has failed over meanwhile.
type givenUp struct{ coordinator.Coordinator }

// A node that goes on with a Redis that was given up tells no producer that its batch is out of
// order: the one before it is acknowledged elsewhere.
func TestOutOfOrderOfARedisThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, old := memory.New(), embedded.New(embedded.Options{})
		join := func(id int32, c coordinator.Coordinator) (*coordinator.Node, *Writer) {
			n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: givenUp{c},
				Info: coordinator.NodeInfo{ID: id}})
			if err != nil {
				t.Fatal(err)
			}
			return n, openWriter(t, store, n, nil)
		}
		behind, slow := join(1, old)
		defer closeNode(t, behind)
		defer closeWriter(t, slow)
		p := createTopic(t, behind, 1)[0]
		write := func(w *Writer, sequence int32, want int64) {
			t.Helper()
			got := mustWait(t, mustAppend(t, w, newBatch(p, 7, sequence, 1, 100)))[0]
			if got.Err != nil || got.BaseOffset != want {
				t.Fatalf("sequence %d is answered %+v, should be at offset %d", sequence, got, want)
			}
		}
		write(slow, 0, 0)
		state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{Who: "the other side"})
		if err != nil {
			t.Fatal(err)
		}
		promoted := embedded.New(embedded.Options{})
		if err := promoted.Open(context.Background(), state); err != nil {
			t.Fatal(err)
		}
		ahead, fast := join(2, promoted)
		write(fast, 1, 1)
		closeWriter(t, fast)
		closeNode(t, ahead)
		write(slow, 2, 2)
	})
}

// Nor does a direct writer.
func TestDirectOutOfOrderOfARedisThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, old, promoted := memory.New(), embedded.New(embedded.Options{}), embedded.New(embedded.Options{})
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: givenUp{old}})
		if err != nil {
			t.Fatal(err)
		}
		p := createTopic(t, n, 1)[0]
		closeNode(t, n)
		direct := func(c coordinator.Coordinator) *Direct {
			d, err := OpenDirect(t.Context(), DirectOptions{Store: store, Coordinator: givenUp{c}})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		write := func(d *Direct, sequence int32, want int64) {
			t.Helper()
			got, err := d.writeBatches(t.Context(), []Batch{newBatch(p, 7, sequence, 1, 100)})
			if err != nil || got[0].Err != nil || got[0].BaseOffset != want {
				t.Fatalf("sequence %d is answered %+v, %v; should be at offset %d", sequence, got, err, want)
			}
		}
		behind := direct(old)
		write(behind, 0, 0)
		state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{Who: "the other side"})
		if err == nil {
			err = promoted.Open(t.Context(), state)
		}
		if err != nil {
			t.Fatal(err)
		}
		write(direct(promoted), 1, 1)
		write(behind, 2, 2)
	})
}

// writeBatches writes batches as Writer.Append does, and returns the answer for each.
func (d *Direct) writeBatches(ctx context.Context, batches []Batch) ([]Result, error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	defer d.leave()
	return d.deliver(ctx, batches)
}
