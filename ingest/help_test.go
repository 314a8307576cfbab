package ingest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"

	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// What a node helps along is in the bucket before anybody is told of it: a recovery finds it.
func TestHelpIsJournaled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		store, c := memory.New(), embedded.New(embedded.Options{})
		n, err := coordinator.Join(ctx, coordinator.NodeOptions{Store: store, Coordinator: c,
			Info: coordinator.NodeInfo{ID: 1}})
		if err != nil {
			t.Fatal(err)
		}
		at := createTopic(t, n, 1)[0]
		w := openWriter(t, store, n, nil)
		life, err := n.Life(ctx)
		if err != nil {
			t.Fatal(err)
		}
		left := coordinator.CommitRequest{Segment: segments.NewID(time.Now()), Runs: []coordinator.CommitRun{{Partition: at,
			Batches: []coordinator.CommitBatch{{Length: 10, Records: 3, ProducerID: -1}}}}}
		if _, err := c.Commit(ctx, life.Incarnation(), left); err != nil { // by a node that died
			t.Fatal(err)
		}
		if err := coordinatortest.WaitFor(ctx, n.View(), at, 2); err != nil {
			t.Fatal(err)
		}
		closeWriter(t, w)
		closeNode(t, n)
		state, err := coordinator.Load(ctx, store)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range state.Partitions() {
			if p.End != 3 {
				t.Errorf("the bucket has records up to offset %d, and up to 3 they were served", p.End)
			}
			return
		}
		t.Error("the bucket has no records, and three were served")
	})
}
