package kafka_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/kafka"
	"firn.dev/segments/batch"
)

// benchmarkValue is 1 KiB, of which LZ4 saves about half.
func benchmarkValue() []byte {
	value := make([]byte, 1024)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range value[:512] {
		value[i] = byte(rnd.Uint32())
	}
	return value
}

// BenchmarkProduce is one idempotent franz-go producer with acks=all over loopback, into 12
// partitions in memory: with a look at every record, and with trust in headers.
func BenchmarkProduce(b *testing.B) {
	for _, c := range []struct {
		name   string
		codec  kgo.CompressionCodec
		checks string
	}{
		{"none", kgo.NoCompression(), "full"},
		{"lz4", kgo.Lz4Compression(), "full"},
		{"lz4-headers", kgo.Lz4Compression(), "headers"},
		{"snappy", kgo.SnappyCompression(), "full"},
		{"snappy-headers", kgo.SnappyCompression(), "headers"},
		{"gzip", kgo.GzipCompression(), "full"},
		{"gzip-headers", kgo.GzipCompression(), "headers"},
		{"zstd", kgo.ZstdCompression(), "full"},
		{"zstd-headers", kgo.ZstdCompression(), "headers"},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := startFirn(b, kafka.Options{CheckRecords: c.checks})
			f.createTopic(b, "t", 12)
			producer := f.client(b, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(c.codec),
				kgo.MaxBufferedRecords(100_000))
			value := benchmarkValue()
			var failed sync.Once
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				producer.Produce(b.Context(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Do(func() { b.Error(err) })
					}
				})
			}
			if err := producer.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkFetch is one franz-go consumer over loopback, reading 12 partitions from their beginning
// again and again.
func BenchmarkFetch(b *testing.B) {
	const records = 50_000
	f := startFirn(b, kafka.Options{KeepPlain: true})
	f.createTopic(b, "t", 12)
	producer := f.client(b, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := benchmarkValue()
	for range records {
		producer.Produce(b.Context(), &kgo.Record{Value: value}, nil)
	}
	if err := producer.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(records * int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		consumer, err := kgo.NewClient(kgo.SeedBrokers(f.address), kgo.ConsumeTopics("t"),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			b.Fatal(err)
		}
		for read := 0; read < records; {
			fetches := consumer.PollFetches(b.Context())
			if err := fetches.Err(); err != nil {
				b.Fatal(err)
			}
			read += fetches.NumRecords()
		}
		consumer.Close()
	}
}

// BenchmarkFetchRaw is the server's side alone: one connection that asks for 12 partitions of 1 MiB
// and throws the answer away.
func BenchmarkFetchRaw(b *testing.B) {
	f := startFirn(b, kafka.Options{KeepPlain: true})
	topic := f.createTopic(b, "t", 12)
	req := fetchRaw(topic, 0)
	req.MaxBytes = 50 << 20
	partition := req.Topics[0].Partitions[0]
	req.Topics[0].Partitions = nil
	big := build(b, batch.None, string(make([]byte, 1000<<10)))
	for i := range int32(12) {
		write := produceRaw(topic, big)
		write.Topics[0].Partitions[0].Partition = i
		wantCode(b, "produce", f.write(b, write).ErrorCode, nil)
		partition.Partition = i
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, partition)
	}
	nc := dial(b, f.address)
	nc.SetDeadline(time.Time{})
	sent := frame(req, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nc.Write(sent); err != nil {
			b.Fatal(err)
		}
		n, err := skipFrame(nc)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
}
