package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"firn/segments/file"
)

// defaultStore is where data goes unless --store says otherwise.
const defaultStore = "file://./firn-data"

// storeDirectory returns the absolute directory that a store URL names: file:///dir, file://./dir, or a plain path. Nothing in it is
// unescaped: what stands behind file:// is the path.
func storeDirectory(url string) (string, error) {
	scheme, path, isURL := strings.Cut(url, "://")
	switch {
	case url == "":
		return "", fmt.Errorf("it is empty; give a directory, for example %s", defaultStore)
	case !isURL:
		path = url
	case scheme == "s3" || scheme == "minio":
		return "", fmt.Errorf("%s: this build stores in a directory only; give file:///DIR", url)
	case scheme != "file":
		return "", fmt.Errorf("%s: unknown scheme %q; give file:///DIR", url, scheme)
	case path == "" || path[0] != '/' && path[0] != '.':
		return "", fmt.Errorf("%s: write file:///%s for an absolute directory, file://./%s for a relative one", url, path, path)
	}
	return filepath.Abs(path)
}

// openStore opens the store at a URL and says in its errors which flag is concerned and what to do.
func openStore(url string) (*file.Store, error) {
	dir, err := storeDirectory(url)
	if err != nil {
		return nil, usagef("--store %w", err)
	}
	store, err := file.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: make it writable for this user, or name another with --store", err)
	}
	return store, nil
}
