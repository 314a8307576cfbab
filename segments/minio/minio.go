// Package minio keeps segments in MinIO, or another store that speaks enough of S3, through
// minio-go.
package minio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"firn.dev/segments"
	"firn.dev/segments/s3api"
)

// Store is a bucket of a MinIO server, or the part of it below a prefix.
type Store struct {
	client minio.Core
	opts   Options
	sse    encrypt.ServerSide
	target s3api.Target

	deletes s3api.Deletes
}

var _ segments.Store = (*Store)(nil)

// Open makes a store. The bucket must exist. It sends nothing yet.
func Open(opts Options) (*Store, error) {
	creds, err := opts.credentials()
	if err != nil {
		return nil, err
	}
	transport, err := minio.DefaultTransport(opts.Secure)
	if err != nil {
		return nil, err
	}
	s3api.Tune(transport)
	client, err := minio.NewCore(opts.Endpoint, &minio.Options{
		Creds:      creds,
		Secure:     opts.Secure,
		Transport:  transport,
		Region:     opts.Region,
		MaxRetries: 1, // s3api decides what is sent again
	})
	if err != nil {
		return nil, fmt.Errorf("MinIO at %s: %w", opts.Endpoint, err)
	}
	s := &Store{client: *client, opts: opts, target: s3api.Target{Bucket: opts.Bucket,
		Endpoint: client.EndpointURL().String()}}
	s.deletes = s3api.Deletes{Target: s.target, Answer: answer, Ways: s.deleteWays(), Logger: opts.Logger}
	switch opts.SSE {
	case "AES256":
		s.sse = encrypt.NewSSE()
	case "aws:kms":
		if s.sse, err = encrypt.NewSSEKMS(opts.SSEKey, nil); err != nil {
			return nil, fmt.Errorf("sse-key: %w", err)
		}
	}
	return s, nil
}

func (s *Store) do(ctx context.Context, op s3api.Op, key string, size int64, send func(context.Context) error) error {
	return s.target.Do(ctx, s3api.Request{Op: op, Key: key, Bytes: size}, answer, send)
}

// Put implements segments.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	if err := segments.CheckKey(key); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return s.put(ctx, s3api.Put, key, body, map[string]string{})
}

// options is what every object is made with.
func (s *Store) options(metadata map[string]string) minio.PutObjectOptions {
	return minio.PutObjectOptions{
		ContentType:          "application/octet-stream",
		DisableContentSha256: true, // TLS, where there is any, and CRC-32C protect the body at a fraction of the cost
		ServerSideEncryption: s.sse,
		StorageClass:         s.opts.StorageClass,
		UserMetadata:         metadata,
	}
}

func (s *Store) put(ctx context.Context, op s3api.Op, key string, body []byte, metadata map[string]string) error {
	if !s.opts.NoChecksum {
		metadata["x-amz-checksum-crc32c"] = s3api.CRC32C(body)
	}
	opts := s.options(metadata)
	opts.SetMatchETagExcept("*")
	return s.do(ctx, op, key, int64(len(body)), func(ctx context.Context) error {
		reader := s3api.NewBody(body)
		defer reader.Release()
		_, err := s.client.PutObject(ctx, s.opts.Bucket, s.opts.Prefix+key, reader, int64(len(body)), "", "", opts)
		return err
	})
}

// Get implements segments.Store.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (b []byte, err error) {
	if err := segments.CheckKey(key); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	err = s.do(ctx, s3api.Get, key, length, func(ctx context.Context) error {
		b, err = s.get(ctx, s.opts.Prefix+key, offset, length)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (s *Store) get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if !s3api.HasRange(offset, length) {
		return s.empty(ctx, key, offset, length)
	}
	var opts minio.GetObjectOptions
	if r := s3api.Range(offset, length); r != "" {
		opts.Set("Range", r)
	}
	body, info, header, err := s.client.GetObject(ctx, s.opts.Bucket, key, opts)
	if s3api.NoSuchRange(answer(err)) {
		return s.empty(ctx, key, offset, length)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return s3api.ReadRange(body, info.Size, header.Get("Content-Range"), offset, length)
}

// empty answers a Get of no bytes, for which HTTP has no range.
func (s *Store) empty(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	info, err := s.client.StatObject(ctx, s.opts.Bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return nil, err
	}
	return s3api.Empty(info.Size, offset, length)
}

// List implements segments.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		if !segments.CheckPrefix(prefix) {
			return
		}
		for {
			page, err := s.page(ctx, prefix, after)
			if err != nil {
				yield(segments.Object{}, err)
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
			if len(page) < pageKeys {
				return
			}
			after = page[len(page)-1].Key
		}
	}
}

const (
	pageKeys  = 1000
	pageBytes = 1 << 20 // about how long a page of a listing is
)

// page lists the first objects whose keys begin with prefix and are greater than after.
func (s *Store) page(ctx context.Context, prefix, after string) (page []segments.Object, err error) {
	opts := minio.ListObjectsOptions{Prefix: s.opts.Prefix + prefix, Recursive: true, MaxKeys: pageKeys}
	if after != "" {
		opts.StartAfter = s.opts.Prefix + after
	}
	err = s.do(ctx, s3api.List, prefix, pageBytes, func(ctx context.Context) error {
		page = make([]segments.Object, 0, pageKeys)
		for info := range s.client.ListObjectsIter(ctx, s.opts.Bucket, opts) {
			if info.Err != nil {
				return info.Err
			}
			page = append(page, segments.Object{Key: strings.TrimPrefix(info.Key, s.opts.Prefix), Size: info.Size,
				Modified: info.LastModified})
			if len(page) == pageKeys {
				return nil
			}
		}
		return ctx.Err() // the client ends its listing without a word
	})
	return page, err
}

// answer finds what the server said in an error of minio-go.
func answer(err error) s3api.Answer {
	var said minio.ErrorResponse
	if !errors.As(err, &said) || said.StatusCode == 0 && said.Code == "" {
		return s3api.Answer{}
	}
	return s3api.Answer{Status: said.StatusCode, Code: said.Code, Message: said.Message, Region: said.Region,
		RequestID: said.RequestID}
}
