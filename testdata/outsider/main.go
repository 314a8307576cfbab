// Outsider is a program in a module of its own: it writes into a bucket and replays what it wrote.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/file"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string) error {
	store, err := file.Open(dir)
	if err != nil {
		return err
	}
	if err := write(ctx, store, "a book"); err != nil {
		return err
	}
	r, err := replay.Open(ctx, replay.Options{Store: store, Topic: "orders"})
	if err != nil {
		return err
	}
	for record, err := range r.Records(ctx) {
		if err != nil {
			return err
		}
		fmt.Printf("%d: %s\n", record.Offset, record.Value)
	}
	return nil
}

func write(ctx context.Context, store segments.Store, order string) error {
	c := embedded.New(embedded.Options{})
	n, err := coordinator.Join(ctx, coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		return err
	}
	defer n.Close(ctx)
	_, err = n.Change(ctx, coordinator.Change{CreateTopic: &coordinator.CreateTopic{
		ID: segments.NewTopicID(), Name: "orders", Partitions: 1}})
	if err != nil {
		return err
	}
	d, err := ingest.OpenDirect(ctx, ingest.DirectOptions{Store: store, Coordinator: c})
	if err != nil {
		return err
	}
	_, err = d.Write(ctx, "orders", []ingest.Record{{Value: []byte(order), Timestamp: -1}})
	return err
}
