package segments_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// FuzzDecode feeds any bytes. Nothing panics; memory for the index stays below a small multiple of
// the input; what Validate takes, Decode, Describe and ReadIndex take as well, and the encoder
// makes the same bytes of it.
func FuzzDecode(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.segment")
	for _, name := range names {
		object, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(object, true)
		f.Add(object, false)
	}
	f.Fuzz(func(t *testing.T, object []byte, fix bool) {
		if fix {
			fixCRCs(object)
		}
		index, err := segments.Decode(object)
		held := len(index.Runs) * 120
		for _, r := range index.Runs {
			held += 4 * cap(r.Batches)
		}
		if held > 4*len(object) {
			t.Fatalf("an index of %d bytes out of %d", held, len(object))
		}
		described := segments.Describe(new(bytes.Buffer), object)
		if err := segments.Validate(object); err != nil {
			if described == nil {
				t.Fatal("Describe is content with what Validate is not:", err)
			}
			return
		}
		if err != nil || described != nil {
			t.Fatal(err, described)
		}
		store := memory.New()
		if err := store.Put(t.Context(), index.ID.Key(), object); err != nil {
			t.Fatal(err)
		}
		if again, err := segments.ReadIndex(t.Context(), store, index.ID); err != nil || !cmp.Equal(index, again) {
			t.Fatal("ReadIndex differs:", err)
		}
		for _, suffix := range []int64{0, 100, 1 << 20} {
			blocks, err := segments.ReadBlocks(t.Context(), store, index.ID, suffix)
			if index.Kind == segments.Merged && (err != nil || !cmp.Equal(blocks, blocksOf(index.Runs))) {
				t.Fatal("ReadBlocks differs:", err)
			}
			if index.Kind == segments.Mixed && err == nil {
				t.Fatal("a mixed segment has no blocks")
			}
		}
	})
}

// blocksOf is what ReadBlocks must say of runs.
func blocksOf(runs []segments.Run) []segments.Block {
	blocks := make([]segments.Block, len(runs))
	for i, r := range runs {
		blocks[i] = segments.Block{Position: r.Position, BaseOffset: r.BaseOffset, LastOffset: r.LastOffset,
			MaxTimestamp: r.MaxTimestamp, Length: int32(r.Length), CRC: r.CRC}
	}
	return blocks
}

// FuzzReadBlocks feeds any end of a merged segment. Nothing panics, what ReadIndex takes ReadBlocks
// takes as well, and memory for the blocks stays below the bytes of the footer.
func FuzzReadBlocks(f *testing.F) {
	object, err := os.ReadFile("testdata/merged-v1.segment")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object, int64(0))
	f.Add(object, int64(1<<20))
	f.Fuzz(func(t *testing.T, object []byte, suffix int64) {
		fixCRCs(object)
		var id segments.ID
		if len(object) > 28 {
			id = segments.ID(object[12:28])
		}
		store := memory.New()
		if err := store.Put(t.Context(), id.Key(), object); err != nil {
			t.Fatal(err)
		}
		blocks, err := segments.ReadBlocks(t.Context(), store, id, suffix%(1<<20))
		if 40*len(blocks) > len(object) {
			t.Fatalf("%d blocks in %d bytes", len(blocks), len(object))
		}
		index, wanted := segments.ReadIndex(t.Context(), store, id)
		if wanted == nil && index.Kind == segments.Merged && (err != nil || !cmp.Equal(blocks, blocksOf(index.Runs))) {
			t.Fatal("ReadBlocks differs:", err)
		}
	})
}

// fixCRCs makes the CRCs of header, footer and trailer fit, so that the fuzzer gets behind them.
func fixCRCs(b []byte) {
	if len(b) < 64 {
		return
	}
	reseal(b, 0, 28, 28)
	end := len(b) - 32
	if start := binary.BigEndian.Uint64(b[end:]); start < uint64(end) {
		reseal(b, int(start), end, end+12)
	}
	reseal(b, end, end+20, end+20)
}
