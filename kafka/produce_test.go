package kafka_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// build makes a batch of values, stamped now.
func build(t testing.TB, codec batch.Codec, values ...string) []byte {
	t.Helper()
	return buildFor(t, batch.NoProducer(codec), time.Now(), values...)
}

func buildFor(t testing.TB, o batch.Options, at time.Time, values ...string) []byte {
	t.Helper()
	var records []batch.Record
	for i, v := range values {
		records = append(records, batch.Record{Timestamp: at.UnixMilli() + int64(i), Value: []byte(v)})
	}
	b, err := batch.Build(records, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// produceTopicIDs is the newest version of Produce, which names topics by id.
const produceTopicIDs = 13

// produceRaw is a Produce request for one partition of a topic, in the newest version.
func produceRaw(topic *coordinator.Topic, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = produceTopicIDs, -1, 10_000
	req.Topics = []kmsg.ProduceRequestTopic{{
		Topic: topic.Name, TopicID: topic.ID, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: records}},
	}}
	return req
}

// write sends a Produce of one batch and returns the answer for it.
func (f *firn) write(t testing.TB, req *kmsg.ProduceRequest) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	return ask[*kmsg.ProduceResponse](t, f, req).Topics[0].Partitions[0]
}

// stored returns the batches of a topic's partition 0 as they are served.
func (f *firn) stored(t testing.TB, topic *coordinator.Topic) (batches [][]byte) {
	t.Helper()
	chunk, err := f.opts.Index.Read(t.Context(), segments.Partition{Topic: topic.ID}, 0, 100<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	for rest := bytes.Join(chunk.Batches, nil); len(rest) > 0; {
		h, err := batch.ReadHeader(rest)
		if err != nil {
			t.Fatal(err)
		}
		batches, rest = append(batches, rest[:h.Size()]), rest[h.Size():]
	}
	return batches
}

func TestProduceInEveryVersion(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	for version := int16(3); version <= produceTopicIDs; version++ {
		for _, acks := range []int16{1, -1} {
			req := produceRaw(topic, build(t, batch.None, "a", "b"))
			req.Version, req.Acks = version, acks
			before, _ := f.node.View().Partition(segments.Partition{Topic: topic.ID})
			got := f.write(t, req)
			wantCode(t, fmt.Sprintf("version %d", version), got.ErrorCode, nil)
			if got.BaseOffset != before.HighWatermark || got.LogAppendTime != -1 || got.LogStartOffset > 0 {
				t.Errorf("version %d: %+v; the high watermark was %d", version, got, before.HighWatermark)
			}
		}
	}
}

func TestProduceRefusesWhatItShould(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1, "max.message.bytes", "5000", "message.timestamp.before.max.ms", "3600000")
	valid := func() []byte { return build(t, batch.None, "value") }
	with := func(change func(b []byte)) []byte { b := valid(); change(b); return b }
	producer := func(o batch.Options, at time.Time) []byte { return buildFor(t, o, at, "value") }
	plain := batch.NoProducer(batch.None)
	transactional, control, negative := plain, plain, plain
	transactional.Transactional, control.Control = true, true
	negative.ProducerID, negative.ProducerEpoch = 5, 0
	for name, test := range map[string]struct {
		records []byte
		change  func(*kmsg.ProduceRequest)
		want    *kerr.Error
	}{
		"nothing":         {nil, nil, kerr.InvalidRecord},
		"two batches":     {append(valid(), valid()...), nil, kerr.InvalidRecord},
		"cut short":       {valid()[:60], nil, kerr.InvalidRecord},
		"format v1":       {with(func(b []byte) { b[16] = 1 }), nil, kerr.InvalidRecord},
		"wrong CRC":       {with(func(b []byte) { b[17] ^= 1 }), nil, kerr.CorruptMessage},
		"too large":       {build(t, batch.None, strings.Repeat("x", 5000)), nil, kerr.MessageTooLarge},
		"control":         {producer(control, time.Now()), nil, kerr.InvalidRecord},
		"transactional":   {producer(transactional, time.Now()), nil, kerr.TransactionalIDAuthorizationFailed},
		"sequence -1":     {producer(negative, time.Now()), nil, kerr.InvalidRecord},
		"from the future": {producer(plain, time.Now().Add(2*time.Hour)), nil, kerr.InvalidTimestamp},
		"from the past":   {producer(plain, time.Now().Add(-2*time.Hour)), nil, kerr.InvalidTimestamp},
		"broken records":  {sealed(with(func(b []byte) { b[61] = 99 })), nil, kerr.InvalidRecord},
		"old zstd": {build(t, batch.Zstd, "value"), func(r *kmsg.ProduceRequest) {
			r.Version = 6
		}, kerr.UnsupportedCompressionType},
		"acks 2": {valid(), func(r *kmsg.ProduceRequest) { r.Acks = 2 }, kerr.InvalidRequiredAcks},
		"no producer": {producer(transactional, time.Now()), func(r *kmsg.ProduceRequest) {
			r.TransactionID = new("id")
		}, kerr.InvalidRecord},
		"unknown id": {valid(), func(r *kmsg.ProduceRequest) { r.Topics[0].TopicID[3]++ }, kerr.UnknownTopicID},
		"unknown name": {valid(), func(r *kmsg.ProduceRequest) {
			r.Version, r.Topics[0].Topic = 9, "other"
		}, kerr.UnknownTopicOrPartition},
		"unknown partition": {valid(), func(r *kmsg.ProduceRequest) {
			r.Topics[0].Partitions[0].Partition = 1
		}, kerr.UnknownTopicOrPartition},
		"partition -1": {valid(), func(r *kmsg.ProduceRequest) {
			r.Topics[0].Partitions[0].Partition = -1
		}, kerr.UnknownTopicOrPartition},
	} {
		t.Run(name, func(t *testing.T) {
			req := produceRaw(topic, test.records)
			if test.change != nil {
				test.change(req)
			}
			got := f.write(t, req)
			wantCode(t, name, got.ErrorCode, test.want)
			if got.BaseOffset != -1 || got.ErrorMessage == nil && req.Version >= 8 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// sealed gives a batch that was tampered with a CRC that fits.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// One bad partition leaves the others of its request alone.
func TestOneBadBatchHurtsOnlyItself(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 3)
	req := produceRaw(topic, build(t, batch.None, "a"))
	req.Topics[0].Partitions = []kmsg.ProduceRequestTopicPartition{
		{Partition: 0, Records: build(t, batch.None, "a")},
		{Partition: 1, Records: []byte("nonsense")},
		{Partition: 2, Records: build(t, batch.None, "c")},
	}
	got := ask[*kmsg.ProduceResponse](t, f, req).Topics[0].Partitions
	wantCode(t, "0", got[0].ErrorCode, nil)
	wantCode(t, "1", got[1].ErrorCode, kerr.InvalidRecord)
	wantCode(t, "2", got[2].ErrorCode, nil)
}

func TestProduceIsIdempotent(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	id := ask[*kmsg.InitProducerIDResponse](
		t,
		f,
		&kmsg.InitProducerIDRequest{Version: 5, ProducerID: -1, ProducerEpoch: -1},
	)
	wantCode(t, "InitProducerId", id.ErrorCode, nil)
	at := func(epoch int16, sequence int32) *kmsg.ProduceRequest {
		o := batch.Options{ProducerID: id.ProducerID, ProducerEpoch: epoch, BaseSequence: sequence}
		return produceRaw(topic, buildFor(t, o, time.Now(), "a", "b"))
	}
	first := f.write(t, at(1, 0))
	second := f.write(t, at(1, 2))
	again := f.write(t, at(1, 2))
	wantCode(t, "first", first.ErrorCode, nil)
	wantCode(t, "second", second.ErrorCode, nil)
	wantCode(t, "again", again.ErrorCode, nil)
	if again.BaseOffset != second.BaseOffset || second.BaseOffset != first.BaseOffset+2 {
		t.Errorf("offsets %d, %d, and %d for the duplicate", first.BaseOffset, second.BaseOffset, again.BaseOffset)
	}
	wantCode(t, "hole", f.write(t, at(1, 6)).ErrorCode, kerr.OutOfOrderSequenceNumber)
	wantCode(t, "old epoch", f.write(t, at(0, 4)).ErrorCode, kerr.InvalidProducerEpoch)
}

func TestWhatIsStored(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	repetitive := strings.Repeat("to be or not to be ", 100)
	random := make([]byte, 2000)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(random)
	for name, test := range map[string]struct {
		config []string
		sent   []byte
		want   batch.Codec
	}{
		"plain that shrinks":  {nil, build(t, batch.None, repetitive), batch.LZ4},
		"plain that does not": {nil, build(t, batch.None, string(random)), batch.None},
		"as it came":          {nil, build(t, batch.Zstd, repetitive), batch.Zstd},
		"topic wants gzip":    {[]string{"compression.type", "gzip"}, build(t, batch.Snappy, repetitive), batch.Gzip},
		"topic wants plain": {[]string{"compression.type", "uncompressed"}, build(t, batch.LZ4, repetitive),
			batch.None},
		"topic wants its own":     {[]string{"compression.type", "zstd"}, build(t, batch.Zstd, repetitive), batch.Zstd},
		"topic wants it from all": {[]string{"compression.type", "snappy"}, build(t, batch.None, repetitive), batch.Snappy},
	} {
		t.Run(name, func(t *testing.T) {
			topic := f.createTopic(t, strings.ReplaceAll(name, " ", "-"), 1, test.config...)
			sent := bytes.Clone(test.sent)
			wantCode(t, "produce", f.write(t, produceRaw(topic, test.sent)).ErrorCode, nil)
			stored := f.stored(t, topic)
			h, err := batch.Check(stored[0])
			if err != nil || h.Attributes.Codec() != test.want {
				t.Fatalf("stored as %s, error %v; want %s", h.Attributes.Codec(), err, test.want)
			}
			for r, err := range batch.Records(stored[0], 1<<20) {
				if err != nil || string(r.Value) != repetitive && string(r.Value) != string(random) {
					t.Errorf("record %q, error %v", r.Value, err)
				}
			}
			if before, _ := batch.ReadHeader(sent); before.Attributes.Codec() == test.want &&
				!bytes.Equal(sent, stored[0]) {
				t.Error("the bytes are not those that were sent")
			}
		})
	}
}

// A batch that would grow beyond the limit when it is recompressed is refused; its producer's other
// batches are not.
func TestCompressionBombIsRefused(t *testing.T) {
	f := startFirn(t, kafka.Options{Limits: kafka.Limits{MaxRequestBytes: 1 << 20}})
	topic := f.createTopic(t, "t", 1, "compression.type", "lz4")
	for _, codec := range []batch.Codec{batch.Gzip, batch.Zstd} {
		bomb := build(t, codec, strings.Repeat("\x00", 16<<20))
		before := inUse()
		wantCode(t, codec.String(), f.write(t, produceRaw(topic, bomb)).ErrorCode, kerr.MessageTooLarge)
		if grown := inUse() - before; grown > 8<<20 {
			t.Errorf("%s: memory grew by %d MiB", codec, grown>>20)
		}
	}
	wantCode(t, "a sound batch", f.write(t, produceRaw(topic, build(t, batch.Zstd, "value"))).ErrorCode, nil)
}

func TestLogAppendTime(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1, "message.timestamp.type", "LogAppendTime")
	before := time.Now().UnixMilli()
	got := f.write(t, produceRaw(topic, buildFor(t, batch.NoProducer(batch.None), time.UnixMilli(5), "a")))
	wantCode(t, "produce", got.ErrorCode, nil)
	h, err := batch.Check(f.stored(t, topic)[0])
	if err != nil || !h.Attributes.LogAppendTime() || h.MaxTimestamp != got.LogAppendTime ||
		got.LogAppendTime < before {
		t.Errorf("stored %+v, error %v; answered %d", h, err, got.LogAppendTime)
	}
}

// acks=0 gets no answer: the next answer on the connection is that to the next request. After an
// error the connection is closed.
func TestAcksZero(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	nc := dial(t, f.address)
	req := produceRaw(topic, build(t, batch.None, "a"))
	req.Acks = 0
	nc.Write(frame(req, 1))
	if err := askVersions(nc, 2); err != nil {
		t.Fatal(err)
	}
	if got := f.stored(t, topic); len(got) != 1 {
		t.Errorf("%d batches are stored", len(got))
	}
	req.Topics[0].Partitions[0].Partition = 9
	nc.Write(frame(req, 3))
	wantClosed(t, nc)
}

// Many Produces on one connection are under way at once and are answered in order; what comes
// behind them sees what they wrote.
func TestProducesArePipelined(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	nc := dial(t, f.address)
	const produces = 100
	go func() {
		for i := range int32(produces) {
			nc.Write(frame(produceRaw(topic, build(t, batch.None, "a")), i))
		}
		fetch := fetchRaw(topic, produces-1)
		nc.Write(frame(fetch, produces))
	}()
	for i := range int32(produces) {
		body, err := readFrame(nc)
		if err != nil {
			t.Fatal(err)
		}
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = produceTopicIDs
		if err := resp.ReadFrom(body[5:]); err != nil {
			t.Fatal(err)
		}
		if at := resp.Topics[0].Partitions[0].BaseOffset; int32(binary.BigEndian.Uint32(body)) != i ||
			at != int64(i) {
			t.Fatalf("answer %d has correlation id %d and offset %d", i, binary.BigEndian.Uint32(body), at)
		}
	}
	body, err := readFrame(nc)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 18
	if err := resp.ReadFrom(body[5:]); err != nil || len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Errorf("the fetch behind the Produces finds %+v, error %v", resp, err)
	}
}

// An unmodified client writes with every codec and reads everything back, in order.
func TestClientWritesAndReads(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "t", 4)
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	const each = 500
	for name, codec := range codecs {
		producer := f.client(t, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(codec))
		for i := range each {
			producer.Produce(
				t.Context(),
				&kgo.Record{Key: []byte(name), Value: fmt.Appendf(nil, "%s %d %s", name, i, strings.Repeat("x", 50))},
				func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				},
			)
		}
		if err := producer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	consumer := f.client(t, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	next := map[string]int{}
	for read := 0; read < each*len(codecs); {
		fetches := consumer.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			want := fmt.Sprintf("%s %d ", r.Key, next[string(r.Key)])
			if !strings.HasPrefix(string(r.Value), want) {
				t.Fatalf("got %q, want %q", r.Value, want)
			}
			next[string(r.Key)]++
			read++
		})
	}
}

// A timeout_ms of 0 is for the acknowledgements of other brokers: the records are written.
func TestProduceWithoutTimeWrites(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	req := produceRaw(topic, build(t, batch.None, "v"))
	for _, acks := range []int16{1, -1} {
		req.Acks, req.TimeoutMillis = acks, 0
		wantCode(t, fmt.Sprintf("acks=%d", acks), f.write(t, req).ErrorCode, nil)
	}
}
