package batch_test

import (
	"bytes"
	"strings"
	"testing"

	"firn.dev/segments/batch"
	"firn.dev/segments/batch/corpus"
)

// TestCorpus reads what other implementations have compressed. It is to be run with -tags noasm as
// well: decoders of amd64 are others.
func TestCorpus(t *testing.T) {
	all := corpus.Load(t)
	if len(all) < 200 {
		t.Fatalf("only %d files", len(all))
	}
	for _, f := range all {
		t.Run(f.Name, func(t *testing.T) {
			for b := range f.Batches(t) {
				if f.Refused {
					if _, err := batch.Inspect(b, maxLen, ignore); err == nil {
						t.Error("it was not refused")
					}
					continue
				}
				readEveryWay(t, b)
			}
			if !f.Refused {
				f.Compare(t)
			}
		})
	}
}

// readEveryWay reads one batch in all the ways that there are.
func readEveryWay(t *testing.T, b []byte) {
	t.Helper()
	h, err := batch.Check(b)
	if err != nil {
		t.Fatal(err)
	}
	seen := int32(0)
	latest, err := batch.Inspect(b, maxLen, func(batch.Scanned) { seen++ })
	if err != nil || seen != h.Records || latest != h.MaxTimestamp {
		t.Fatalf("%d of %d records, largest timestamp %d of %d, %v", seen, h.Records, latest, h.MaxTimestamp, err)
	}
	for _, codec := range codecs {
		out, err := batch.Recompress(b, codec, maxLen)
		if err != nil {
			t.Fatalf("to %s: %v", codec, err)
		}
		if _, err := batch.Inspect(out, maxLen, ignore); err != nil {
			t.Fatalf("to %s: %v", codec, err)
		}
	}
	kept, err := batch.Retain(b, batch.RetainOptions{MaxDecompressed: maxLen, KeepEmpty: true},
		func(r *batch.Record) bool {
			return r.Offset%2 == 0
		})
	if err != nil || kept.Records == 0 {
		t.Fatalf("%d records stay, %v", kept.Records, err)
	}
}

// TestCorpusAsBodies is for HTTP's Content-Encoding, for which a body is not a batch. LZ4 frames
// may have linked blocks there.
func TestCorpusAsBodies(t *testing.T) {
	for _, f := range corpus.Load(t) {
		if f.Plain == nil || f.Refused && strings.Contains(f.Name, "linked") {
			continue
		}
		got, err := batch.Decompress(f.Codec, f.Bytes, maxLen)
		if good := err == nil && bytes.Equal(got, f.Plain); good == f.Refused {
			t.Errorf("%s: %d bytes of %d, %v", f.Name, len(got), len(f.Plain), err)
		}
	}
}
