package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"firn.dev/segments"
)

var (
	errReset = errors.New("connection reset by peer")
	errBusy  = errors.New("503 Slow Down")
)

var toBucket = boundary{patience: 20 * time.Second, refused: errBusy, silent: errors.New("the bucket did not answer")}

// store is the bucket as one process sees it.
type store struct {
	p      *process
	bucket segments.Store
}

var (
	_ segments.Store   = (*store)(nil)
	_ segments.Cleaner = (*store)(nil)
)

func request[T any](ctx context.Context, s *store, name string, do func(ctx context.Context) (T, error)) (T, error) {
	return call(ctx, s.p, &toBucket, name, func(ctx context.Context) (answer T, err error) {
		if s.p.w.storming(s.p.name, name) {
			return answer, errBusy
		}
		return do(ctx)
	})
}

func done(err error) (struct{}, error) { return struct{}{}, err }

// Put implements segments.Store.
func (s *store) Put(ctx context.Context, key string, body []byte) error {
	body = bytes.Clone(body) // it may arrive when the caller has given up
	_, err := request(ctx, s, "Put", func(ctx context.Context) (struct{}, error) {
		return done(s.bucket.Put(ctx, key, body))
	})
	return err
}

// Get implements segments.Store.
func (s *store) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	return request(ctx, s, "Get", func(ctx context.Context) ([]byte, error) {
		return s.bucket.Get(ctx, key, offset, length)
	})
}

// List implements segments.Store. It asks for one page after the other, between which objects come
// and go.
func (s *store) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		for {
			n := s.p.w.pageSize(s.p.name)
			page, err := request(ctx, s, "List", func(ctx context.Context) (page []segments.Object, err error) {
				for o, err := range s.bucket.List(ctx, prefix, after) {
					if err != nil {
						return nil, err
					}
					if page = append(page, o); len(page) == n {
						break
					}
				}
				return page, nil
			})
			if err != nil {
				yield(segments.Object{}, err)
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
				after = o.Key
			}
			if len(page) < n {
				return
			}
		}
	}
}

// Delete implements segments.Store.
func (s *store) Delete(ctx context.Context, keys ...string) error {
	keys = append([]string(nil), keys...)
	_, err := request(ctx, s, "Delete", func(ctx context.Context) (struct{}, error) {
		return done(s.bucket.Delete(ctx, keys...))
	})
	return err
}

// Clean implements segments.Cleaner.
func (s *store) Clean(ctx context.Context, before time.Time) (int, error) {
	return request(ctx, s, "Clean", func(ctx context.Context) (int, error) {
		return segments.Clean(ctx, s.bucket, before)
	})
}

// Create implements segments.Store.
func (s *store) Create(ctx context.Context, key string) (segments.Upload, error) {
	u, err := request(ctx, s, "Create", func(ctx context.Context) (segments.Upload, error) {
		return s.bucket.Create(ctx, key)
	})
	if err != nil {
		return nil, err
	}
	return newUpload(ctx, s, u), nil
}

func newUpload(ctx context.Context, s *store, u segments.Upload) *upload {
	return &upload{ctx: ctx, s: s, u: u}
}

// upload is an upload as its process sees it. Its bytes reach the bucket with the Commit, which is
// made out of all that was written.
type upload struct {
	ctx context.Context
	s   *store

	mu sync.Mutex // a late Commit is made beside what comes after
	u  segments.Upload
}

func (u *upload) locked(do func() error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return do()
}

// Write implements segments.Upload. A write that the bucket refuses ends the upload, so that none
// is made twice or late.
func (u *upload) Write(p []byte) (int, error) {
	n := 0
	_, err := request(u.ctx, u.s, "Write", func(context.Context) (struct{}, error) { return struct{}{}, nil })
	if err == nil {
		err = u.locked(func() (err error) {
			n, err = u.u.Write(p)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	return n, nil
}

// Commit implements segments.Upload.
func (u *upload) Commit() error {
	_, err := request(u.ctx, u.s, "Commit upload", func(context.Context) (struct{}, error) {
		return done(u.locked(u.u.Commit))
	})
	return err
}

// Abort implements segments.Upload.
func (u *upload) Abort() error {
	_, err := request(context.WithoutCancel(u.ctx), u.s, "Abort", func(context.Context) (struct{}, error) {
		return done(u.locked(u.u.Abort))
	})
	return err
}
