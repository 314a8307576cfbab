package s3

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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
	in := &s3.CreateMultipartUploadInput{
		Bucket:               &m.opts.Bucket,
		Key:                  m.key(key),
		ContentType:          aws.String(contentType),
		Metadata:             map[string]string{s3api.MarkName: mark},
		StorageClass:         types.StorageClass(m.opts.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(m.opts.SSE),
		SSEKMSKeyId:          optional(m.opts.SSEKey),
	}
	if !m.opts.NoChecksum {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32c
	}
	err = m.do(ctx, s3api.Create, key, 0, func(ctx context.Context) error {
		out, err := m.client.CreateMultipartUpload(ctx, in)
		if err == nil {
			id = aws.ToString(out.UploadId)
		}
		return err
	})
	return id, err
}

// SendPart implements s3api.Multipart.
func (m multipart) SendPart(ctx context.Context, key, id string, number int, body []byte) (s3api.Part, error) {
	part := s3api.Part{Number: number}
	in := &s3.UploadPartInput{
		Bucket:        &m.opts.Bucket,
		Key:           m.key(key),
		UploadId:      &id,
		PartNumber:    aws.Int32(int32(number)),
		ContentLength: aws.Int64(int64(len(body))),
	}
	if !m.opts.NoChecksum {
		part.CRC32C = s3api.CRC32C(body)
		in.ChecksumCRC32C = &part.CRC32C
	}
	err := m.do(ctx, s3api.Write, key, int64(len(body)), func(ctx context.Context) error {
		reader := s3api.NewBody(body)
		defer reader.Release()
		in.Body = reader
		out, err := m.client.UploadPart(ctx, in, unsignedPayload)
		if err == nil {
			part.ETag = aws.ToString(out.ETag)
		}
		return err
	})
	return part, err
}

// Complete implements s3api.Multipart.
func (m multipart) Complete(ctx context.Context, key, id string, parts []s3api.Part) error {
	completed := make([]types.CompletedPart, len(parts))
	for i := range parts {
		completed[i] = types.CompletedPart{PartNumber: aws.Int32(int32(parts[i].Number)), ETag: &parts[i].ETag,
			ChecksumCRC32C: optional(parts[i].CRC32C)}
	}
	return m.do(ctx, s3api.Commit, key, s3api.PartBytes*int64(len(parts)), func(ctx context.Context) error {
		_, err := m.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket:          &m.opts.Bucket,
			Key:             m.key(key),
			UploadId:        &id,
			IfNoneMatch:     aws.String("*"),
			MultipartUpload: &types.CompletedMultipartUpload{Parts: completed},
		})
		return err
	})
}

// AbortParts implements s3api.Multipart.
func (m multipart) AbortParts(ctx context.Context, key, id string) error {
	return m.do(ctx, s3api.Abort, key, 0, func(ctx context.Context) error {
		_, err := m.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &m.opts.Bucket, Key: m.key(key),
			UploadId: &id})
		if s3api.NoSuchUpload(answer(err)) {
			return nil
		}
		return err
	})
}

// Mark implements s3api.Multipart.
func (m multipart) Mark(ctx context.Context, key string) (mark string, err error) {
	err = m.do(ctx, s3api.Get, key, 0, func(ctx context.Context) error {
		head, err := m.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &m.opts.Bucket, Key: m.key(key)})
		if err == nil {
			mark = head.Metadata[s3api.MarkName]
		}
		return err
	})
	return mark, err
}

// Clean implements segments.Cleaner. MinIO lists no uploads by the beginning of their keys, so here
// it has none; but it removes those that are older than a day itself.
func (s *Store) Clean(ctx context.Context, before time.Time) (removed int, err error) {
	in := &s3.ListMultipartUploadsInput{Bucket: &s.opts.Bucket, Prefix: optional(s.opts.Prefix)}
	for {
		var page *s3.ListMultipartUploadsOutput
		err := s.do(ctx, s3api.ListUploads, s.opts.Prefix, pageBytes, func(ctx context.Context) (err error) {
			page, err = s.client.ListMultipartUploads(ctx, in)
			return err
		})
		if err != nil {
			return removed, err
		}
		for _, u := range page.Uploads {
			key, ours := strings.CutPrefix(aws.ToString(u.Key), s.opts.Prefix)
			if !ours || !aws.ToTime(u.Initiated).Before(before) {
				continue
			}
			if err := (multipart{s}).AbortParts(ctx, key, aws.ToString(u.UploadId)); err != nil {
				return removed, err
			}
			removed++
		}
		if !aws.ToBool(page.IsTruncated) {
			return removed, nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}
