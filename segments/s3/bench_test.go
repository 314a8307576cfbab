package s3

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/s3api"
	"firn.dev/segments/storetest"
)

var sizes = []int{4 << 10, 1 << 20, 8 << 20}

// putters are the ways to put a body that are compared: this package, the SDK as it comes, and a
// signed request without any client.
func putters(b *testing.B) []putter {
	server := servers["MinIO"]
	s := openAt(b, server, "")
	plain := s3.New(s3.Options{
		Region: localstack.Region, BaseEndpoint: aws.String(server.Endpoint()), UsePathStyle: true,
		Credentials: s.client.Options().Credentials,
	})
	bare := http.DefaultTransport.(*http.Transport).Clone()
	s3api.Tune(bare)
	return []putter{
		{"firn", s.Put},
		{"sdk", func(ctx context.Context, key string, body []byte) error {
			_, err := plain.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("firn"), Key: &key,
				Body: bytes.NewReader(body)})
			return err
		}},
		{"bare", func(ctx context.Context, key string, body []byte) error { return barePut(ctx, bare, s, key, body) }},
	}
}

type putter struct {
	name string
	put  func(ctx context.Context, key string, body []byte) error
}

// barePut is the least that a put can be.
func barePut(ctx context.Context, transport *http.Transport, s *Store, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.opts.Endpoint+"/firn/"+key, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("If-None-Match", "*")
	creds, err := s.client.Options().Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	req.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, "UNSIGNED-PAYLOAD", "s3", localstack.Region,
		time.Now()); err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

// BenchmarkPut has four puts under way, as ingest has.
func BenchmarkPut(b *testing.B) {
	for _, size := range sizes {
		for _, p := range putters(b) {
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

func BenchmarkGet(b *testing.B) {
	s := openAt(b, servers["MinIO"], "")
	if err := s.Put(b.Context(), "object", make([]byte, 8<<20)); err != nil {
		b.Fatal(err)
	}
	for _, size := range sizes[:2] {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Get(b.Context(), "object", 12345, int64(size)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUpload writes an object of 256 MiB in pieces of a block, beside puts of as many bytes.
func BenchmarkUpload(b *testing.B) {
	for name, part := range map[string]int{"upload": 0, "puts": 8 << 20} {
		b.Run(name, func(b *testing.B) {
			storetest.BenchmarkLarge(b, openAt(b, servers["MinIO"], ""), part)
		})
	}
}
