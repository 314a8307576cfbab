package segments_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn/segments"
	"firn/segments/memory"
)

// FuzzDecode feeds any bytes. Nothing panics; memory for the index stays below a small multiple of the input; what Validate takes,
// Decode, Describe and ReadIndex take as well, and the encoder makes the same bytes of it.
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
