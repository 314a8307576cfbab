package kafka_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/ingest"
	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

var allCodecs = []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}

// withRecords puts other bytes in the place of a batch's records and makes length and CRC fit.
func withRecords(b, records []byte) []byte {
	b = append(b[:batch.HeaderLen:batch.HeaderLen], records...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	return sealed(b)
}

// TestWhatABatchSaysOfItselfIsNotBelieved sends batches whose header is sound and whose records are
// not.
func TestWhatABatchSaysOfItselfIsNotBelieved(t *testing.T) {
	random := make([]byte, 200)
	rand.NewChaCha8([32]byte{1}).Read(random)
	for _, codec := range allCodecs {
		garbage := withRecords(build(t, codec, "value"), random)
		million := build(t, codec, "value")
		binary.BigEndian.PutUint32(million[23:], 999_999)
		binary.BigEndian.PutUint32(million[57:], 1_000_000)
		sealed(million)
		for mode, want := range map[string]*kerr.Error{"full": kerr.InvalidRecord, "headers": nil} {
			if codec == batch.None {
				want = kerr.InvalidRecord // there is nothing to save
			}
			f := startFirn(t, kafka.Options{CheckRecords: mode})
			topic := f.createTopic(t, "t", 1)
			wantCode(
				t,
				fmt.Sprint(codec, mode, "random bytes"),
				f.write(t, produceRaw(topic, garbage)).ErrorCode,
				want,
			)
			wantCode(t, fmt.Sprint(codec, mode, "a million"), f.write(t, produceRaw(topic, million)).ErrorCode, want)
		}
	}
}

// TestMaxTimestampIsThatOfTheRecords sends batches whose header names an earlier or a later
// timestamp than their records have.
func TestMaxTimestampIsThatOfTheRecords(t *testing.T) {
	f := startFirn(t, kafka.Options{KeepPlain: true})
	now := time.Now()
	for _, codec := range allCodecs {
		topic := f.createTopic(t, codec.String(), 1)
		for _, claimed := range []int64{0, now.Add(-time.Hour).UnixMilli(), now.Add(30 * time.Minute).UnixMilli()} {
			b := buildFor(t, batch.NoProducer(codec), now, "a", "b", "c")
			binary.BigEndian.PutUint64(b[35:], uint64(claimed))
			wantCode(t, codec.String(), f.write(t, produceRaw(topic, sealed(b))).ErrorCode, nil)
		}
		for _, b := range f.stored(t, topic) {
			if h, err := batch.Check(b); err != nil || h.MaxTimestamp != now.UnixMilli()+2 {
				t.Errorf("%s: stored with %d, want %d; %v", codec, h.MaxTimestamp, now.UnixMilli()+2, err)
			}
		}
		at := segments.Partition{Topic: topic.ID}
		if found, ok, err := f.opts.Index.ByTime(t.Context(), at, now.UnixMilli()+2); err != nil || !ok ||
			found.Offset != 2 {
			t.Errorf("%s: found %+v, %v, %v", codec, found, ok, err)
		}
		if found, ok, err := f.opts.Index.ByTime(t.Context(), at, now.UnixMilli()+3); err != nil || ok {
			t.Errorf("%s: found %+v, %v, %v behind the last", codec, found, ok, err)
		}
	}
}

// TestSizeIsCheckedAfterRecompression sends a small batch that its topic stores in another codec,
// in which it is too large.
func TestSizeIsCheckedAfterRecompression(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1, "compression.type", "uncompressed")
	wantCode(
		t,
		"52 MB",
		f.write(t, produceRaw(topic, build(t, batch.Zstd, strings.Repeat("\x00", 52<<20)))).ErrorCode,
		kerr.MessageTooLarge,
	)
	wantCode(
		t,
		"1 MB",
		f.write(t, produceRaw(topic, build(t, batch.Zstd, strings.Repeat("\x00", 1_000_000)))).ErrorCode,
		nil,
	)
}

// TestBadRecordsAreNamed sends records without a key to a compacted topic, and with timestamps that
// are out of range: the answer names them, and the others may be sent again (KIP-467).
func TestBadRecordsAreNamed(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	for name, test := range map[string]struct {
		config  []string
		spoil   func(*batch.Record)
		kind    *kerr.Error
		message string
	}{
		"keyless": {[]string{"cleanup.policy", "compact"}, func(r *batch.Record) { r.Key = nil }, kerr.InvalidRecord, "key"},
		"old": {[]string{"message.timestamp.before.max.ms", "3600000"}, func(r *batch.Record) { r.Timestamp -= 2 * 3600_000 },
			kerr.InvalidTimestamp, "message.timestamp.before.max.ms"},
	} {
		for _, codec := range allCodecs {
			t.Run(name+"/"+codec.String(), func(t *testing.T) {
				topic := f.createTopic(t, name+codec.String(), 1, test.config...)
				var records, good []batch.Record
				for i := range 100 {
					r := batch.Record{Timestamp: time.Now().UnixMilli(), Key: fmt.Append(nil, i), Value: []byte("v")}
					if i%10 == 3 {
						test.spoil(&r)
					} else {
						good = append(good, r)
					}
					records = append(records, r)
				}
				send := func(records []batch.Record) kmsg.ProduceResponseTopicPartition {
					b, err := batch.Build(records, batch.NoProducer(codec))
					if err != nil {
						t.Fatal(err)
					}
					return f.write(t, produceRaw(topic, b))
				}
				got := send(records)
				wantCode(t, name, got.ErrorCode, test.kind)
				if len(got.ErrorRecords) != 10 || got.ErrorMessage == nil ||
					!strings.Contains(*got.ErrorMessage, "10 of 100 records") {
					t.Fatalf("%d records are named; %v", len(got.ErrorRecords), *got.ErrorMessage)
				}
				for i, r := range got.ErrorRecords {
					if r.RelativeOffset != int32(10*i+3) || !strings.Contains(*r.ErrorMessage, test.message) {
						t.Errorf("%d: %s", r.RelativeOffset, *r.ErrorMessage)
					}
				}
				wantCode(t, "the others", send(good).ErrorCode, nil)
			})
		}
	}
}

// TestNamedRecordsAreBounded sends a batch with more bad records than an answer names.
func TestNamedRecordsAreBounded(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1, "cleanup.policy", "compact")
	got := f.write(t, produceRaw(topic, build(t, batch.Zstd, make([]string, 5000)...)))
	wantCode(t, "keyless", got.ErrorCode, kerr.InvalidRecord)
	if len(got.ErrorRecords) != 1000 {
		t.Errorf("%d records are named", len(got.ErrorRecords))
	}
}

// TestLookupsPassWhatCannotBeRead is of a log that has what an earlier version took: batches that
// cannot be read, and headers that promise timestamps which no record has.
func TestLookupsPassWhatCannotBeRead(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	at := segments.Partition{Topic: topic.ID}
	now := time.Now()
	later := now.Add(time.Hour).UnixMilli()
	append1 := func(b []byte) {
		t.Helper()
		h, err := batch.Check(b)
		if err != nil {
			t.Fatal(err)
		}
		pending, err := f.opts.Writer.Append(t.Context(), []ingest.Batch{{Partition: at, Header: h, Bytes: b}})
		if err != nil {
			t.Fatal(err)
		}
		if results, err := pending.Wait(t.Context()); err != nil || results[0].Err != nil {
			t.Fatal(results, err)
		}
	}
	for i := range 40 {
		lying := buildFor(t, batch.NoProducer(batch.LZ4), now, "a", "b")
		batch.SetMaxTimestamp(lying, later+int64(i))
		append1(lying)
		garbage := withRecords(buildFor(t, batch.NoProducer(batch.Zstd), now, "c", "d"), []byte("no frame"))
		batch.SetMaxTimestamp(garbage, later+int64(i))
		append1(garbage)
	}
	append1(buildFor(t, batch.NoProducer(batch.Zstd), time.UnixMilli(later), "e"))
	const last = 160
	for _, timestamp := range []int64{later, now.UnixMilli(), maxTimestampOffset} {
		a := listOffsetOf(t, f, 11, topic.Name, 0, timestamp, -1)
		wantCode(t, "lookup", a.ErrorCode, nil)
		if a.Offset < 0 || a.Offset > last {
			t.Errorf("timestamp %d: offset %d", timestamp, a.Offset)
		}
		if timestamp == now.UnixMilli() && a.Offset != 0 {
			t.Errorf("now is at offset %d", a.Offset)
		}
	}
	// a lookup that has read enough says where it stands, which is before what it looks for
	if found, ok, err := f.opts.Index.ByTime(t.Context(), at, later); err != nil || !ok || found.Offset < 100 ||
		found.Offset > last {
		t.Errorf("%+v, %v, %v", found, ok, err)
	}
}
