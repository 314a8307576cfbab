package minio

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"firn.dev/segments"
	"firn.dev/segments/s3api"
)

var (
	_ s3api.Multipart  = multipart{}
	_ segments.Cleaner = (*Store)(nil)
)

// multipart is the store as its uploads use it.
type multipart struct{ *Store }

// Create implements segments.Store.
func (s *Store) Create(ctx context.Context, key string) (segments.Upload, error) {
	u, err := s3api.NewUpload(ctx, multipart{s}, key)
	if err != nil {
		return nil, err
	}
	return u, nil
}

// PutMarked implements s3api.Multipart.
func (m multipart) PutMarked(ctx context.Context, key string, body []byte, mark string) error {
	return m.put(ctx, s3api.Commit, key, body, map[string]string{s3api.MarkName: mark})
}

// Begin implements s3api.Multipart.
func (m multipart) Begin(ctx context.Context, key, mark string) (id string, err error) {
	metadata := map[string]string{s3api.MarkName: mark}
	if !m.opts.NoChecksum {
		metadata["x-amz-checksum-algorithm"] = "CRC32C"
	}
	opts := m.options(metadata)
	err = m.do(ctx, s3api.Create, key, 0, func(ctx context.Context) error {
		id, err = m.client.NewMultipartUpload(ctx, m.opts.Bucket, m.opts.Prefix+key, opts)
		return err
	})
	return id, err
}

// SendPart implements s3api.Multipart.
func (m multipart) SendPart(ctx context.Context, key, id string, number int, body []byte) (s3api.Part, error) {
	part := s3api.Part{Number: number}
	opts := minio.PutObjectPartOptions{DisableContentSha256: true}
	if !m.opts.NoChecksum {
		part.CRC32C = s3api.CRC32C(body)
		opts.CustomHeader = http.Header{"X-Amz-Checksum-Crc32c": {part.CRC32C}}
	}
	err := m.do(ctx, s3api.Write, key, int64(len(body)), func(ctx context.Context) error {
		reader := s3api.NewBody(body)
		defer reader.Release()
		sent, err := m.client.PutObjectPart(ctx, m.opts.Bucket, m.opts.Prefix+key, id, number, reader, int64(len(body)), opts)
		part.ETag = sent.ETag
		return err
	})
	return part, err
}

// Complete implements s3api.Multipart.
func (m multipart) Complete(ctx context.Context, key, id string, parts []s3api.Part) error {
	completed := make([]minio.CompletePart, len(parts))
	for i, p := range parts {
		completed[i] = minio.CompletePart{PartNumber: p.Number, ETag: p.ETag, ChecksumCRC32C: p.CRC32C}
	}
	var opts minio.PutObjectOptions
	opts.SetMatchETagExcept("*")
	return m.do(ctx, s3api.Commit, key, s3api.PartBytes*int64(len(parts)), func(ctx context.Context) error {
		_, err := m.client.CompleteMultipartUpload(ctx, m.opts.Bucket, m.opts.Prefix+key, id, completed, opts)
		return err
	})
}

// AbortParts implements s3api.Multipart.
func (m multipart) AbortParts(ctx context.Context, key, id string) error {
	return m.do(ctx, s3api.Abort, key, 0, func(ctx context.Context) error {
		err := m.client.AbortMultipartUpload(ctx, m.opts.Bucket, m.opts.Prefix+key, id)
		if s3api.NoSuchUpload(answer(err)) {
			return nil
		}
		return err
	})
}

// Mark implements s3api.Multipart.
func (m multipart) Mark(ctx context.Context, key string) (mark string, err error) {
	err = m.do(ctx, s3api.Get, key, 0, func(ctx context.Context) error {
		info, err := m.client.StatObject(ctx, m.opts.Bucket, m.opts.Prefix+key, minio.StatObjectOptions{})
		mark = info.Metadata.Get("X-Amz-Meta-" + s3api.MarkName)
		return err
	})
	return mark, err
}

// Clean implements segments.Cleaner. It lists the uploads of the whole bucket, because MinIO lists
// none by the beginning of their keys.
func (s *Store) Clean(ctx context.Context, before time.Time) (removed int, err error) {
	keyMarker, idMarker := "", ""
	for {
		var page minio.ListMultipartUploadsResult
		err := s.do(ctx, s3api.ListUploads, s.opts.Prefix, pageBytes, func(ctx context.Context) (err error) {
			page, err = s.client.ListMultipartUploads(ctx, s.opts.Bucket, "", keyMarker, idMarker, "", pageKeys)
			return err
		})
		if err != nil {
			return removed, err
		}
		for _, u := range page.Uploads {
			key, ours := strings.CutPrefix(u.Key, s.opts.Prefix)
			if !ours || !u.Initiated.Before(before) {
				continue
			}
			if err := (multipart{s}).AbortParts(ctx, key, u.UploadID); err != nil {
				return removed, err
			}
			removed++
		}
		if !page.IsTruncated {
			return removed, nil
		}
		keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
	}
}
