package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

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

// deleteWays are the ways to delete in which stores differ. The first is the SDK's own, which has a
// checksum header whatever it was told of checksums.
func (s *Store) deleteWays() []s3api.DeleteWay {
	checksum := s3api.DeleteWay{Name: "DeleteObjects with x-amz-checksum-crc32", Most: s3api.DeletesInOne,
		Send: func(ctx context.Context, keys []string) error { return s.deleteObjects(ctx, keys) }}
	md5 := s3api.DeleteWay{Name: "DeleteObjects with Content-MD5", Most: s3api.DeletesInOne,
		Send: func(ctx context.Context, keys []string) error { return s.deleteObjects(ctx, keys, contentMD5) }}
	single := s3api.DeleteWay{Name: "DeleteObject for each object", Most: 1, Send: s.deleteObject}
	if s.opts.NoChecksum {
		return []s3api.DeleteWay{md5, single}
	}
	return []s3api.DeleteWay{checksum, md5, single}
}

func (s *Store) deleteObjects(ctx context.Context, keys []string, options ...func(*s3.Options)) error {
	objects := make([]types.ObjectIdentifier, len(keys))
	for i, key := range keys {
		objects[i].Key = s.key(key)
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &s.opts.Bucket,
		Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	}, options...)
	if err != nil {
		return err
	}
	for _, e := range out.Errors {
		if code := aws.ToString(e.Code); code != "NoSuchKey" {
			message := fmt.Sprintf("%s: %s", aws.ToString(e.Key), aws.ToString(e.Message))
			return &smithy.GenericAPIError{Code: code, Message: message}
		}
	}
	return nil
}

func (s *Store) deleteObject(ctx context.Context, keys []string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.opts.Bucket, Key: s.key(keys[0])})
	if s3api.NoSuchObject(answer(err)) {
		return nil
	}
	return err
}

// contentMD5 sends a request with Content-MD5 instead of the checksum header of the SDK, whose
// steps have these names.
func contentMD5(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		if _, err := stack.Initialize.Remove("AWSChecksum:SetupInputContext"); err != nil {
			return err
		}
		if _, err := stack.Build.Remove("AWSChecksum:RequestMetricsTracking"); err != nil {
			return err
		}
		if _, err := stack.Finalize.Remove("AWSChecksum:ComputeInputPayloadChecksum"); err != nil {
			return err
		}
		return smithyhttp.AddContentChecksumMiddleware(stack)
	})
}
