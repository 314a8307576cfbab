package coordinator_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// join starts a node with an embedded coordinator over a store.
func join(t *testing.T, store segments.Store) *coordinator.Node {
	t.Helper()
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{
		Store:       store,
		Coordinator: embedded.New(embedded.Options{}),
		Info:        coordinator.NodeInfo{ID: 1},
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)),
		Probe:       20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) })
	return n
}

func createTopic(t *testing.T, n *coordinator.Node, name string, partitions int32) segments.TopicID {
	t.Helper()
	f, err := n.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID: segments.NewTopicID(), Name: name, Partitions: partitions}})
	if err != nil {
		t.Fatal(err)
	}
	return f.Topic.ID
}

// request is one run of one batch.
func request(at segments.Partition, records int32) coordinator.CommitRequest {
	batch := coordinator.CommitBatch{Length: 61, Records: records, MaxTimestamp: 5, ProducerID: -1}
	return coordinator.CommitRequest{
		Segment: segments.NewID(time.Now()),
		Runs:    []coordinator.CommitRun{{Partition: at, Position: 100, Batches: []coordinator.CommitBatch{batch}}},
	}
}

// write commits, journals and waits, as ingest does.
func write(t *testing.T, n *coordinator.Node, req coordinator.CommitRequest) int64 {
	t.Helper()
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := life.Commit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := life.Settle(t.Context(), answer.Entry); err != nil {
		t.Fatal(err)
	}
	base := answer.Runs[0][0].BaseOffset
	if err := coordinatortest.WaitFor(t.Context(), n.View(), req.Runs[0].Partition, base); err != nil {
		t.Fatal(err)
	}
	return base
}

func TestRestartKeepsEverything(t *testing.T) {
	store := memory.New()
	n := join(t, store)
	at := segments.Partition{Topic: createTopic(t, n, "a", 3), Index: 1}
	if base := write(t, n, request(at, 10)); base != 0 {
		t.Fatalf("first batch at %d", base)
	}
	last := request(at, 5)
	if base := write(t, n, last); base != 10 {
		t.Fatalf("second batch at %d", base)
	}
	cluster := n.View().ClusterID()

	again := join(t, store)
	if again.View().ClusterID() != cluster {
		t.Error("cluster id changed")
	}
	info, ok := again.View().Partition(at)
	if !ok || info.HighWatermark != 15 || info.Bytes != 122 {
		t.Errorf("partition is %+v, %v", info, ok)
	}
	if base := write(t, again, last); base != 10 {
		t.Errorf("segment committed again got offset %d, had 10", base)
	}
	if base := write(t, again, request(at, 1)); base != 15 {
		t.Errorf("next batch at %d, should be 15", base)
	}
}

func TestSecondProcessFencesFirst(t *testing.T) {
	store := memory.New()
	first := join(t, store)
	at := segments.Partition{Topic: createTopic(t, first, "a", 1)}
	life, err := first.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	join(t, store)
	answer, err := life.Commit(t.Context(), request(at, 1))
	if err == nil {
		err = life.Settle(t.Context(), answer.Entry)
	}
	if !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("settling after a takeover: %v", err)
	}
	<-first.Done()
	if err := first.Err(); !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("node ended with: %v", err)
	} else {
		t.Log(err)
	}
	if _, err := first.Life(t.Context()); !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("Life: %v", err)
	}
}

func TestIdleNodeNoticesTakeover(t *testing.T) {
	store := memory.New()
	first := join(t, store)
	join(t, store)
	<-first.Done()
	if err := first.Err(); !errors.Is(err, coordinator.ErrFenced) {
		t.Errorf("node ended with: %v", err)
	}
}
