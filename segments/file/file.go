// Package file is a Store in a directory: each object is a file of the same name. Several processes
// may use one directory.
//
// A Put costs two fsyncs and little else. It writes a temporary file beside its place, syncs it,
// links it there, which fails if somebody was there before, and syncs the directory. Temporary
// files have a name that is no key, so nobody ever lists them; what a crash leaves of them is
// removed by an Open much later. Deletions are not synced: after a power failure deleted objects
// may be back.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"firn.dev/segments"
)

// Store is a directory.
type Store struct {
	dir  string
	sync func(*os.File) error // syncDirectory, or what a test puts in its place

	readOnly bool // nothing is written: OpenReadOnly

	mu   sync.Mutex
	root *directory
	open map[string]*directory // those below the root, by their path with slashes

	broken atomic.Pointer[error] // the first failure of a directory's fsync
}

var _ segments.Store = (*Store)(nil)

// Put implements segments.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	if err := begin(ctx, key); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	parent, name := path.Split(key)
	for {
		err := s.put(ctx, path.Clean(parent), name, body)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errRemoved) {
			return fmt.Errorf("put %s: %w", key, err)
		}
		// A Delete has just removed the directory, which was empty: make it again.
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
	}
}

func (s *Store) put(ctx context.Context, parent, name string, body []byte) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	if s.readOnly {
		return errReadOnly
	}
	d, err := s.acquire(parent)
	if err != nil {
		return err
	}
	defer s.release(d)
	err = d.create(ctx, name, body)
	if err != nil && !errors.Is(err, segments.ErrExists) {
		return err
	}
	// Also the loser of a race has to know that what it lost to will still be there after a power
	// failure.
	if failed := s.commit(d); failed != nil {
		return failed
	}
	return err
}

// commit syncs the directory. Puts do not share this fsync with each other: file systems with a
// journal do that themselves, and sharing was measured to gain nothing. A failure is final, because
// the kernel reports a failed write once: a second fsync would succeed and mean nothing.
func (s *Store) commit(d *directory) error {
	err := s.sync(d.self)
	if err != nil {
		err = fmt.Errorf("directory %q failed to sync, nothing more is written to the store: %w", d.path, err)
		s.broken.CompareAndSwap(nil, &err)
	}
	return err
}

// Get implements segments.Store.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := begin(ctx, key); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	body, err := read(s.path(key), offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return body, nil
}

func read(name string, offset, length int64) ([]byte, error) {
	f, err := os.Open(name)
	if isAbsent(err) {
		return nil, segments.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, segments.ErrNotFound
	}
	start, count, err := segments.Slice(info.Size(), offset, length)
	if err != nil {
		return nil, err
	}
	body := make([]byte, count)
	if n, err := f.ReadAt(body, start); n < len(body) {
		return nil, fmt.Errorf("%d of %d bytes at %d: %w", n, count, start, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return body, nil
}

// Delete implements segments.Store.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if s.readOnly {
		return fmt.Errorf("delete: %w", errReadOnly)
	}
	for _, key := range keys {
		if err := begin(ctx, key); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	parents := map[string]bool{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
		if err := remove(s.path(key)); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
		parents[path.Dir(key)] = true
	}
	for parent := range parents {
		s.prune(parent)
	}
	return nil
}

// remove removes a file, if there is one.
func remove(name string) error {
	info, err := os.Lstat(name)
	if err == nil && info.Mode().IsRegular() {
		err = os.Remove(name)
	}
	if isAbsent(err) {
		return nil
	}
	return err
}

func (s *Store) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

// isAbsent says whether err means that there is no such file: also where a directory on the way to
// it is a file.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// begin is what every operation on a key begins with.
func begin(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return segments.CheckKey(key)
}
