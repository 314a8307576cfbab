package cloud

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"firn.dev/segments"
)

// errBusy is what a bucket answers on a bad day.
var errBusy = errors.New("503 Slow Down")

// Bucket is a store whose requests take as long as a profile says, and are counted.
type Bucket struct {
	Meter
	store   segments.Store
	profile *Profile

	mu     sync.Mutex
	random *rand.Rand
}

var (
	_ segments.Store   = (*Bucket)(nil)
	_ segments.Cleaner = (*Bucket)(nil)
)

// NewBucket returns the store with the times of a profile, which it draws from seed.
func NewBucket(store segments.Store, profile *Profile, seed uint64) *Bucket {
	return &Bucket{store: store, profile: profile, random: rand.New(rand.NewPCG(seed, 0))}
}

func (b *Bucket) draw(kind Kind, bytes int64) (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.profile.draw(b.random, kind, bytes)
}

// request waits as long as a request takes. The request itself is made in the middle: a caller that
// gives up before does not know whether it was.
func (b *Bucket) request(ctx context.Context, kind Kind, bytes int64, do func() error) error {
	took, busy := b.draw(kind, bytes)
	if err := sleep(ctx, took/2); err != nil {
		return err
	}
	if busy {
		b.busy.Add(1)
		return errBusy
	}
	b.count(kind, bytes)
	err := do()
	if late := sleep(ctx, took-took/2); late != nil {
		return late
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Put implements segments.Store.
func (b *Bucket) Put(ctx context.Context, key string, body []byte) error {
	return b.request(ctx, Put, int64(len(body)), func() error { return b.store.Put(ctx, key, body) })
}

// Get implements segments.Store.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (body []byte, err error) {
	err = b.request(ctx, Get, 0, func() error {
		body, err = b.store.Get(ctx, key, offset, length)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.down.Add(int64(len(body)))
	return body, sleep(ctx, b.profile.transfer(int64(len(body))))
}

// pageKeys is how many keys a request for a list brings.
const pageKeys = 1000

// List implements segments.Store.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		for more := true; more; {
			var page []segments.Object
			err := b.request(ctx, List, 0, func() error {
				for o, err := range b.store.List(ctx, prefix, after) {
					if err != nil {
						return err
					}
					if page = append(page, o); len(page) == pageKeys {
						break
					}
				}
				return nil
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
			more = len(page) == pageKeys
		}
	}
}

// Delete implements segments.Store. One request deletes up to 1,000 keys.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for ; len(keys) > 0; keys = keys[min(len(keys), pageKeys):] {
		some := keys[:min(len(keys), pageKeys)]
		err := b.request(ctx, Delete, 0, func() error { return b.store.Delete(ctx, some...) })
		if err != nil {
			return err
		}
	}
	return nil
}

// Clean implements segments.Cleaner.
func (b *Bucket) Clean(ctx context.Context, before time.Time) (n int, err error) {
	err = b.request(ctx, List, 0, func() error {
		n, err = segments.Clean(ctx, b.store, before)
		return err
	})
	return n, err
}

// Create implements segments.Store.
func (b *Bucket) Create(ctx context.Context, key string) (segments.Upload, error) {
	u := &upload{bucket: b, ctx: ctx}
	err := b.request(ctx, Put, 0, func() (err error) {
		u.Upload, err = b.store.Create(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// upload is an upload in parts, one after the other.
type upload struct {
	segments.Upload
	bucket *Bucket
	ctx    context.Context
	part   int64 // bytes of the part that is being filled
}

// partBytes is how large a part is.
const partBytes = 8 << 20

// Write implements segments.Upload.
func (u *upload) Write(p []byte) (n int, err error) {
	n, err = u.Upload.Write(p)
	for u.part += int64(n); u.part >= partBytes && err == nil; u.part -= partBytes {
		err = u.send(partBytes)
	}
	return n, err
}

func (u *upload) send(bytes int64) error {
	return u.bucket.request(u.ctx, Put, bytes, func() error { return nil })
}

// Commit implements segments.Upload.
func (u *upload) Commit() error {
	if u.part > 0 {
		if err := u.send(u.part); err != nil {
			return err
		}
		u.part = 0
	}
	return u.bucket.request(u.ctx, Put, 0, u.Upload.Commit)
}
