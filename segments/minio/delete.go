package minio

import (
	"context"
	"fmt"

	"github.com/minio/minio-go/v7"

	"firn.dev/segments"
	"firn.dev/segments/s3api"
)

// Delete implements segments.Store.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := segments.CheckKey(key); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	return s.deletes.Delete(ctx, keys)
}

// deleteWays are the ways to delete in which stores differ.
func (s *Store) deleteWays() []s3api.DeleteWay {
	return []s3api.DeleteWay{
		{Name: "DeleteObjects with Content-MD5", Most: s3api.DeletesInOne, Send: s.deleteObjects},
		{Name: "DeleteObject for each object", Most: 1, Send: s.deleteObject},
	}
}

func (s *Store) deleteObjects(ctx context.Context, keys []string) error {
	results, err := s.client.RemoveObjectsWithIter(ctx, s.opts.Bucket, func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: s.opts.Prefix + key}) {
				return
			}
		}
	}, minio.RemoveObjectsOptions{})
	if err != nil {
		return err
	}
	for r := range results {
		if r.Err != nil && minio.ToErrorResponse(r.Err).Code != minio.NoSuchKey {
			return r.Err
		}
	}
	return ctx.Err() // the client ends its deleting without a word
}

func (s *Store) deleteObject(ctx context.Context, keys []string) error {
	err := s.client.RemoveObject(ctx, s.opts.Bucket, s.opts.Prefix+keys[0], minio.RemoveObjectOptions{})
	if s3api.NoSuchObject(answer(err)) {
		return nil
	}
	return err
}
