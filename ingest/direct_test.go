package ingest_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"firn/coordinator"
	"firn/ingest"
	"firn/segments"
	"firn/segments/memory"
)

// shared is an embedded coordinator that several processes use, as they use Redis.
type shared struct{ coordinator.Coordinator }

func openDirect(t testing.TB, store segments.Store, c coordinator.Log) *ingest.Direct {
	t.Helper()
	d, err := ingest.OpenDirect(t.Context(), ingest.DirectOptions{Store: store, Coordinator: c, Who: "test",
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// newTopic creates a topic in a bucket that nobody serves.
func newTopic(t testing.TB, store segments.Store, c coordinator.Coordinator, name string, partitions int32, configs map[string]string) segments.TopicID {
	t.Helper()
	n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: c})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.Background())
	id := segments.NewTopicID()
	_, err = n.Change(t.Context(), coordinator.Change{CreateTopic: &coordinator.CreateTopic{ID: id, Name: name, Partitions: partitions, Configs: configs}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func values(list ...string) []ingest.Record {
	records := make([]ingest.Record, len(list))
	for i, v := range list {
		records[i] = ingest.Record{Partition: -1, Value: []byte(v), Timestamp: -1}
	}
	return records
}

func TestDirectWrites(t *testing.T) {
	store, c := memory.New(), shared{coordinator.NewEmbedded(coordinator.EmbeddedOptions{})}
	newTopic(t, store, c, "a", 3, nil)
	d := openDirect(t, store, c)
	for i := range 3 {
		records := values("x", "y", "z")
		records[0].Partition, records[1].Partition, records[2].Partition = 1, 2, 1
		records[2].Timestamp = 77
		written, err := d.Write(t.Context(), "a", records)
		if err != nil {
			t.Fatal(err)
		}
		first := int64(2 * i)
		if written[0].Partition != 1 || written[0].Offset != first || written[1].Partition != 2 || written[1].Offset != int64(i) ||
			written[2].Offset != first+1 || written[2].Timestamp != 77 {
			t.Errorf("write %d: %+v", i, written)
		}
	}
	if _, err := d.Write(t.Context(), "b", values("x")); !errors.Is(err, coordinator.ErrUnknownTopic) || !errors.Is(err, ingest.ErrNotWritten) {
		t.Errorf("a topic that is not there: %v", err)
	}
}
