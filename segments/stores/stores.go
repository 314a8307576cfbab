// Package stores is the table of the kinds of bucket that there are: how a URL names one, and how
// it is opened.
//
// A new kind is a package beside segments/s3 that passes segments/storetest, a location that adapts
// it, and a line in drivers.
//
// There are two drivers for stores that speak S3, on purpose. s3 is Amazon's own client: it finds
// credentials and regions in all the ways that people have on AWS (profiles, SSO, instance and pod
// roles), and knows directory buckets. minio is a smaller client that is told an endpoint and a
// key: it starts faster, which functions feel, and needs nothing of AWS in the environment.
package stores

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"firn.dev/segments"
)

// driver is one kind of bucket.
type driver struct {
	scheme string
	form   string // of its URLs, for messages
	billed bool   // somebody is likely to be charged for each request
	parse  func(url string) (location, error)
}

var drivers = []driver{
	{scheme: "file", form: "file:///DIR", parse: parseDirectory},
	{scheme: "s3", form: "s3://BUCKET/PREFIX", billed: true, parse: parseS3},
	{scheme: "minio", form: "minio://HOST:PORT/BUCKET/PREFIX", parse: parseMinIO},
}

// location is where a bucket is, as its driver knows it.
type location interface {
	String() string // without secrets
	prefix() string // what stands before the keys
	withPrefix(prefix string) location
	logging(logger *slog.Logger) location
	open(ctx context.Context) (segments.Store, func() error, error)
	openToRead(ctx context.Context) (segments.Store, func() error, error)
}

// Location is where a bucket is: what its URL says.
type Location struct {
	location
	driver *driver
}

// Parse reads the URL of a bucket: file:///dir, file://./dir or a plain path, s3://bucket/prefix,
// minio://host:port/bucket/prefix. Its errors do not repeat the URL where it may hold secrets.
func Parse(url string) (Location, error) {
	scheme, _, isURL := strings.Cut(url, "://")
	if !isURL {
		scheme = "file"
	}
	for i := range drivers {
		d := &drivers[i]
		if d.scheme != scheme {
			continue
		}
		l, err := d.parse(url)
		if err != nil {
			return Location{}, err
		}
		return Location{l, d}, nil
	}
	return Location{}, fmt.Errorf("unknown scheme %q; give %s", scheme, forms())
}

// forms lists the URLs that there are.
func forms() string {
	var b strings.Builder
	for i, d := range drivers {
		switch {
		case i == len(drivers)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(d.form)
	}
	return b.String()
}

// Prefix is what stands before the keys in the bucket; of a directory its path.
func (l Location) Prefix() string { return l.prefix() }

// WithPrefix is the location with another prefix, or path.
func (l Location) WithPrefix(prefix string) Location { return Location{l.withPrefix(prefix), l.driver} }

// Logging is the location with a logger for its store, which tells it once what the server does not
// do as S3 does.
func (l Location) Logging(logger *slog.Logger) Location { return Location{l.logging(logger), l.driver} }

// Directory is the absolute path of a bucket that is a directory, and empty for any other.
func (l Location) Directory() string {
	d, _ := l.location.(directory)
	return string(d)
}

// Local says whether the bucket is a directory.
func (l Location) Local() bool { return l.Directory() != "" }

// Billed says whether somebody is likely to be charged for each request.
func (l Location) Billed() bool { return l.driver.billed }

// Bucket is an open store. Its owner closes it.
type Bucket struct {
	segments.Store
	Location
	close func() error
}

// Open opens the bucket, and makes the directory if it is one that is not there. Its errors say
// what to do.
func (l Location) Open(ctx context.Context) (*Bucket, error) {
	store, closeStore, err := l.open(ctx)
	return l.opened(store, closeStore, err)
}

// OpenToRead opens a bucket that is there, for callers that write nothing into it: it needs no
// permission to write.
func (l Location) OpenToRead(ctx context.Context) (*Bucket, error) {
	store, closeStore, err := l.openToRead(ctx)
	return l.opened(store, closeStore, err)
}

func (l Location) opened(store segments.Store, closeStore func() error, err error) (*Bucket, error) {
	if err != nil {
		return nil, err
	}
	return &Bucket{Store: store, Location: l, close: closeStore}, nil
}

// Clean implements segments.Cleaner, which the embedded interface hides.
func (b *Bucket) Clean(ctx context.Context, before time.Time) (int, error) {
	return segments.Clean(ctx, b.Store, before)
}

// Close ends the store.
func (b *Bucket) Close() error { return b.close() }
