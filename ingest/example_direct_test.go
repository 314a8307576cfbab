package ingest_test

import (
	"context"
	"fmt"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// A function opens its writer once, outside of the handler, and uses it for every invocation that
// the process lives to see. In a function the store would be an s3.Store and the coordinator a
// redis.Coordinator.
func ExampleOpenDirect() {
	ctx := context.Background()
	store, c := prepared(ctx)
	d, err := ingest.OpenDirect(ctx, ingest.DirectOptions{Store: store, Coordinator: c})
	if err != nil {
		panic(err)
	}
	handle := func(ctx context.Context, order string) error {
		written, err := d.Write(ctx, "orders", []ingest.Record{
			{Partition: -1, Key: []byte("customer 7"), Value: []byte(order), Timestamp: -1},
		})
		if err != nil {
			return err
		}
		fmt.Printf("%s is at offset %d of partition %d\n", order, written[0].Offset, written[0].Partition)
		return nil
	}
	for _, order := range []string{"a book", "a lamp"} {
		if err := handle(ctx, order); err != nil {
			panic(err)
		}
	}
	// Output:
	// a book is at offset 0 of partition 2
	// a lamp is at offset 1 of partition 2
}

// What caused the write has an id; as idempotency key it makes the write safe to be made again, by
// whichever process the event is handed to next.
func ExampleIdempotencyKey() {
	ctx := context.Background()
	store, c := prepared(ctx)
	handle := func(id, body string) {
		d, err := ingest.OpenDirect(ctx, ingest.DirectOptions{Store: store, Coordinator: c})
		if err != nil {
			panic(err)
		}
		records := []ingest.Record{{Partition: 0, Value: []byte(body), Timestamp: -1}}
		written, err := d.Write(ctx, "orders", records, ingest.IdempotencyKey(id))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("message %s is at offset %d\n", id, written[0].Offset)
	}
	handle("1", "a book")
	handle("2", "a lamp")
	handle("1", "a book")
	handle("2", "a chair")
	// Output:
	// message 1 is at offset 0
	// message 2 is at offset 1
	// message 1 is at offset 0
	// not written: topic "orders": the idempotency key was used for another request
}

// prepared is a bucket with a topic. The coordinator is the embedded one; several writers share it
// here, as processes share Redis.
func prepared(ctx context.Context) (segments.Store, coordinator.GuestCoordinator) {
	store, c := memory.New(), shared{embedded.New(embedded.Options{})}
	n, err := coordinator.Join(ctx, coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		panic(err)
	}
	defer n.Close(ctx)
	_, err = n.Change(ctx, coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: segments.NewTopicID(),
		Name: "orders", Partitions: 3}})
	if err != nil {
		panic(err)
	}
	return store, c
}
