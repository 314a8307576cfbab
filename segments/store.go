package segments

import (
	"context"
	"iter"
	"time"
)

// Store is a bucket: a flat, ordered set of keys, each with immutable bytes. Every implementation
// passes the suite in storetest. All methods may be called concurrently, and by several processes
// on one bucket.
//
// Keys are slash-separated, made of the characters [A-Za-z0-9._-/], at most 512 bytes long, without
// empty, "." or ".." elements: CheckKey. No key is the beginning of another up to a slash ("a" and
// "a/b"): some stores cannot hold both.
type Store interface {
	// Put creates key with body, unless key exists: then it returns ErrExists and changes nothing.
	// When it returns nil the object is durable and every later Get and List, from anywhere, sees the
	// whole of it. After any other error the object may or may not have been created, whole; it is
	// never there in part. Of several concurrent Puts of one key exactly one succeeds. Put does not
	// keep or change body, and does not read it after it has returned.
	Put(ctx context.Context, key string, body []byte) error

	// Create begins an object that comes in pieces, because it is too large to be held in memory. ctx
	// governs the whole upload, not this call alone. Create does not look whether key exists: Commit
	// does.
	Create(ctx context.Context, key string) (Upload, error)

	// Get returns length bytes of the object, from offset on. A negative length means to the end; a
	// negative offset means the last -offset bytes (all, if the object is shorter; length must then be
	// negative). It returns ErrNotFound if there is no such object, and ErrRange if the object ends
	// before offset+length. The bytes belong to the caller.
	Get(ctx context.Context, key string, offset, length int64) ([]byte, error)

	// List yields the objects whose key begins with prefix and is greater than after ("" for all), in
	// order of their keys' bytes. An object that was there before the call and is not deleted is
	// always seen. On failure it yields one error and ends.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]

	// Delete removes objects. Keys that do not exist are no error. After an error some may be gone and
	// others not.
	Delete(ctx context.Context, keys ...string) error
}

// Upload is an object on its way into a Store. Nobody sees anything of it before Commit. Its
// methods are not safe for concurrent use. Whoever began it calls Abort in the end: after a Commit
// that returned nil it does nothing, so it may be deferred.
type Upload interface {
	// Write takes the next bytes, without keeping p. Memory stays bounded, however long the object
	// becomes: Write waits for the store. After an error the upload can only be aborted.
	Write(p []byte) (int, error)

	// Commit makes the object out of all that was written, unless its key exists: then it returns
	// ErrExists and changes nothing. When it returns nil the object is durable and visible, as after
	// Put. After any other error it may or may not have been created, whole. Commit may then be called
	// again: an object that this upload made is success, not ErrExists.
	Commit() error

	// Abort gives the upload up and leaves nothing behind, also when the upload's context has ended.
	// If it cannot reach the store it says so, and what is left is a Cleaner's. An object that a
	// Commit has made, whatever it returned, stays.
	Abort() error
}

// Cleaner is implemented by stores in which uploads that were neither committed nor aborted,
// because their process died, leave something behind that no List shows. The function Clean uses
// it.
type Cleaner interface {
	// Clean removes what is left of uploads that began before the given time, by the store's clock,
	// and returns how many there were.
	Clean(ctx context.Context, before time.Time) (int, error)
}

// Clean removes what uploads that began before the given time have left in the store, if it is a
// Cleaner. Nothing that is still being written may be that old.
func Clean(ctx context.Context, store Store, before time.Time) (int, error) {
	if c, ok := store.(Cleaner); ok {
		return c.Clean(ctx, before)
	}
	return 0, nil
}

// Object is what List says of an object.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time // when the store created it, by the store's clock
}
