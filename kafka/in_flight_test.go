package kafka_test

import (
	"encoding/binary"
	"testing"

	"firn.dev/kafka"
	"firn.dev/segments/batch"
)

// TestInFlightBytes pipelines requests of which each is more than may be in flight: each has the
// connection to itself, and all are answered.
func TestInFlightBytes(t *testing.T) {
	const requests = 20
	f := startFirn(t, kafka.Options{Limits: kafka.Limits{MaxInFlightBytes: 100}})
	topic := f.createTopic(t, "t", 1)
	nc := dial(t, f.address)
	for i := range requests {
		if _, err := nc.Write(frame(produceRaw(topic, build(t, batch.None, "a value")), int32(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range requests {
		answer, err := readFrame(nc)
		if err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(answer); got != uint32(i) {
			t.Fatalf("answer %d is to request %d", i, got)
		}
	}
	if got := f.stored(t, topic); len(got) != requests {
		t.Errorf("%d batches are stored, want %d", len(got), requests)
	}
}
