package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"firn/segments"
	"firn/segments/file"
	"firn/segments/minio"
	"firn/segments/s3"
)

// defaultStore is where data goes unless --store says otherwise.
const defaultStore = "file://./firn-data"

// storePlace is where a bucket is: what a store URL says. One of its fields is set.
type storePlace struct {
	dir   string // absolute
	s3    *s3.Options
	minio *minio.Options
}

// parseStore reads a store URL: file:///dir, file://./dir or a plain path, s3://bucket/prefix, minio://host:port/bucket/prefix. Nothing in a file URL is
// unescaped: what stands behind file:// is the path. Errors do not repeat the URL where it may hold secrets.
func parseStore(url string) (storePlace, error) {
	scheme, path, isURL := strings.Cut(url, "://")
	switch {
	case url == "":
		return storePlace{}, fmt.Errorf("it is empty; give a directory, for example %s", defaultStore)
	case !isURL:
		path = url
	case scheme == "s3":
		o, err := s3.ParseURL(url)
		return storePlace{s3: &o}, flagged(scheme, err)
	case scheme == "minio":
		o, err := minio.ParseURL(url)
		return storePlace{minio: &o}, flagged(scheme, err)
	case scheme != "file":
		return storePlace{}, fmt.Errorf("unknown scheme %q; give file:///DIR, s3://BUCKET/PREFIX or minio://HOST:PORT/BUCKET/PREFIX", scheme)
	case path == "" || path[0] != '/' && path[0] != '.':
		return storePlace{}, fmt.Errorf("%s: write file:///%s for an absolute directory, file://./%s for a relative one", url, path, path)
	}
	dir, err := filepath.Abs(path)
	return storePlace{dir: dir}, err
}

// flagged puts the scheme before what is wrong with a URL, which may be several things.
func flagged(scheme string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s:// %s", scheme, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// String says where the bucket is, without secrets.
func (p storePlace) String() string {
	switch {
	case p.s3 != nil && p.s3.Endpoint != "":
		return fmt.Sprintf("s3://%s/%s at %s", p.s3.Bucket, p.s3.Prefix, p.s3.Endpoint)
	case p.s3 != nil:
		return fmt.Sprintf("s3://%s/%s", p.s3.Bucket, p.s3.Prefix)
	case p.minio != nil:
		return fmt.Sprintf("minio://%s/%s/%s", p.minio.Endpoint, p.minio.Bucket, p.minio.Prefix)
	default:
		return p.dir
	}
}

// local says whether the bucket is a directory.
func (p storePlace) local() bool { return p.dir != "" }

// billed says whether somebody is likely to be charged for each request.
func (p storePlace) billed() bool { return p.s3 != nil }

// withPrefix is the place with another prefix, or directory.
func (p storePlace) withPrefix(prefix string) storePlace {
	switch {
	case p.s3 != nil:
		o := *p.s3
		o.Prefix = prefix
		return storePlace{s3: &o}
	case p.minio != nil:
		o := *p.minio
		o.Prefix = prefix
		return storePlace{minio: &o}
	default:
		return storePlace{dir: prefix}
	}
}

// prefix is what stands before the keys in the bucket, or the directory.
func (p storePlace) prefix() string {
	switch {
	case p.s3 != nil:
		return p.s3.Prefix
	case p.minio != nil:
		return p.minio.Prefix
	default:
		return p.dir
	}
}

// bucket is an opened store. Somebody has to close it.
type bucket struct {
	segments.Store
	storePlace
	close func() error
}

// open opens the store. Its errors say what to do.
func (p storePlace) open(ctx context.Context) (*bucket, error) {
	return p.openWith(ctx, file.Open, "make it writable for this user, or name another")
}

// openToRead opens a store that is there, for those who write nothing into it.
func (p storePlace) openToRead(ctx context.Context) (*bucket, error) {
	return p.openWith(ctx, file.OpenReadOnly, "name the directory that a server writes to")
}

func (p storePlace) openWith(ctx context.Context, openDirectory func(string) (*file.Store, error), advice string) (*bucket, error) {
	b := &bucket{storePlace: p, close: func() error { return nil }}
	var err error
	switch {
	case p.s3 != nil:
		b.Store, err = s3.Open(ctx, *p.s3)
	case p.minio != nil:
		b.Store, err = minio.Open(*p.minio)
	default:
		var files *file.Store
		if files, err = openDirectory(p.dir); err != nil {
			return nil, fmt.Errorf("%w: %s with --store", err, advice)
		}
		b.Store, b.close = files, files.Close
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Clean implements segments.Cleaner, which the embedded interface hides.
func (b *bucket) Clean(ctx context.Context, before time.Time) (int, error) {
	return segments.Clean(ctx, b.Store, before)
}

// Close ends the store.
func (b *bucket) Close() error { return b.close() }

// openStore opens the store at a URL and says in its errors which flag is concerned and what to do.
func openStore(ctx context.Context, url string) (*bucket, error) {
	return openStoreWith(ctx, url, storePlace.open)
}

// openStoreToRead is openStore for what only reads: it needs no permission to write, and makes no directory.
func openStoreToRead(ctx context.Context, url string) (*bucket, error) {
	return openStoreWith(ctx, url, storePlace.openToRead)
}

func openStoreWith(ctx context.Context, url string, open func(storePlace, context.Context) (*bucket, error)) (*bucket, error) {
	p, err := parseStore(url)
	if err != nil {
		return nil, usagef("--store %w", err)
	}
	b, err := open(p, ctx)
	if err != nil && !p.local() {
		return nil, fmt.Errorf("--store: %w", err)
	}
	return b, err
}
