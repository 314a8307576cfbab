// Package s3 keeps segments in Amazon S3, S3 Express One Zone, or a store that speaks its protocol,
// through aws-sdk-go-v2.
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"firn.dev/segments"
	"firn.dev/segments/s3api"
)

// Store is a bucket, or the part of it below a prefix.
type Store struct {
	client *s3.Client
	opts   Options
	target s3api.Target

	deletes s3api.Deletes
}

var _ segments.Store = (*Store)(nil)

// credentialsLimit bounds the search for credentials: on a machine that is not Amazon's, the last
// place to look does not answer.
const credentialsLimit = 10 * time.Second

// Open makes a store with the SDK's chain of credentials: environment, shared files, roles. It
// sends nothing to the store yet.
func Open(ctx context.Context, opts Options) (*Store, error) {
	httpClient := awshttp.NewBuildableClient().WithTransportOptions(s3api.Tune)
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient)}
	if opts.Region != "" {
		load = append(load, config.WithRegion(opts.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" && opts.Endpoint == "" {
		return nil, errors.New("the region is not known: add region=… to the store's URL, or set AWS_REGION")
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // what stores that have no regions expect in a signature
	}
	finding, cancel := context.WithTimeout(ctx, credentialsLimit)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(finding); err != nil {
		return nil, fmt.Errorf("%w: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine "+
			"a role: %w", errNoCredentials, err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = opts.PathStyle
		if opts.Endpoint != "" {
			o.BaseEndpoint = aws.String(opts.Endpoint)
		}
		o.Retryer = aws.NopRetryer{} // s3api decides what is sent again
		// Bodies carry a CRC-32C of their own, see Put; the SDK's way to add one makes puts over plain
		// HTTP twice as slow. Asking first whether the body is wanted costs every put a round trip.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.ContinueHeaderThresholdBytes = -1
		o.Logger = sdkLogger(opts.Logger)
	})
	s := &Store{client: client, opts: opts, target: s3api.Target{Bucket: opts.Bucket, Endpoint: opts.Endpoint}}
	s.deletes = s3api.Deletes{Target: s.target, Answer: answer, Ways: s.deleteWays(), Logger: opts.Logger}
	return s, nil
}

var errNoCredentials = errors.New("there are no AWS credentials")

func (s *Store) do(ctx context.Context, op s3api.Op, key string, size int64, send func(context.Context) error) error {
	return s.target.Do(ctx, s3api.Request{Op: op, Key: key, Bytes: size}, answer, send)
}

// Put implements segments.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	if err := segments.CheckKey(key); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return s.put(ctx, s3api.Put, key, body, nil)
}

const contentType = "application/octet-stream"

func (s *Store) put(ctx context.Context, op s3api.Op, key string, body []byte, metadata map[string]string) error {
	in := &s3.PutObjectInput{
		Bucket:               &s.opts.Bucket,
		Key:                  s.key(key),
		ContentLength:        aws.Int64(int64(len(body))),
		ContentType:          aws.String(contentType),
		Metadata:             metadata,
		IfNoneMatch:          aws.String("*"),
		StorageClass:         types.StorageClass(s.opts.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(s.opts.SSE),
		SSEKMSKeyId:          optional(s.opts.SSEKey),
	}
	if !s.opts.NoChecksum {
		in.ChecksumCRC32C = aws.String(s3api.CRC32C(body))
	}
	return s.do(ctx, op, key, int64(len(body)), func(ctx context.Context) error {
		reader := s3api.NewBody(body)
		defer reader.Release()
		in.Body = reader
		_, err := s.client.PutObject(ctx, in, unsignedPayload)
		return err
	})
}

// unsignedPayload keeps SHA-256 of the body out of the signature: TLS, where there is any, and
// CRC-32C protect it at a fraction of the cost.
func unsignedPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// Get implements segments.Store.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (b []byte, err error) {
	if err := segments.CheckKey(key); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	err = s.do(ctx, s3api.Get, key, length, func(ctx context.Context) error {
		b, err = s.get(ctx, key, offset, length)
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
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.opts.Bucket, Key: s.key(key),
		Range: optional(s3api.Range(offset, length))})
	if s3api.NoSuchRange(answer(err)) {
		return s.empty(ctx, key, offset, length)
	}
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	announced := int64(-1)
	if out.ContentLength != nil {
		announced = *out.ContentLength
	}
	return s3api.ReadRange(out.Body, announced, aws.ToString(out.ContentRange), offset, length)
}

// empty answers a Get of no bytes, for which HTTP has no range.
func (s *Store) empty(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.opts.Bucket, Key: s.key(key)})
	if err != nil {
		return nil, err
	}
	return s3api.Empty(aws.ToInt64(head.ContentLength), offset, length)
}

func (s *Store) key(key string) *string { return aws.String(s.opts.Prefix + key) }

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// answer finds what the server said in an error of the SDK.
func answer(err error) s3api.Answer {
	var a s3api.Answer
	if said, ok := errors.AsType[smithy.APIError](err); ok {
		a.Code, a.Message = said.ErrorCode(), said.ErrorMessage()
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		a.Status = response.HTTPStatusCode()
		a.Region = response.Response.Header.Get("X-Amz-Bucket-Region")
		a.RequestID = response.Response.Header.Get("X-Amz-Request-Id")
	}
	return a
}

// sdkLogger has the SDK log where the process does, at the level of debugging, and not on standard
// error. Each request that fails is an error that the caller gets.
func sdkLogger(logger *slog.Logger) logging.Logger {
	if logger == nil {
		return logging.Nop{}
	}
	return logging.LoggerFunc(func(c logging.Classification, format string, args ...any) {
		logger.Debug("the AWS SDK: "+fmt.Sprintf(format, args...), "class", string(c))
	})
}
