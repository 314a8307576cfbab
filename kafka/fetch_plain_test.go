package kafka_test

import (
	"strings"
	"testing"

	"firn.dev/kafka"
	"firn.dev/segments/batch"
)

// TestPlainStaysPlain writes plain batches, which are stored as LZ4, and reads them as a client
// that does not say who it is: it gets them plain.
func TestPlainStaysPlain(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	value := strings.Repeat("snow ", 200)
	for range 10 {
		wantCode(t, "produce", f.write(t, produceRaw(topic, build(t, batch.None, value, value))).ErrorCode, nil)
	}
	if h, _ := batch.ReadHeader(f.stored(t, topic)[0]); h.Attributes.Codec() != batch.LZ4 {
		t.Fatalf("stored with codec %d, want LZ4", h.Attributes.Codec())
	}
	for _, test := range []struct{ maxBytes, batches int32 }{{1 << 20, 10}, {5000, 2}, {10, 1}} {
		req := fetchRaw(topic, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = test.maxBytes
		got, n := f.read(t, req).RecordBatches, int32(0)
		for len(got) > 0 {
			h, err := batch.ReadHeader(got)
			if err == nil {
				_, err = batch.Check(got[:h.Size()])
			}
			if err != nil || h.Attributes.Codec() != batch.None || h.BaseOffset != int64(2*n) {
				t.Fatalf("batch %d: %+v, error %v", n, h, err)
			}
			got, n = got[h.Size():], n+1
		}
		if n != test.batches {
			t.Errorf("at most %d bytes: %d batches, want %d", test.maxBytes, n, test.batches)
		}
	}
}
