package ingest_test

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"testing"

	"firn.dev/coordinator"

	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/ingest"
	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/file"
	"firn.dev/segments/minio"
	"firn.dev/segments/storetest"
)

// BenchmarkDirect writes one record of 1 KiB: in a process that has done nothing before (cold: the
// writer is opened and a life begun), in one that has (warm), and with an idempotency key. Beside
// the time it reports the requests that the bucket and Redis get.
func BenchmarkDirect(b *testing.B) {
	b.Run("file+embedded", func(b *testing.B) {
		store, err := file.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		defer store.Close()
		newTopic(b, store, embedded.New(embedded.Options{}), "a", 1, nil)
		benchmarkDirect(b, store, func() coordinator.GuestCoordinator {
			return embedded.New(embedded.Options{})
		}, func() int { return 0 })
	})
	b.Run("minio+redis", func(b *testing.B) {
		dir, err := localstack.TempDir()
		if err != nil {
			b.Fatal(err)
		}
		bucket, err := localstack.StartMinIO(b.Context(), localstack.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		defer bucket.Stop(b.Context())
		if err := bucket.CreateBucket(b.Context(), "firn"); err != nil {
			b.Fatal(err)
		}
		store, err := minio.Open(minio.Options{Endpoint: bucket.Addr, Bucket: "firn", AccessKey: localstack.AccessKey,
			SecretKey: localstack.SecretKey})
		if err != nil {
			b.Fatal(err)
		}
		server := redistest.Start(b)
		newTopic(b, store, connectRedis(b, server.Addr), "a", 1, nil)
		scripts := regexp.MustCompile(`cmdstat_evalsha:calls=(\d+)`)
		count := func() int {
			n, _ := strconv.Atoi(scripts.FindStringSubmatch(server.Do("INFO", "commandstats"))[1])
			return n
		}
		benchmarkDirect(b, store, func() coordinator.GuestCoordinator { return connectRedis(b, server.Addr) }, count)
	})
}

func benchmarkDirect(b *testing.B, store segments.Store, connect func() coordinator.GuestCoordinator,
	scripts func() int) {
	record := []ingest.Record{{Partition: -1, Value: make([]byte, 1024), Timestamp: -1}}
	open := func(counted segments.Store, c coordinator.GuestCoordinator) *ingest.Direct {
		d, err := ingest.OpenDirect(b.Context(), ingest.DirectOptions{Store: counted, Coordinator: c,
			Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		return d
	}
	write := func(b *testing.B, d *ingest.Direct, options ...ingest.WriteOption) {
		if _, err := d.Write(b.Context(), "a", record, options...); err != nil {
			b.Fatal(err)
		}
	}
	measure := func(name string, run func(b *testing.B, counted segments.Store)) {
		b.Run(name, func(b *testing.B) {
			counted := storetest.NewFaults(store, nil)
			before := scripts()
			run(b, counted)
			b.ReportMetric(float64(scripts()-before)/float64(b.N), "redis-scripts/op")
			b.ReportMetric(float64(counted.Requests())/float64(b.N), "bucket-requests/op")
		})
	}
	measure("cold", func(b *testing.B, counted segments.Store) {
		for b.Loop() {
			write(b, open(counted, connect()))
		}
	})
	for _, keyed := range []bool{false, true} {
		measure(fmt.Sprintf("warm/keyed=%t", keyed), func(b *testing.B, counted segments.Store) {
			d := open(counted, connect())
			write(b, d)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if keyed {
					write(b, d, ingest.IdempotencyKey(fmt.Sprint(b.Name(), b.N, i)))
				} else {
					write(b, d)
				}
			}
		})
	}
}
