package s3

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"firn.dev/segments"
	"firn.dev/segments/s3api"
)

// List implements segments.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	switch {
	case !segments.CheckPrefix(prefix):
		return func(func(segments.Object, error) bool) {}
	case s.opts.Directory:
		return s.listDirectory(ctx, prefix, after)
	default:
		return s.list(ctx, prefix, after)
	}
}

// list lists as the server does: in the order of keys.
func (s *Store) list(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &s.opts.Bucket, Prefix: s.key(prefix)}
		if after != "" {
			in.StartAfter = s.key(after)
		}
		for {
			var page *s3.ListObjectsV2Output
			err := s.do(ctx, s3api.List, prefix, pageBytes, func(ctx context.Context) (err error) {
				page, err = s.client.ListObjectsV2(ctx, in)
				return err
			})
			if err != nil {
				yield(segments.Object{}, err)
				return
			}
			for _, o := range page.Contents {
				key := strings.TrimPrefix(aws.ToString(o.Key), s.opts.Prefix)
				if !yield(segments.Object{Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				return
			}
			in.ContinuationToken = page.NextContinuationToken
		}
	}
}

// pageBytes is about how long a page of a listing is.
const pageBytes = 1 << 20

// listDirectory lists a directory bucket. Those know prefixes that end with a slash only, have no
// start-after, and list in no order: the whole directory is read and sorted here.
func (s *Store) listDirectory(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		var objects []segments.Object
		for o, err := range s.list(ctx, prefix[:strings.LastIndexByte(prefix, '/')+1], "") {
			if err != nil {
				yield(segments.Object{}, err)
				return
			}
			if strings.HasPrefix(o.Key, prefix) && o.Key > after {
				objects = append(objects, o)
			}
		}
		slices.SortFunc(objects, func(a, b segments.Object) int { return cmp.Compare(a.Key, b.Key) })
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}
