package stores

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"firn.dev/segments"
	"firn.dev/segments/file"
	"firn.dev/segments/minio"
	"firn.dev/segments/s3"
)

// directory is the absolute path of a bucket on a file system.
type directory string

// parseDirectory reads file:///DIR, file://./DIR or a path. Nothing is unescaped: what stands
// behind file:// is the path.
func parseDirectory(url string) (location, error) {
	path, isURL := strings.CutPrefix(url, "file://")
	switch {
	case url == "":
		return nil, fmt.Errorf("it is empty; give a directory, for example file://./firn-data")
	case isURL && (path == "" || path[0] != '/' && path[0] != '.'):
		return nil, fmt.Errorf("%s: write file:///%s for an absolute directory, file://./%s for a relative one", url, path,
			path)
	}
	dir, err := filepath.Abs(path)
	return directory(dir), err
}

func (d directory) String() string                    { return string(d) }
func (d directory) prefix() string                    { return string(d) }
func (d directory) withPrefix(prefix string) location { return directory(prefix) }
func (d directory) logging(*slog.Logger) location     { return d }

func (d directory) open(context.Context) (segments.Store, func() error, error) {
	return d.opened(file.Open, "make it writable for this user, or name another")
}

func (d directory) openToRead(context.Context) (segments.Store, func() error, error) {
	return d.opened(file.OpenReadOnly, "name the directory that a server writes to")
}

func (d directory) opened(open func(string) (*file.Store, error), advice string) (segments.Store, func() error, error) {
	store, err := open(string(d))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", err, advice)
	}
	return store, store.Close, nil
}

// s3Bucket is a bucket that Amazon's client reaches.
type s3Bucket s3.Options

func parseS3(url string) (location, error) {
	o, err := s3.ParseURL(url)
	return s3Bucket(o), named("s3", err)
}

func (b s3Bucket) String() string {
	at := fmt.Sprintf("s3://%s/%s", b.Bucket, b.Prefix)
	if b.Endpoint != "" {
		at += " at " + b.Endpoint
	}
	return at
}

func (b s3Bucket) prefix() string { return b.Prefix }

func (b s3Bucket) withPrefix(prefix string) location {
	b.Prefix = prefix
	return b
}

func (b s3Bucket) logging(logger *slog.Logger) location {
	b.Logger = logger
	return b
}

func (b s3Bucket) open(ctx context.Context) (segments.Store, func() error, error) {
	store, err := s3.Open(ctx, s3.Options(b))
	return store, nothingToClose, err
}

func (b s3Bucket) openToRead(ctx context.Context) (segments.Store, func() error, error) {
	return b.open(ctx)
}

// minioBucket is a bucket that MinIO's client reaches.
type minioBucket minio.Options

func parseMinIO(url string) (location, error) {
	o, err := minio.ParseURL(url)
	return minioBucket(o), named("minio", err)
}

func (b minioBucket) String() string {
	return fmt.Sprintf("minio://%s/%s/%s", b.Endpoint, b.Bucket, b.Prefix)
}

func (b minioBucket) prefix() string { return b.Prefix }

func (b minioBucket) withPrefix(prefix string) location {
	b.Prefix = prefix
	return b
}

func (b minioBucket) logging(logger *slog.Logger) location {
	b.Logger = logger
	return b
}

func (b minioBucket) open(context.Context) (segments.Store, func() error, error) {
	store, err := minio.Open(minio.Options(b))
	return store, nothingToClose, err
}

func (b minioBucket) openToRead(ctx context.Context) (segments.Store, func() error, error) {
	return b.open(ctx)
}

func nothingToClose() error { return nil }

// named puts the scheme before what is wrong with a URL, which may be several things.
func named(scheme string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s:// %s", scheme, strings.ReplaceAll(err.Error(), "\n", "; "))
}
