package batch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/segments/batch"
)

const maxLen = 8 << 20

var codecs = []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}

// someRecords have null, empty and other keys, values and headers, and timestamps in no order.
func someRecords(n int) []batch.Record {
	records := make([]batch.Record, n)
	for i := range records {
		r := batch.Record{Offset: int64(40 + i), Timestamp: 1_700_000_000_000 + int64(i*7%5)*1000}
		if i%3 > 0 {
			r.Key = bytes.Repeat([]byte("k"), i%3-1)
		}
		if i%4 > 0 {
			r.Value = bytes.Repeat([]byte(fmt.Sprint("value ", i, " ")), i%4-1+i/4)
		}
		for j := range i % 3 {
			r.Headers = append(r.Headers, batch.RecordHeader{Key: strings.Repeat("h", j),
				Value: [][]byte{nil, {}, []byte("v")}[i%3]})
		}
		records[i] = r
	}
	return records
}

func mustBuild(t testing.TB, records []batch.Record, o batch.Options) []byte {
	t.Helper()
	b, err := batch.Build(records, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func collect(b []byte, limit int) ([]batch.Record, error) {
	var records []batch.Record
	for r, err := range batch.Records(b, limit) {
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
	return records, nil
}

// diffRecords is empty if they are the same. It asks cmp only if they are not, because cmp is slow
// with long values.
func diffRecords(want, got []batch.Record) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

// TestOracle compares what Build writes with what franz-go's generated codec reads and writes.
func TestOracle(t *testing.T) {
	records := someRecords(50)
	o := batch.Options{ProducerID: 77, ProducerEpoch: 3, BaseSequence: 12, Transactional: true}
	b := mustBuild(t, records, o)
	var theirs kmsg.RecordBatch
	if err := theirs.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	if again := theirs.AppendTo(nil); !bytes.Equal(again, b) {
		t.Error("franz-go encodes the same batch differently")
	}
	if int(theirs.NumRecords) != len(records) || theirs.FirstOffset != 40 || theirs.ProducerID != 77 ||
		theirs.FirstSequence != 12 ||
		theirs.ProducerEpoch != 3 || theirs.Attributes != 16 || theirs.LastOffsetDelta != 49 {
		t.Errorf("header %+v", theirs)
	}
	if sum := crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)); int32(sum) != theirs.CRC {
		t.Errorf("CRC %x, want %x", theirs.CRC, sum)
	}
	var got []batch.Record
	for rest := theirs.Records; len(rest) > 0; {
		length, n := binary.Varint(rest)
		var r kmsg.Record
		if err := r.ReadFrom(rest[:n+int(length)]); err != nil {
			t.Fatal(err)
		}
		if again := r.AppendTo(nil); !bytes.Equal(again, rest[:n+int(length)]) {
			t.Errorf("franz-go encodes record %d differently", len(got))
		}
		record := batch.Record{Offset: theirs.FirstOffset + int64(r.OffsetDelta),
			Timestamp: theirs.FirstTimestamp + r.TimestampDelta64, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, batch.RecordHeader{Key: h.Key, Value: h.Value})
		}
		got = append(got, record)
		rest = rest[n+int(length):]
	}
	if diff := diffRecords(records, got); diff != "" {
		t.Error(diff)
	}
}

func TestCodecsRoundTrip(t *testing.T) {
	records := someRecords(300)
	for _, from := range codecs {
		b := mustBuild(t, records, batch.NoProducer(from))
		for _, to := range codecs {
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				before := bytes.Clone(b)
				out, err := batch.Recompress(b, to, maxLen)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(b, before) {
					t.Error("Recompress changed its input")
				}
				h, err := batch.Check(out)
				if err != nil || h.Attributes.Codec() != to || h.ProducerID != -1 || h.Records != 300 {
					t.Fatalf("%+v, %v", h, err)
				}
				got, err := collect(out, maxLen)
				if err != nil {
					t.Fatal(err)
				}
				if diff := diffRecords(records, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestCompressPlain(t *testing.T) {
	text := mustBuild(t, []batch.Record{{Value: bytes.Repeat([]byte("firn and snow "), 20_000)}},
		batch.NoProducer(batch.None))
	noise := make([]byte, 200<<10)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	half := append(bytes.Repeat([]byte("a"), 70<<10), noise...)
	for _, test := range []struct {
		name    string
		in      []byte
		shrinks bool
	}{
		{"text", text, true},
		{"noise", mustBuild(t, []batch.Record{{Value: noise}}, batch.NoProducer(batch.None)), false},
		{"text, then noise", mustBuild(t, []batch.Record{{Value: half}}, batch.NoProducer(batch.None)), true},
		{"tiny", mustBuild(t, []batch.Record{{Value: []byte("x")}}, batch.NoProducer(batch.None)), false},
		{"compressed before", mustBuild(t, []batch.Record{{Value: half}}, batch.NoProducer(batch.Gzip)), false},
		{"control", mustBuild(t, []batch.Record{{Value: half}}, batch.Options{Control: true}), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := bytes.Clone(test.in)
			out := batch.CompressPlain(test.in)
			if !bytes.Equal(test.in, before) {
				t.Error("it changed its input")
			}
			if !test.shrinks {
				if &out[0] != &test.in[0] || len(out) != len(test.in) {
					t.Error("not the same slice")
				}
				return
			}
			if h, err := batch.Check(out); err != nil || len(out) >= len(test.in) || h.Attributes.Codec() != batch.LZ4 {
				t.Fatalf("%d of %d bytes, %+v, %v", len(out), len(test.in), h, err)
			}
			want, _ := collect(test.in, maxLen)
			got, err := collect(out, maxLen)
			if diff := diffRecords(want, got); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

// TestBombs feeds batches that are small and say, or are, much more than the cap.
func TestBombs(t *testing.T) {
	const limit = 256 << 10
	zeros := []batch.Record{{Value: make([]byte, 6<<20)}}
	for _, codec := range codecs[1:] {
		t.Run(codec.String(), func(t *testing.T) {
			b := mustBuild(t, zeros, batch.NoProducer(codec))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := collect(b, limit); !errors.Is(err, batch.ErrTooLarge) {
				t.Fatal("got", err)
			}
			runtime.ReadMemStats(&after)
			most := uint64(8 * limit)
			if codec == batch.Zstd {
				most += 9 << 20 // the window, which decoders keep
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > most {
				t.Errorf("%d bytes were allocated for a cap of %d", used, limit)
			}
			if _, err := batch.Recompress(b, batch.None, limit); !errors.Is(err, batch.ErrTooLarge) {
				t.Error("Recompress:", err)
			}
			if got, err := collect(b, 7<<20); err != nil || len(got) != 1 {
				t.Error(len(got), err)
			}
		})
	}
}

// replace puts other bytes in the place of the records and makes length, codec and CRC fit.
func replace(b []byte, codec batch.Codec, records []byte) []byte {
	out := append(bytes.Clone(b[:batch.HeaderLen]), records...)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	out[22] = out[22]&^7 | byte(codec)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

func TestXerialSnappy(t *testing.T) {
	records := someRecords(200)
	plain := mustBuild(t, records, batch.NoProducer(batch.None))
	framed := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
	for chunk := range bytesChunks(plain[batch.HeaderLen:], 1000) {
		one := mustBuild(t, []batch.Record{{}}, batch.NoProducer(batch.None))
		block, err := batch.Recompress(replace(one, batch.None, chunk), batch.Snappy, maxLen)
		if err != nil {
			t.Fatal(err)
		}
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(block)-batch.HeaderLen))
		framed = append(framed, block[batch.HeaderLen:]...)
	}
	b := replace(plain, batch.Snappy, framed)
	got, err := collect(b, maxLen)
	if diff := diffRecords(records, got); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	if _, err := collect(b, 2000); !errors.Is(err, batch.ErrTooLarge) {
		t.Error("cap:", err)
	}
	for _, cut := range []int{1, 500, len(framed) - 17} {
		if _, err := collect(replace(plain, batch.Snappy, framed[:len(framed)-cut]), maxLen); !errors.Is(err,
			batch.ErrCorrupt) {
			t.Errorf("cut by %d: %v", cut, err)
		}
	}
}

func bytesChunks(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 && yield(b[:min(n, len(b))]) {
			b = b[min(n, len(b)):]
		}
	}
}

func TestCheck(t *testing.T) {
	good := mustBuild(t, someRecords(5), batch.NoProducer(batch.None))
	for _, test := range []struct {
		name    string
		corrupt func(b []byte) []byte
		want    error
	}{
		{"nothing", func(b []byte) []byte { return b }, nil},
		{"empty", func(b []byte) []byte { return nil }, batch.ErrCorrupt},
		{"old format", func(b []byte) []byte { b[16] = 1; return b }, batch.ErrMagic},
		{"cut in its header", func(b []byte) []byte { return b[:60] }, batch.ErrCorrupt},
		{"cut", func(b []byte) []byte { return b[:len(b)-1] }, batch.ErrCorrupt},
		{"longer", func(b []byte) []byte { return append(b, 0) }, batch.ErrCorrupt},
		{"length too small", func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 48); return b }, batch.ErrCorrupt},
		{"length negative", func(b []byte) []byte { b[8] = 0xff; return b }, batch.ErrCorrupt},
		{"a bit of a record", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, batch.ErrCRC},
		{"a bit of the CRC", func(b []byte) []byte { b[17] ^= 1; return b }, batch.ErrCRC},
		{"no records", func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[57:], 0)
			binary.BigEndian.PutUint32(b[23:], math.MaxUint32)
			return replace(b, batch.None, b[batch.HeaderLen:])
		}, batch.ErrCorrupt},
		{"offsets and records differ", func(b []byte) []byte {
			b[26]++
			return replace(b, batch.None, b[batch.HeaderLen:])
		}, batch.ErrCorrupt},
		{"base offset and epoch are not covered", func(b []byte) []byte { batch.SetBaseOffset(b, 1<<60); return b }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := batch.Check(test.corrupt(bytes.Clone(good))); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestInspect corrupts records in a batch whose CRC is right: only a look at each record finds it.
func TestInspect(t *testing.T) {
	good := mustBuild(t, []batch.Record{{Key: []byte("k"), Value: []byte("v")},
		{Key: []byte("k"), Value: []byte("v"), Headers: []batch.RecordHeader{{Key: "h"}}}}, batch.NoProducer(batch.None))
	// length, attributes, timestamp, offset, key, value, headers; 9 and then 12 bytes
	for _, test := range []struct {
		name    string
		corrupt func(records []byte) []byte
	}{
		{"bytes behind", func(r []byte) []byte { return append(r, 0) }},
		{"cut", func(r []byte) []byte { return r[:len(r)-1] }},
		{"one missing", func(r []byte) []byte { return r[:9] }},
		{"length longer", func(r []byte) []byte { r[0] += 2; return r }},
		{"length shorter", func(r []byte) []byte { r[0] -= 2; return r }},
		{"length negative", func(r []byte) []byte { r[0] = 1; return r }},
		{"offset again", func(r []byte) []byte { r[12] = 0; return r }},
		{"key longer", func(r []byte) []byte { r[4] = 100; return r }},
		{"key length -2", func(r []byte) []byte { r[4] = 3; return r }},
		{"more headers", func(r []byte) []byte { r[17] = 4; return r }},
		{"fewer headers", func(r []byte) []byte { r[17] = 0; return r }},
		{"header's key null", func(r []byte) []byte { r[18] = 1; return r }},
		{"endless varint", func(r []byte) []byte { return bytes.Repeat([]byte{0xff}, len(r)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := replace(good, batch.None, test.corrupt(bytes.Clone(good[batch.HeaderLen:])))
			if _, err := batch.Check(b); err != nil {
				t.Fatal("the CRC should fit:", err)
			}
			if _, err := batch.Inspect(b, maxLen, ignore); !errors.Is(err, batch.ErrCorrupt) {
				t.Error("got", err)
			}
		})
	}
	if _, err := batch.Inspect(good, maxLen, ignore); err != nil {
		t.Error(err)
	}
}

func TestSetLogAppendTime(t *testing.T) {
	for _, codec := range codecs {
		b := mustBuild(t, someRecords(20), batch.NoProducer(codec))
		batch.SetLogAppendTime(b, 12345)
		h, err := batch.Check(b)
		if err != nil || !h.Attributes.LogAppendTime() || h.MaxTimestamp != 12345 || h.Attributes.Codec() != codec {
			t.Fatalf("%+v, %v", h, err)
		}
		for r, err := range batch.Records(b, maxLen) {
			if err != nil || r.Timestamp != 12345 {
				t.Fatal(r, err)
			}
		}
	}
}

func TestUnknownCodec(t *testing.T) {
	b := mustBuild(t, someRecords(2), batch.NoProducer(batch.None))
	b = replace(b, 6, b[batch.HeaderLen:])
	if _, err := collect(b, maxLen); !errors.Is(err, batch.ErrCodec) {
		t.Error(err)
	}
	if _, err := batch.Build(someRecords(1), batch.NoProducer(6)); !errors.Is(err, batch.ErrCodec) {
		t.Error(err)
	}
}

func TestLastSequenceWraps(t *testing.T) {
	h := batch.Header{BaseSequence: math.MaxInt32 - 1, LastOffsetDelta: 3}
	if got := h.LastSequence(); got != 1 {
		t.Error(got)
	}
}

func TestAll(t *testing.T) {
	one, two := mustBuild(t, someRecords(3), batch.NoProducer(batch.None)),
		mustBuild(t, someRecords(4), batch.NoProducer(batch.Zstd))
	var counts []int32
	for h, err := range batch.All(append(bytes.Clone(one), two...)) {
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, h.Records)
	}
	if !cmp.Equal(counts, []int32{3, 4}) {
		t.Error(counts)
	}
	for _, err := range batch.All(two[:70]) {
		if !errors.Is(err, batch.ErrCorrupt) {
			t.Error(err)
		}
	}
}

func TestParseCodec(t *testing.T) {
	for _, codec := range codecs {
		if got, err := batch.ParseCodec(codec.String()); err != nil || got != codec {
			t.Errorf("%s is read as %s, %v", codec, got, err)
		}
	}
	for _, name := range []string{"", "LZ4", "brotli"} {
		if got, err := batch.ParseCodec(name); !errors.Is(err, batch.ErrCodec) {
			t.Errorf("%q is %s, %v", name, got, err)
		}
	}
}
