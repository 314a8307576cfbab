package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"firn.dev/segments/s3api"
)

// Options says which bucket and how it is reached.
type Options struct {
	Bucket       string
	Prefix       string // empty, or ends with a slash
	Region       string // empty: from the environment
	Endpoint     string // empty: Amazon's
	PathStyle    bool   // the bucket in the path instead of the host name; most stores that are not Amazon's want it
	SSE          string // server-side encryption: empty, AES256, aws:kms, …
	SSEKey       string // the KMS key of aws:kms
	StorageClass string // empty: the bucket's default
	Directory    bool   // a directory bucket of S3 Express One Zone, which lists in no order
	NoChecksum   bool   // for stores that refuse x-amz-checksum-crc32c

	Logger *slog.Logger // is told what the store does not do as S3 does; may be nil
}

// ParseURL reads s3://bucket[/prefix][?region=…&endpoint=…], with the further parameters
// path-style, sse, sse-key, storage-class, directory-bucket and checksum. With an endpoint, path
// style is the default. It reports all that is wrong at once.
func ParseURL(rawURL string) (Options, error) {
	u, err := s3api.ParseURL(rawURL)
	if err != nil {
		return Options{}, err
	}
	q := s3api.NewParams(u)
	o := Options{
		Bucket:       u.Host,
		Region:       q.Text("region"),
		Endpoint:     q.Text("endpoint"),
		SSE:          q.OneOf("sse", names(types.ServerSideEncryption("").Values())...),
		SSEKey:       q.Text("sse-key"),
		StorageClass: q.OneOf("storage-class", names(types.StorageClass("").Values())...),
		Directory:    q.Bool("directory-bucket", strings.HasSuffix(u.Host, "--x-s3")),
		NoChecksum:   q.OneOf("checksum", "crc32c", "none") == "none",
	}
	o.PathStyle = q.Bool("path-style", o.Endpoint != "")
	bad := func(format string, args ...any) { q.Errs = append(q.Errs, fmt.Errorf(format, args...)) }
	if o.Prefix, err = s3api.Prefix(u.Path); err != nil {
		q.Errs = append(q.Errs, err)
	}
	if u.Scheme != "s3" || o.Bucket == "" {
		bad("write s3://BUCKET or s3://BUCKET/PREFIX")
	}
	if u.User != nil {
		bad("credentials do not stand in an s3:// URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
	}
	if o.SSEKey != "" && !strings.HasPrefix(o.SSE, "aws:kms") {
		bad("sse-key goes with sse=aws:kms")
	}
	if o.Endpoint != "" {
		if err := checkEndpoint(o.Endpoint); err != nil {
			q.Errs = append(q.Errs, err)
		}
	}
	return o, q.Done()
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("endpoint is a URL like https://s3.example.com, without credentials")
	}
	return nil
}

func names[T ~string](values []T) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}
