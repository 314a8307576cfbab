package batch_test

import (
	"bytes"
	"testing"

	"firn.dev/segments/batch"
)

// FuzzBytes feeds any bytes. Nothing panics; what Check takes, ReadHeader takes and has the length
// of the input; decompressing stays below the cap; and what Inspect takes, Records yields in full,
// with offsets that count up and no timestamp above the largest.
func FuzzBytes(f *testing.F) {
	for _, codec := range codecs {
		f.Add(mustBuild(f, someRecords(10), batch.NoProducer(codec))[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 20
		h, err := batch.Check(b)
		if err == nil && h.Size() != len(b) {
			t.Fatal("Check lets a wrong length pass")
		}
		for range batch.All(b) {
		}
		records, walked := collect(b, limit)
		total := 0
		for _, r := range records {
			total += len(r.Key) + len(r.Value)
		}
		if total > limit && h.Attributes.Codec() != batch.None {
			t.Fatalf("%d bytes of keys and values, above the cap", total)
		}
		if _, err := batch.ReadHeader(b); err != nil {
			return
		}
		inspected := 0
		latest, refused := batch.Inspect(b, limit, func(batch.Scanned) { inspected++ })
		if err == nil && refused == nil {
			if walked != nil || inspected != int(h.Records) {
				t.Fatal("Inspect passes what Records does not:", walked)
			}
			for i, r := range records {
				if r.Offset != h.BaseOffset+int64(i) || r.Timestamp > max(latest, -1) {
					t.Fatalf("record %d: %+v, largest timestamp %d", i, r, latest)
				}
			}
		}
		batch.CompressPlain(b)
		batch.Recompress(b, batch.LZ4, limit)
	})
}

// FuzzDecompress feeds any bytes as compressed records. Nothing panics, and the result stays below
// the cap.
func FuzzDecompress(f *testing.F) {
	plain := mustBuild(f, someRecords(10), batch.NoProducer(batch.None))
	for _, codec := range codecs {
		b, err := batch.Recompress(plain, codec, maxLen)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(codec), b[batch.HeaderLen:])
	}
	f.Fuzz(func(t *testing.T, codec byte, records []byte) {
		const limit = 256 << 10
		out, err := batch.Recompress(replace(plain, batch.Codec(codec&7), records), batch.None, limit)
		if err == nil && len(out) > limit+batch.HeaderLen && codec&7 != 0 {
			t.Fatalf("%d bytes, above the cap", len(out))
		}
	})
}

// FuzzRoundTrip builds a batch of two records with any content: it passes Check and Inspect and
// comes back the same from each codec, and from CompressPlain.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), "header", int64(1), int64(-5), byte(3))
	f.Add([]byte(nil), []byte(nil), "", int64(0), int64(0), byte(0))
	f.Fuzz(func(t *testing.T, key, value []byte, header string, first, second int64, codec byte) {
		in := []batch.Record{
			{Timestamp: first, Key: key, Value: value},
			{Offset: 1, Timestamp: second, Value: key, Headers: []batch.RecordHeader{{Key: header, Value: value},
				{Key: header}}},
		}
		b := mustBuild(t, in, batch.NoProducer(batch.Codec(codec%5)))
		if _, err := batch.Check(b); err != nil {
			t.Fatal(err)
		}
		if _, err := batch.Inspect(b, maxLen, ignore); err != nil {
			t.Fatal(err)
		}
		out, err := collect(batch.CompressPlain(b), maxLen)
		if err != nil || len(out) != 2 {
			t.Fatal(len(out), err)
		}
		for i, r := range out {
			if r.Timestamp != in[i].Timestamp || !bytes.Equal(r.Key, in[i].Key) || !bytes.Equal(r.Value, in[i].Value) ||
				len(r.Headers) != len(in[i].Headers) {
				t.Fatalf("record %d: %+v, want %+v", i, r, in[i])
			}
		}
	})
}
