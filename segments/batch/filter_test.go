package batch_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/segments/batch"
)

const horizon = 1_900_000_000_000

// retain filters with a rule by index.
func retain(t testing.TB, b []byte, o batch.RetainOptions, keep func(i int) bool) batch.Retained {
	t.Helper()
	o.MaxDecompressed = maxLen
	i := -1
	got, err := batch.Retain(b, o, func(*batch.Record) bool { i++; return keep(i) })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// chosen is the records that stay by the rule, as they should be read back.
func chosen(records []batch.Record, keep func(i int) bool) (kept []batch.Record) {
	for i, r := range records {
		if keep(i) {
			kept = append(kept, r)
		}
	}
	return kept
}

// TestRetain filters batches of every codec by several rules. The records that stay have their
// offsets, timestamps, headers and all; the batch has the offsets, the producer and the codec that
// it had.
func TestRetain(t *testing.T) {
	rules := map[string]func(i int) bool{
		"all":    func(int) bool { return true },
		"none":   func(int) bool { return false },
		"odd":    func(i int) bool { return i%2 == 1 },
		"first":  func(i int) bool { return i == 0 },
		"last":   func(i int) bool { return i == 49 },
		"middle": func(i int) bool { return i > 20 && i < 30 },
	}
	records := someRecords(50)
	for _, codec := range codecs {
		for name, keep := range rules {
			for _, mark := range []bool{false, true} {
				t.Run(fmt.Sprint(codec, " ", name, " marked ", mark), func(t *testing.T) {
					b := mustBuild(t, records, batch.Options{Codec: codec, ProducerID: 7, ProducerEpoch: 2, BaseSequence: 99})
					before := bytes.Clone(b)
					o := batch.RetainOptions{OwnHorizon: true}
					if mark {
						o.Horizon = horizon
					}
					got := retain(t, b, o, keep)
					if !bytes.Equal(b, before) {
						t.Fatal("the batch was changed")
					}
					checkRetained(t, b, got, chosen(records, keep), mark)
				})
			}
		}
	}
}

// checkRetained compares what is left of a batch with the records that should be.
func checkRetained(t *testing.T, b []byte, got batch.Retained, want []batch.Record, mark bool) {
	t.Helper()
	if len(want) == 0 {
		if got.Bytes != nil || got.Records != 0 || got.Horizon != 0 {
			t.Fatalf("%d bytes, %d records are left", len(got.Bytes), got.Records)
		}
		return
	}
	before, _ := batch.ReadHeader(b)
	h, err := batch.CheckBytes(got.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if h.BaseOffset != before.BaseOffset || h.LastOffsetDelta != before.LastOffsetDelta ||
		h.ProducerID != before.ProducerID ||
		h.ProducerEpoch != before.ProducerEpoch || h.BaseSequence != before.BaseSequence ||
		h.Attributes.Codec() != before.Attributes.Codec() ||
		h.Attributes.LogAppendTime() != before.Attributes.LogAppendTime() {
		t.Errorf("header %+v, before %+v", h, before)
	}
	read, err := collect(got.Bytes, maxLen)
	if diff := diffRecords(want, read); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	latest := slices.MaxFunc(want, func(a, b batch.Record) int { return int(a.Timestamp - b.Timestamp) }).Timestamp
	if h.MaxTimestamp != latest || got.Records != len(want) || int(h.Records) != len(want) {
		t.Errorf("max timestamp %d, want %d; %d records, want %d", h.MaxTimestamp, latest, h.Records, len(want))
	}
	tombstones := slices.ContainsFunc(want, func(r batch.Record) bool { return r.Value == nil })
	at, marked := h.DeleteHorizon()
	if marked != (mark && tombstones) || marked && at != horizon || marked != (got.Horizon == horizon) {
		t.Errorf("horizon %d %v, reported %d; tombstones %v", at, marked, got.Horizon, tombstones)
	}
	var theirs kmsg.RecordBatch
	if err := theirs.ReadFrom(got.Bytes); err != nil {
		t.Error("franz-go:", err)
	}
}

// TestRetainSame: a batch of which everything stays is not made anew, marked or not.
func TestRetainSame(t *testing.T) {
	for _, codec := range codecs {
		b := mustBuild(t, someRecords(20), batch.NoProducer(codec))
		all := func(int) bool { return true }
		if got := retain(t, b, batch.RetainOptions{}, all); &got.Bytes[0] != &b[0] {
			t.Error(codec, "made anew")
		}
		marked := retain(t, b, batch.RetainOptions{Horizon: horizon}, all)
		again := retain(t, marked.Bytes, batch.RetainOptions{Horizon: horizon + 5, OwnHorizon: true}, all)
		if &again.Bytes[0] != &marked.Bytes[0] || again.Horizon != horizon {
			t.Error(codec, "its horizon moved to", again.Horizon)
		}
		some := retain(t, marked.Bytes, batch.RetainOptions{Horizon: horizon + 5, OwnHorizon: true}, func(i int) bool {
			return i < 9
		})
		if h, _ := batch.ReadHeader(some.Bytes); h.BaseTimestamp != horizon || some.Horizon != horizon {
			t.Error(codec, "filtered, its horizon moved to", h.BaseTimestamp)
		}
		foreign := retain(t, marked.Bytes, batch.RetainOptions{Horizon: horizon + 5}, all)
		if h, _ := batch.ReadHeader(foreign.Bytes); h.BaseTimestamp != horizon+5 || foreign.Horizon != horizon+5 {
			t.Error(codec, "a horizon that a producer claimed stays:", h.BaseTimestamp)
		}
		if diff := diffRecords(someRecords(20), must(collect(foreign.Bytes, maxLen))); diff != "" {
			t.Error(codec, diff)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestRetainLogAppendTime: the timestamp of all records is that of the batch, whatever stays and
// whatever its base is.
func TestRetainLogAppendTime(t *testing.T) {
	b := mustBuild(t, someRecords(20), batch.NoProducer(batch.LZ4))
	batch.SetLogAppendTime(b, 1_800_000_000_000)
	got := retain(t, b, batch.RetainOptions{Horizon: horizon}, func(i int) bool { return i%4 == 0 })
	h, err := batch.CheckBytes(got.Bytes)
	if err != nil || h.MaxTimestamp != 1_800_000_000_000 || !h.Attributes.LogAppendTime() || got.Horizon != horizon {
		t.Fatalf("%+v %v", h, err)
	}
	for _, r := range must(collect(got.Bytes, maxLen)) {
		if r.Timestamp != 1_800_000_000_000 {
			t.Error(r.Offset, r.Timestamp)
		}
	}
	var theirs kmsg.RecordBatch
	if err := theirs.ReadFrom(got.Bytes); err != nil || theirs.FirstTimestamp != horizon {
		t.Error(theirs.FirstTimestamp, err)
	}
}

// TestRetainEmpty: what is kept for its offsets has them, its producer and its time, and nothing
// compressed.
func TestRetainEmpty(t *testing.T) {
	none := func(int) bool { return false }
	for _, codec := range codecs {
		b := mustBuild(t, someRecords(20), batch.Options{Codec: codec, ProducerID: 5, ProducerEpoch: 1, BaseSequence: 3})
		before, _ := batch.ReadHeader(b)
		got := retain(t, b, batch.RetainOptions{KeepEmpty: true}, none)
		h, err := batch.CheckBytes(got.Bytes)
		if err != nil || h.Size() != batch.HeaderLen || h.Records != 0 || got.Records != 0 || h.Attributes != 0 ||
			h.BaseOffset != before.BaseOffset || h.LastOffsetDelta != before.LastOffsetDelta ||
			h.MaxTimestamp != before.MaxTimestamp ||
			h.ProducerID != 5 || h.BaseSequence != 3 {
			t.Fatalf("%s: %+v %v", codec, h, err)
		}
		if again := retain(t, got.Bytes, batch.RetainOptions{KeepEmpty: true}, none); !bytes.Equal(again.Bytes, got.Bytes) {
			t.Error(codec, "not the same the second time")
		}
		if gone := retain(t, got.Bytes, batch.RetainOptions{}, none); gone.Bytes != nil {
			t.Error(codec, "does not go")
		}
	}
}

// TestRetainCorrupt: what cannot be read is an error, and nothing else.
func TestRetainCorrupt(t *testing.T) {
	for _, codec := range codecs {
		good := mustBuild(t, someRecords(20), batch.NoProducer(codec))
		tooLarge := batch.ErrTooLarge
		if codec == batch.None { // there is nothing to decompress
			tooLarge = nil
		}
		for name, c := range map[string]struct {
			b    []byte
			max  int
			want error
		}{
			"short":      {good[:40], maxLen, batch.ErrCorrupt},
			"cut":        {replace(good, codec, good[batch.HeaderLen:len(good)-3]), maxLen, batch.ErrCorrupt},
			"nonsense":   {replace(good, codec, []byte("nonsense")), maxLen, batch.ErrCorrupt},
			"too large":  {good, 100, tooLarge},
			"bad codec":  {replace(good, 7, good[batch.HeaderLen:]), maxLen, batch.ErrCodec},
			"old format": {make([]byte, 100), maxLen, batch.ErrMagic},
		} {
			_, err := batch.Retain(c.b, batch.RetainOptions{MaxDecompressed: c.max}, func(*batch.Record) bool { return true })
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", codec, name, err, c.want)
			}
		}
	}
}

// FuzzRetain feeds any bytes as the records of a batch, and a mask of those that stay. Nothing
// panics; what is left has its CRC and offsets, is read back, and has the chosen records and no
// other; cleaning it again changes nothing.
func FuzzRetain(f *testing.F) {
	plain := mustBuild(f, someRecords(10), batch.NoProducer(batch.None))
	for _, codec := range codecs {
		b := must(batch.Recompress(plain, codec, maxLen))
		f.Add(byte(codec), b[batch.HeaderLen:], uint64(0b1011), true, true)
	}
	f.Fuzz(func(t *testing.T, codec byte, records []byte, mask uint64, mark, keepEmpty bool) {
		const limit = 1 << 20
		b := replace(plain, batch.Codec(codec&7), records)
		o := batch.RetainOptions{MaxDecompressed: limit, KeepEmpty: keepEmpty}
		if mark {
			o.Horizon = horizon
		}
		chosenOnes := func(i int) bool { return mask>>(i%64)&1 == 1 }
		i := -1
		got, err := batch.Retain(b, o, func(*batch.Record) bool { i++; return chosenOnes(i) })
		if err != nil || got.Bytes == nil {
			return
		}
		before, err := collect(b, limit)
		if err != nil {
			t.Fatal("Retain takes what Records does not:", err)
		}
		h, _ := batch.ReadHeader(b)
		after, err := batch.CheckBytes(got.Bytes)
		if err != nil || after.BaseOffset != h.BaseOffset || after.LastOffsetDelta != h.LastOffsetDelta ||
			int(after.Records) != got.Records {
			t.Fatalf("%+v of %+v: %v", after, h, err)
		}
		read, err := collect(got.Bytes, 2*limit)
		if diff := diffRecords(chosen(before, chosenOnes), read); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		o.OwnHorizon, o.MaxDecompressed = true, 2*limit
		again, err := batch.Retain(got.Bytes, o, func(*batch.Record) bool { return true })
		if err != nil || !bytes.Equal(again.Bytes, got.Bytes) && (got.Records > 0 || keepEmpty) {
			t.Fatal("not the same the second time", err)
		}
	})
}
