// Package memory is a Store in memory, for tests and for trying things out. Nothing in it outlives
// the process.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"firn.dev/segments"
)

// Store holds objects in memory.
type Store struct {
	mu      sync.RWMutex
	objects map[string]object
	keys    []string // of all objects, sorted
}

type object struct {
	body     []byte
	modified time.Time
}

var _ segments.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{objects: map[string]object{}} }

// Put implements segments.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	if err := begin(ctx, key); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	body = bytes.Clone(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.objects[key]; exists {
		return fmt.Errorf("put %s: %w", key, segments.ErrExists)
	}
	s.objects[key] = object{body, time.Now()}
	at, _ := slices.BinarySearch(s.keys, key)
	s.keys = slices.Insert(s.keys, at, key)
	return nil
}

// Create implements segments.Store.
func (s *Store) Create(ctx context.Context, key string) (segments.Upload, error) {
	if err := begin(ctx, key); err != nil {
		return nil, fmt.Errorf("create %s: %w", key, err)
	}
	return &upload{ctx: ctx, store: s, key: key}, nil
}

// upload is an object on its way.
type upload struct {
	ctx       context.Context
	store     *Store
	key       string
	body      bytes.Buffer
	aborted   bool
	committed bool
}

// Write implements segments.Upload.
func (u *upload) Write(p []byte) (int, error) {
	if err := u.check(); err != nil {
		return 0, fmt.Errorf("write %s: %w", u.key, err)
	}
	return u.body.Write(p)
}

// Commit implements segments.Upload.
func (u *upload) Commit() error {
	if err := u.check(); err != nil {
		return fmt.Errorf("commit %s: %w", u.key, err)
	}
	if u.committed {
		return nil
	}
	err := u.store.Put(u.ctx, u.key, u.body.Bytes())
	u.committed = err == nil
	return err
}

// Abort implements segments.Upload.
func (u *upload) Abort() error {
	u.aborted = !u.committed
	u.body = bytes.Buffer{}
	return nil
}

func (u *upload) check() error {
	if u.aborted {
		return segments.ErrAborted
	}
	return u.ctx.Err()
}

// Get implements segments.Store.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := begin(ctx, key); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	s.mu.RLock()
	o, exists := s.objects[key]
	s.mu.RUnlock()
	if !exists {
		return nil, fmt.Errorf("get %s: %w", key, segments.ErrNotFound)
	}
	start, count, err := segments.Slice(int64(len(o.body)), offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return append(make([]byte, 0, count), o.body[start:start+count]...), nil
}

// List implements segments.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		for {
			if err := ctx.Err(); err != nil {
				yield(segments.Object{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			next, found := s.next(prefix, after)
			if !found || !yield(next, nil) {
				return
			}
			after = next.Key
		}
	}
}

// next finds the first object whose key begins with prefix and is greater than after.
func (s *Store) next(prefix, after string) (segments.Object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, found := slices.BinarySearch(s.keys, max(prefix, after))
	if found && s.keys[at] == after {
		at++
	}
	if at == len(s.keys) || !strings.HasPrefix(s.keys[at], prefix) {
		return segments.Object{}, false
	}
	o := s.objects[s.keys[at]]
	return segments.Object{Key: s.keys[at], Size: int64(len(o.body)), Modified: o.modified}, true
}

// Delete implements segments.Store.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := begin(ctx, key); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if at, found := slices.BinarySearch(s.keys, key); found {
			s.keys = slices.Delete(s.keys, at, at+1)
			delete(s.objects, key)
		}
	}
	return nil
}

// begin is what every operation on a key begins with.
func begin(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return segments.CheckKey(key)
}
