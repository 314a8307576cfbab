package minio

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"firn.dev/segments/s3api"
)

// Options says which bucket of which server, and how it is reached.
type Options struct {
	Endpoint     string // host:port
	Secure       bool   // TLS
	Bucket       string
	Prefix       string // empty, or ends with a slash
	Region       string // empty: asked of the server
	AccessKey    string // empty: from the environment
	SecretKey    string
	SSE          string // server-side encryption: empty, AES256, aws:kms
	SSEKey       string // the KMS key of aws:kms
	StorageClass string // empty: the server's default
	NoChecksum   bool   // for stores that refuse x-amz-checksum-crc32c

	Logger *slog.Logger // is told what the store does not do as S3 does; may be nil
}

// ParseURL reads minio://[key:secret@]host:port/bucket[/prefix][?secure=false&region=…], with the
// further parameters sse, sse-key, storage-class and checksum. Without credentials in it they come
// from MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or the AWS_…
// variables. It reports all that is wrong at once.
func ParseURL(rawURL string) (Options, error) {
	u, err := s3api.ParseURL(rawURL)
	if err != nil {
		return Options{}, err
	}
	q := s3api.NewParams(u)
	bucket, path, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	o := Options{
		Endpoint:     u.Host,
		Secure:       q.Bool("secure", true),
		Bucket:       bucket,
		Region:       q.Text("region"),
		SSE:          q.OneOf("sse", "AES256", "aws:kms"),
		SSEKey:       q.Text("sse-key"),
		StorageClass: q.Text("storage-class"),
		NoChecksum:   q.OneOf("checksum", "crc32c", "none") == "none",
	}
	bad := func(format string, args ...any) { q.Errs = append(q.Errs, fmt.Errorf(format, args...)) }
	if o.Prefix, err = s3api.Prefix(path); err != nil {
		q.Errs = append(q.Errs, err)
	}
	if u.Scheme != "minio" || u.Host == "" || bucket == "" {
		bad("write minio://HOST:PORT/BUCKET or minio://HOST:PORT/BUCKET/PREFIX")
	}
	if u.User != nil {
		o.AccessKey = u.User.Username()
		o.SecretKey, _ = u.User.Password()
		if o.AccessKey == "" || o.SecretKey == "" {
			bad("credentials in the URL are KEY:SECRET@; without, they come from MINIO_ROOT_USER and MINIO_ROOT_PASSWORD")
		}
	}
	if (o.SSEKey != "") != (o.SSE == "aws:kms") {
		bad("sse-key goes with sse=aws:kms, and the other way round")
	}
	return o, q.Done()
}

var errNoCredentials = errors.New("there are no credentials for MinIO")

func (o Options) credentials() (*credentials.Credentials, error) {
	if o.AccessKey != "" {
		return credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""), nil
	}
	found := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvMinio{}, &credentials.EnvAWS{}})
	value, err := found.GetWithContext(nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	if value.AccessKeyID == "" {
		return nil, fmt.Errorf("%w: set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or AWS_ACCESS_KEY_ID and "+
			"AWS_SECRET_ACCESS_KEY", errNoCredentials)
	}
	return found, nil
}
