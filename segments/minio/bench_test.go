package minio

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/storetest"
)

// BenchmarkPut has four puts under way, as ingest has, beside the client as it comes.
func BenchmarkPut(b *testing.B) {
	server := servers["MinIO"]
	plain, err := minio.New(server.Addr, &minio.Options{Creds: credentials.NewStaticV4(localstack.AccessKey,
		localstack.SecretKey, "")})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{4 << 10, 1 << 20, 8 << 20} {
		for _, p := range []struct {
			name string
			put  func(ctx context.Context, key string, body []byte) error
		}{
			{"firn", openAt(b, server).Put},
			{"minio-go", func(ctx context.Context, key string, body []byte) error {
				_, err := plain.PutObject(ctx, "firn", key, bytes.NewReader(body), int64(len(body)),
					minio.PutObjectOptions{DisableMultipart: true})
				return err
			}},
		} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, p.name), func(b *testing.B) {
				body, run := make([]byte, size), segments.NewTopicID()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.SetParallelism(2)
				var n atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := p.put(b.Context(), fmt.Sprintf("bench/%s/%d", run, n.Add(1)), body); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

// BenchmarkUpload writes an object of 256 MiB in pieces of a block, beside puts of as many bytes.
func BenchmarkUpload(b *testing.B) {
	for name, part := range map[string]int{"upload": 0, "puts": 8 << 20} {
		b.Run(name, func(b *testing.B) {
			storetest.BenchmarkLarge(b, openAt(b, servers["MinIO"]), part)
		})
	}
}
