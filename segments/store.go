package segments

import (
	"context"
	"iter"
	"time"
)

// Store is a bucket: a flat, ordered set of keys, each with immutable bytes. Every implementation passes the suite in
// storetest. All methods may be called concurrently, and by several processes on one bucket.
//
// Keys are slash-separated, made of the characters [A-Za-z0-9._-/], at most 512 bytes long, without empty, "." or ".." elements: CheckKey. No
// key is the beginning of another up to a slash ("a" and "a/b"): some stores cannot hold both.
type Store interface {
	// Put creates key with body, unless key exists: then it returns ErrExists and changes nothing. When it returns nil the object is
	// durable and every later Get and List, from anywhere, sees the whole of it. After any other error the object may or may not have
	// been created, whole; it is never there in part. Of several concurrent Puts of one key exactly one succeeds.
	// Put does not keep or change body, and does not read it after it has returned.
	Put(ctx context.Context, key string, body []byte) error

	// Get returns length bytes of the object, from offset on. A negative length means to the end; a negative offset means the last
	// -offset bytes (all, if the object is shorter; length must then be negative). It returns ErrNotFound if there is no such object, and
	// ErrRange if the object ends before offset+length. The bytes belong to the caller.
	Get(ctx context.Context, key string, offset, length int64) ([]byte, error)

	// List yields the objects whose key begins with prefix and is greater than after ("" for all), in order of their keys' bytes.
	// An object that was there before the call and is not deleted is always seen. On failure it yields one error and ends.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]

	// Delete removes objects. Keys that do not exist are no error. After an error some may be gone and others not.
	Delete(ctx context.Context, keys ...string) error
}

// Object is what List says of an object.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time // when the store created it, by the store's clock
}
