package batch_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"firn.dev/segments/batch"
)

// logLines are records of about 1 KiB that look like a program's log.
func logLines(n int) []batch.Record {
	random := rand.New(rand.NewPCG(1, 2))
	records := make([]batch.Record, n)
	for i := range records {
		var line []byte
		for len(line) < 1000 {
			line = fmt.Appendf(line, "level=info request=%016x status=200 took=%dms path=/orders/%d ", random.Uint64(),
				random.IntN(500), random.IntN(1e6))
		}
		records[i] = batch.Record{Offset: int64(i), Timestamp: int64(i), Key: fmt.Appendf(nil, "user-%d", random.IntN(1e4)),
			Value: line}
	}
	return records
}

func BenchmarkHeader(b *testing.B) {
	data := mustBuild(b, logLines(1), batch.NoProducer(batch.None))
	b.ReportAllocs()
	for b.Loop() {
		batch.ReadHeader(data)
		batch.SetBaseOffset(data, 5)
	}
}

func BenchmarkCheck(b *testing.B) {
	data := mustBuild(b, logLines(64), batch.NoProducer(batch.None))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := batch.Check(data); err != nil {
			b.Fatal(err)
		}
	}
}

// ignore is for records that are inspected for their form alone.
func ignore(batch.Scanned) {}

// BenchmarkInspect is what a look at each record of a producer's batch costs.
func BenchmarkInspect(b *testing.B) {
	for name, records := range map[string][]batch.Record{"1KiB": logLines(64), "50B": shortLines(64 << 10 / 50)} {
		for _, codec := range codecs {
			data := mustBuild(b, records, batch.NoProducer(codec))
			b.Run(name+"/"+codec.String(), func(b *testing.B) {
				b.SetBytes(64 << 10)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := batch.Inspect(data, maxLen, ignore); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// shortLines are records of about 50 bytes.
func shortLines(n int) []batch.Record {
	records := logLines(n)
	for i := range records {
		records[i].Value = records[i].Value[:32]
	}
	return records
}

func BenchmarkBuild(b *testing.B) {
	records := logLines(64)
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				mustBuild(b, records, batch.NoProducer(codec))
			}
		})
	}
}

func BenchmarkRecords(b *testing.B) {
	records := logLines(64)
	for _, codec := range codecs {
		data := mustBuild(b, records, batch.NoProducer(codec))
		b.Run(codec.String(), func(b *testing.B) {
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range batch.Records(data, maxLen) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkCompressPlain(b *testing.B) {
	noise := make([]byte, 256<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for name, data := range map[string][]byte{
		"text":  mustBuild(b, logLines(256), batch.NoProducer(batch.None)),
		"noise": mustBuild(b, []batch.Record{{Value: noise}}, batch.NoProducer(batch.None)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				batch.CompressPlain(data)
			}
		})
	}
}

// TestNoAllocations is what the hot path relies on.
func TestNoAllocations(t *testing.T) {
	data := mustBuild(t, logLines(4), batch.NoProducer(batch.None))
	if n := testing.AllocsPerRun(100, func() {
		batch.ReadHeader(data)
		batch.Check(data)
		batch.SetBaseOffset(data, 9)
		batch.SetLogAppendTime(data, 9)
		for range batch.All(data) {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRetain keeps every second record: what compaction does with each batch; with horizon,
// all of their timestamps count from another base as well.
func BenchmarkRetain(b *testing.B) {
	records := logLines(64)
	records[10].Value = nil
	for _, codec := range codecs {
		data := mustBuild(b, records, batch.NoProducer(codec))
		for name, o := range map[string]batch.RetainOptions{"": {}, "/horizon": {Horizon: horizon}} {
			b.Run(codec.String()+name, func(b *testing.B) {
				o.MaxDecompressed = maxLen
				b.SetBytes(64 << 10)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := batch.Retain(data, o, func(r *batch.Record) bool { return r.Offset%2 == 0 }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
