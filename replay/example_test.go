package replay_test

import (
	"context"
	"fmt"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// A program reads a topic from the bucket, with nothing but read access. Its store would be one of
// stores.Open, for example.
func ExampleOpen() {
	ctx := context.Background()
	r, err := replay.Open(ctx, replay.Options{Store: written(ctx, "a book", "a lamp"), Topic: "orders"})
	if err != nil {
		panic(err)
	}
	for record, err := range r.Records(ctx) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%d/%d: %s\n", record.Partition, record.Offset, record.Value)
	}
	// Output:
	// 0/0: a book
	// 0/1: a lamp
}

// written is a bucket with a topic of one partition.
func written(ctx context.Context, values ...string) segments.Store {
	store, c := memory.New(), embedded.New(embedded.Options{})
	n, err := coordinator.Join(ctx, coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		panic(err)
	}
	_, err = n.Change(ctx, coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID: segments.NewTopicID(), Name: "orders", Partitions: 1}})
	if err != nil {
		panic(err)
	}
	if err := n.Close(ctx); err != nil {
		panic(err)
	}
	d, err := ingest.OpenDirect(ctx, ingest.DirectOptions{Store: store, Coordinator: c})
	if err != nil {
		panic(err)
	}
	for _, value := range values {
		if _, err := d.Write(ctx, "orders", []ingest.Record{{Value: []byte(value), Timestamp: -1}}); err != nil {
			panic(err)
		}
	}
	return store
}
