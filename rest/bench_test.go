package rest_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"firn.dev/ingest"
)

// BenchmarkReadRecords reads a thousand records of 1 KiB out of the tail, in each representation.
func BenchmarkReadRecords(b *testing.B) {
	f := startFirn(b, 1, nil)[0]
	value := []byte(strings.Repeat("abcdefgh", 128))
	records := make([]ingest.Record, 1000)
	for i := range records {
		records[i] = ingest.Record{Partition: -1, Key: []byte("key"), Value: value}
	}
	f.writeRecords(b, f.makeTopic(b, "orders", 1), records)
	for _, kind := range []string{typeJSON, typeNDJSON, typeBatches} {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(records) * len(value)))
			for b.Loop() {
				r := httptest.NewRequest("GET", "/v1/topics/orders/partitions/0/records?max_bytes=8388608", nil)
				r.Header.Set("Accept", kind)
				if status, body := serve(f.Server, r); status != 200 || len(body) == 0 {
					b.Fatal(status)
				}
			}
		})
	}
}
