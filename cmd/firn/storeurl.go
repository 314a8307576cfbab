package main

import (
	"context"
	"fmt"
	"log/slog"

	"firn.dev/segments/stores"
)

// defaultStore is where data goes unless --store says otherwise.
const defaultStore = "file://./firn-data"

// openStore opens the bucket at a URL. Its errors say which flag is concerned and what to do.
func openStore(ctx context.Context, url string) (*stores.Bucket, error) {
	return openStoreWith(ctx, url, stores.Location.Open)
}

// openStoreLogging is openStore with a logger that is told once what the store does not do as S3
// does.
func openStoreLogging(ctx context.Context, url string, logger *slog.Logger) (*stores.Bucket, error) {
	return openStoreWith(ctx, url, func(l stores.Location, ctx context.Context) (*stores.Bucket, error) {
		return l.Logging(logger).Open(ctx)
	})
}

// openStoreToRead is openStore for what only reads: it needs no permission to write, and makes no
// directory.
func openStoreToRead(ctx context.Context, url string) (*stores.Bucket, error) {
	return openStoreWith(ctx, url, stores.Location.OpenToRead)
}

func openStoreWith(ctx context.Context, url string,
	open func(stores.Location, context.Context) (*stores.Bucket, error)) (*stores.Bucket, error) {
	at, err := stores.Parse(url)
	if err != nil {
		return nil, usagef("--store %w", err)
	}
	b, err := open(at, ctx)
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	return b, nil
}
