package main

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// writes notes what each write had.
type writes [][]byte

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, bytes.Clone(b))
	return len(b), nil
}

// TestWritesHaveWholeRecords: wherever a consumer fails, what it wrote before ends with a record.
func TestWritesHaveWholeRecords(t *testing.T) {
	var got writes
	w := recordWriter{out: &got, format: writeValue, wanted: func(*kgo.Record) bool { return true }}
	for _, size := range []int{10, outputBytes - 5, 100, outputBytes, 3 * outputBytes, 1} {
		if _, err := w.write(&kgo.Record{Value: bytes.Repeat([]byte("v"), size)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 {
		t.Errorf("%d writes", len(got))
	}
	for i, b := range got {
		if !bytes.HasSuffix(b, []byte("\n")) {
			t.Errorf("write %d of %d ends within a record", i+1, len(got))
		}
	}
}
