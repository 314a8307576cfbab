package segments_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn.dev/segments"
)

// TestGolden reads segments that were written once and for all: they are valid, say what they said
// then, and today's encoder makes the same bytes of the same batches.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.segment")
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			object, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := segments.Describe(&got, object); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Error(diff)
			}
			index, err := segments.Decode(object)
			if err != nil {
				t.Fatal(err)
			}
			if again := encodeAgain(t, index, object); !bytes.Equal(again, object) {
				t.Error("today's encoder writes other bytes")
			}
		})
	}
}

// encodeAgain takes the batches out of a segment and makes a new one of them.
func encodeAgain(t testing.TB, index segments.Index, object []byte) []byte {
	var data []segments.RunData
	var all [][]byte
	for _, r := range index.Runs {
		if n := len(data); n == 0 || data[n-1].Partition != r.Partition {
			data = append(data, segments.RunData{Partition: r.Partition})
		}
		d := &data[len(data)-1]
		run := object[r.Position : r.Position+r.Length]
		for i, position := range r.Batches {
			end := int32(len(run))
			if i+1 < len(r.Batches) {
				end = r.Batches[i+1]
			}
			d.Batches = append(d.Batches, run[position:end])
		}
	}
	for _, d := range data {
		all = append(all, d.Batches...)
	}
	if index.Kind == segments.Mixed {
		again, _ := mustEncode(t, index.ID, data)
		return again
	}
	var again bytes.Buffer
	m := segments.NewMerged(&again, index.ID, data[0].Partition)
	for _, b := range all {
		if err := m.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	return again.Bytes()
}
