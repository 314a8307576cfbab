package batch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"testing"

	"firn.dev/segments/batch"
)

// largeRecords do not fit into the buffer that records are scanned in.
func largeRecords() []batch.Record {
	value := make([]byte, 200<<10)
	rand.NewChaCha8([32]byte{7}).Read(value)
	records := someRecords(50)
	records[3].Value = value
	records[49].Headers = []batch.RecordHeader{{Key: "large", Value: value[1:]}, {Key: string(value[:70<<10])}}
	return records
}

// TestInspectSeesWhatIsThere compares what Inspect tells of records with the records.
func TestInspectSeesWhatIsThere(t *testing.T) {
	for name, records := range map[string][]batch.Record{"small": someRecords(1000), "large": largeRecords(),
		"one": someRecords(1)} {
		for _, codec := range codecs {
			t.Run(name+"/"+codec.String(), func(t *testing.T) {
				seen := 0
				latest, err := batch.Inspect(mustBuild(t, records, batch.NoProducer(codec)), maxLen, func(r batch.Scanned) {
					want := batch.Scanned{Index: seen, Offset: records[0].Offset + int64(seen), Timestamp: records[seen].Timestamp,
						NullKey: records[seen].Key == nil}
					if r != want {
						t.Fatalf("%+v, want %+v", r, want)
					}
					seen++
				})
				if err != nil || seen != len(records) {
					t.Fatalf("%d of %d records, %v", seen, len(records), err)
				}
				for _, r := range records {
					if r.Timestamp > latest {
						t.Fatalf("the largest timestamp is %d, and not %d", r.Timestamp, latest)
					}
				}
			})
		}
	}
}

// TestInspectRefuses is of batches whose header and CRC are right, and whose records nobody could
// read.
func TestInspectRefuses(t *testing.T) {
	records := someRecords(100)
	random := make([]byte, 200)
	rand.NewChaCha8([32]byte{1}).Read(random)
	claim := func(n uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[57:], n)   // records
			binary.BigEndian.PutUint32(b[23:], n-1) // last offset delta
			return sealed(b)
		}
	}
	for _, codec := range codecs {
		good := mustBuild(t, records, batch.NoProducer(codec))
		misplaced := bytes.Clone(mustBuild(t, records, batch.NoProducer(batch.None)))
		misplaced[batch.HeaderLen+3] = 2 // the first record's offset delta, behind length, attributes and timestamp
		misplaced, err := batch.Recompress(sealed(misplaced), codec, maxLen)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{
			"random bytes":      replace(good, codec, random),
			"nothing":           replace(good, codec, nil),
			"a million records": claim(1_000_000)(bytes.Clone(good)),
			"one record less":   claim(99)(bytes.Clone(good)),
			"misplaced":         misplaced,
			"not to its end":    replace(good, codec, good[batch.HeaderLen:len(good)-1]),
			"half":              replace(good, codec, good[batch.HeaderLen:len(good)/2]),
		} {
			t.Run(codec.String()+"/"+name, func(t *testing.T) {
				if _, err := batch.Check(b); err != nil {
					t.Fatal("the header should fit:", err)
				}
				if _, err := batch.Inspect(b, maxLen, ignore); !errors.Is(err, batch.ErrCorrupt) {
					t.Error("got", err)
				}
			})
		}
	}
}

// TestInspectIsBounded inspects what decompresses to more than it may.
func TestInspectIsBounded(t *testing.T) {
	for _, codec := range codecs[1:] {
		b := mustBuild(t, []batch.Record{{Value: make([]byte, 1<<20)}}, batch.NoProducer(codec))
		if _, err := batch.Inspect(b, 1<<20, ignore); !errors.Is(err, batch.ErrTooLarge) {
			t.Errorf("%s: %v", codec, err)
		}
		if _, err := batch.Inspect(b, 1<<20+100, ignore); err != nil {
			t.Errorf("%s: %v", codec, err)
		}
	}
}

// TestScanStops ends a scan early, in the middle of what decompresses.
func TestScanStops(t *testing.T) {
	for _, codec := range codecs {
		b := mustBuild(t, someRecords(1000), batch.NoProducer(codec))
		seen := 0
		if err := batch.Scan(b, maxLen, func(batch.Scanned) bool { seen++; return seen < 5 }); err != nil || seen != 5 {
			t.Errorf("%s: %d records, %v", codec, seen, err)
		}
	}
}

func TestSetMaxTimestamp(t *testing.T) {
	b := mustBuild(t, someRecords(3), batch.NoProducer(batch.Zstd))
	batch.SetMaxTimestamp(b, 77)
	if h, err := batch.Check(b); err != nil || h.MaxTimestamp != 77 {
		t.Errorf("%+v, %v", h, err)
	}
}

// Decoders that are used again by many at once read what each was given.
func TestInspectSideBySide(t *testing.T) {
	for _, codec := range codecs {
		var readers sync.WaitGroup
		for n := range 8 {
			b := mustBuild(t, someRecords(100+n), batch.NoProducer(codec))
			readers.Go(func() {
				for range 50 {
					seen := 0
					if _, err := batch.Inspect(b, maxLen, func(batch.Scanned) { seen++ }); err != nil || seen != 100+n {
						t.Errorf("%s: %d records of %d, %v", codec, seen, 100+n, err)
						return
					}
				}
			})
		}
		readers.Wait()
	}
}

// TestInspectAllocatesNothingForARecord is what the hot path relies on.
func TestInspectAllocatesNothingForARecord(t *testing.T) {
	// Between runs the pools of decoders may be emptied, and with the race detector they lose some at
	// random. What is allocated for a record would be 900 times more.
	const poolSlack = 300
	for _, codec := range codecs {
		var allocated [2]float64
		for i, n := range []int{100, 1000} {
			b := mustBuild(t, someRecords(n), batch.NoProducer(codec))
			allocated[i] = testing.AllocsPerRun(20, func() {
				if _, err := batch.Inspect(b, maxLen, ignore); err != nil {
					t.Fatal(err)
				}
			})
		}
		if allocated[1] > allocated[0]+poolSlack {
			t.Errorf("%s: %v allocations for 100 records, %v for 1000", codec, allocated[0], allocated[1])
		}
	}
}

// sealed writes the CRC anew.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
