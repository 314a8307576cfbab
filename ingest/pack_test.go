package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// TestKeyPartition: a key comes to the partition that franz-go, and so Java's client, chooses for
// it.
func TestKeyPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "key")
		partitions := rapid.Int32Range(1, 10_000).Draw(t, "partitions")
		theirs := kgo.StickyKeyPartitioner(nil).ForTopic("t").Partition(&kgo.Record{Key: key}, int(partitions))
		if ours := keyPartition(key, partitions); int(ours) != theirs {
			t.Fatalf("%x of %d: %d, franz-go says %d", key, partitions, ours, theirs)
		}
	})
}

// TestPack: each record is in one batch, the one of its partition, whole and in order; the batches
// pass the checks of the Kafka door.
func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytesOrNil := rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 300))
		o := PackOptions{
			Topic: segments.NewTopicID(), Partitions: rapid.Int32Range(1, 5).Draw(t, "partitions"),
			Spread: rapid.Uint64().Draw(t, "spread"), Now: 1_700_000_000_000, Compress: rapid.Bool().Draw(t, "compress"),
		}
		records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Record {
			return Record{
				Partition: rapid.Int32Range(-1, o.Partitions-1).Draw(t, "partition"),
				Timestamp: rapid.Int64Range(-1, 1<<45).Draw(t, "timestamp"),
				Key:       bytesOrNil.Draw(t, "key"), Value: bytesOrNil.Draw(t, "value"),
				Headers: slices.Repeat([]batch.RecordHeader{{Key: "h", Value: bytesOrNil.Draw(t, "header")}},
					rapid.IntRange(0, 2).Draw(t, "headers")),
			}
		}), 0, 30).Draw(t, "records")
		packed, err := Pack(records, o)
		if err != nil {
			t.Fatal(err)
		}
		seen := make([]bool, len(records))
		last := int32(-1)
		for _, p := range packed {
			if p.Batch.Partition.Index <= last {
				t.Fatal("partitions out of order")
			}
			last = p.Batch.Partition.Index
			checkPacked(t, records, o, p, seen)
		}
		if slices.Contains(seen, false) {
			t.Fatal("a record is in no batch")
		}
	})
}

func checkPacked(t *rapid.T, records []Record, o PackOptions, p Packed, seen []bool) {
	if h, err := batch.Check(p.Batch.Bytes); err != nil || h != p.Batch.Header || p.Batch.check() != nil {
		t.Fatal(h, err)
	}
	if !slices.IsSorted(p.Records) || len(p.Records) != int(p.Batch.Header.Records) {
		t.Fatal(p.Records)
	}
	at := 0
	for got, err := range batch.Records(p.Batch.Bytes, 1<<20) {
		if err != nil {
			t.Fatal(err)
		}
		i := p.Records[at]
		want := records[i]
		at++
		if want.Timestamp < 0 {
			want.Timestamp = o.Now
		}
		same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
		if got.Timestamp != want.Timestamp || !same(got.Key, want.Key) || !same(got.Value, want.Value) ||
			fmt.Sprint(got.Headers) != fmt.Sprint(want.Headers) {
			t.Fatalf("record %d is %+v, want %+v", i, got, want)
		}
		if to, _ := o.partition(&want); to != p.Batch.Partition.Index || seen[i] {
			t.Fatalf("record %d is in partition %d, want %d; twice: %v", i, p.Batch.Partition.Index, to, seen[i])
		}
		seen[i] = true
	}
}

// TestPackRefuses: a partition that is not there is refused by the record's index.
func TestPackRefuses(t *testing.T) {
	o := PackOptions{Topic: segments.NewTopicID(), Partitions: 2}
	_, err := Pack([]Record{{Partition: 1}, {Partition: 2}}, o)
	var wrong *RecordError
	if !errors.As(err, &wrong) || wrong.Index != 1 || !errors.Is(err, coordinator.ErrUnknownPartition) {
		t.Error(err)
	}
	o.Partitions = 0
	if _, err := Pack(nil, o); !errors.Is(err, coordinator.ErrUnknownPartition) {
		t.Error(err)
	}
}

func BenchmarkPack(b *testing.B) {
	for _, n := range []int{1, 100} {
		records := make([]Record, n)
		for i := range records {
			records[i] = Record{Partition: -1, Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte("v"), 200), Timestamp: -1}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Pack(records, PackOptions{Partitions: 4}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestNewRequestKey: requests that differ in anything that is asked for have another body.
func TestNewRequestKey(t *testing.T) {
	h := func(key string, value []byte) []batch.RecordHeader {
		return []batch.RecordHeader{{Key: key, Value: value}}
	}
	plain := func() Record { return Record{Partition: -1, Timestamp: -1} }
	requests := [][]Record{
		nil, {plain()}, {plain(), plain()},
		{{Partition: 0, Timestamp: -1}}, {{Partition: -1, Timestamp: 0}},
		{{Partition: -1, Timestamp: -1, Key: []byte{}}}, {{Partition: -1, Timestamp: -1, Value: []byte{}}},
		{{Partition: -1, Timestamp: -1, Key: []byte("ab")}},
		{{Partition: -1, Timestamp: -1, Key: []byte("a"), Value: []byte("b")}},
		{{Partition: -1, Timestamp: -1, Headers: h("a", nil)}}, {{Partition: -1, Timestamp: -1, Headers: h("a", []byte{})}},
		{{Partition: -1, Timestamp: -1, Headers: h("", []byte("a"))}},
	}
	seen := map[[16]byte]int{}
	for i, r := range requests {
		key := NewRequestKey("k", r)
		if other, twice := seen[key.Body]; twice {
			t.Errorf("requests %d and %d have one body", other, i)
		}
		seen[key.Body] = i
		if again := NewRequestKey("k", r); again != key || NewRequestKey("l", r).ID == key.ID {
			t.Errorf("request %d", i)
		}
	}
}
