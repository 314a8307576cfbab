package index_test

import (
	"errors"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

func TestEndsOfTheRange(t *testing.T) {
	w := newWorld(t)
	w.segment(run{part, [][]byte{records(t, batch.LZ4, 10, 1, 2, 3), records(t, batch.None, 10, 4)}})
	w.segments(3, 100)
	w.partition(part).logStart = 1
	x := w.open(nil)
	for _, offset := range []int64{-1, 0, 8} {
		chunk, err := x.Read(t.Context(), part, offset, 1000, true)
		if !errors.Is(err, index.ErrOffsetOutOfRange) || chunk.LogStart != 1 || chunk.HighWatermark != 7 {
			t.Errorf("offset %d: %+v, %v", offset, chunk, err)
		}
	}
	if chunk := read(t, x, 7, 1000); len(chunk.Batches) > 0 {
		t.Error("records at the high watermark")
	}
	if first, last := offsets(t, read(t, x, 1, 1<<20)); first != 0 || last != 6 {
		t.Errorf("records %d to %d for 1 to 6", first, last)
	}
	w.partition(part).end = 5
	if _, last := offsets(t, read(t, x, 1, 1<<20)); last != 4 {
		t.Errorf("records up to %d, the high watermark is 5", last)
	}
	if _, err := x.Read(t.Context(), segments.Partition{}, 0, 1, true); !errors.Is(err, coordinator.ErrUnknownPartition) {
		t.Error(err)
	}
}

// TestExpiresMeanwhile: records that expire between two looks at the view are out of range, not a
// hole that a reader passes over.
func TestExpiresMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.segments(3, 100)
	x := w.open(nil)
	w.view.onAsk = func(int) { w.partition(part).logStart = 2 }
	chunk, err := x.Read(t.Context(), part, 0, 1000, true)
	if !errors.Is(err, index.ErrOffsetOutOfRange) || chunk.LogStart != 2 || len(chunk.Batches) > 0 {
		t.Errorf("%+v, %v", chunk, err)
	}
}

// TestPartOfABlock: when a batch does not fit, the next block is left alone, even if its first
// batch would.
func TestPartOfABlock(t *testing.T) {
	w := newWorld(t)
	w.segment(run{part, [][]byte{records(t, batch.None, 10, 1), records(t, batch.None, 10, 1),
		records(t, batch.None, 5000, 1)}})
	w.segment(run{part, [][]byte{records(t, batch.None, 10, 1)}})
	x := w.open(nil)
	if first, last := offsets(t, read(t, x, 1, 300)); first != 1 || last != 1 {
		t.Errorf("offsets %d to %d", first, last)
	}
}
