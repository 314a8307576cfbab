package replay_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"firn.dev/ingest"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// TestWhatCannotBeReadIsSkipped replays what an earlier version took: batches whose records are no
// records. All others come, and what was skipped is told.
func TestWhatCannotBeReadIsSkipped(t *testing.T) {
	w := newWorld(t, memory.New(), 1)
	defer w.close()
	w.fill(3, 0)
	var garbage []batch.Record
	for range 3 {
		garbage = append(garbage, batch.Record{Value: []byte("lost")})
	}
	b, err := batch.Build(garbage, batch.NoProducer(batch.Zstd))
	if err != nil {
		t.Fatal(err)
	}
	b = append(b[:batch.HeaderLen], "neither a frame nor records"...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	h, err := batch.Check(b)
	if err != nil {
		t.Fatal(err)
	}
	first := int64(len(w.written[0]))
	p, err := w.writer.Append(t.Context(), []ingest.Batch{{Partition: segments.Partition{Topic: w.topic}, Header: h,
		Bytes: b}})
	if err != nil {
		t.Fatal(err)
	}
	if results, err := p.Wait(t.Context()); err != nil || results[0].Err != nil || results[0].BaseOffset != first {
		t.Fatal(results, err)
	}
	var notes []string
	r := w.open(replay.Options{Note: func(format string, _ ...any) { notes = append(notes, format) }})
	if err := r.Skipped(); err != nil {
		t.Fatal("before anything was read:", err)
	}
	out := newKept()
	if err := r.Run(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if got := out.records[0]; int64(len(got)) != first {
		t.Errorf("%d records of %d", len(got), first)
	}
	err = r.Skipped()
	if !errors.Is(err, replay.ErrSkipped) || !strings.Contains(err.Error(), "3 offsets in 1 batches") || len(notes) != 1 {
		t.Errorf("%v; %d notes", err, len(notes))
	}
	seen := int64(0)
	for _, err := range r.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
	}
	if seen != first {
		t.Errorf("Records: %d of %d", seen, first)
	}
}
