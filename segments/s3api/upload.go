package s3api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"firn.dev/segments"
)

const (
	// PartBytes is how much of an upload goes in one request. An S3 object has at most 10,000 parts,
	// so it bounds an object at 78 GiB.
	PartBytes = 8 << 20
	maxParts  = 10_000
	// partsUnderWay is how many parts are sent at once. One more is being filled meanwhile, so an
	// upload holds three.
	partsUnderWay = 2
	// abortTime bounds an Abort, whose upload's context may have ended.
	abortTime = 30 * time.Second
)

// MarkName is the name of the object metadata that says which upload made it. With it a Commit
// whose answer was lost finds out that it was done: the object's ETag would not tell, since there
// are encryptions with which it is a different one each time.
const MarkName = "firn-upload"

// Part is a part that the server has.
type Part struct {
	Number int
	ETag   string
	CRC32C string // empty if none was sent
}

// Multipart is what a driver does for its uploads: each method is one request, with its retries.
type Multipart interface {
	// PutMarked creates a whole object, if it is absent, with the mark as metadata.
	PutMarked(ctx context.Context, key string, body []byte, mark string) error
	// Begin begins an upload of parts, which will have the mark, and returns its id.
	Begin(ctx context.Context, key, mark string) (id string, err error)
	// SendPart sends one part. Sent again it takes the place of the first.
	SendPart(ctx context.Context, key, id string, number int, body []byte) (Part, error)
	// Complete makes the object of its parts, if it is absent.
	Complete(ctx context.Context, key, id string, parts []Part) error
	// AbortParts drops an upload and its parts. That there is none is no error.
	AbortParts(ctx context.Context, key, id string) error
	// Mark returns the mark of an object.
	Mark(ctx context.Context, key string) (string, error)
}

// Upload is a segments.Upload in parts. An object that is shorter than one part is put in one
// request, when it is committed.
type Upload struct {
	ctx    context.Context
	driver Multipart
	key    string
	mark   string

	part    []byte      // being filled
	free    chan []byte // that were sent
	id      string      // of the multipart upload, once there is one
	sending *errgroup.Group
	sendCtx context.Context // ends with the first part that fails
	cancel  context.CancelFunc

	mu    sync.Mutex
	parts []Part

	committed bool
	err       error // why nothing more can be written
}

var _ segments.Upload = (*Upload)(nil)

// NewUpload begins an upload. It sends nothing yet.
func NewUpload(ctx context.Context, driver Multipart, key string) (*Upload, error) {
	if err := segments.CheckKey(key); err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("create %s: %w", key, err)
	}
	u := &Upload{ctx: ctx, driver: driver, key: key, mark: rand.Text(), free: make(chan []byte, partsUnderWay+1)}
	sendCtx, cancel := context.WithCancel(ctx)
	u.sending, u.sendCtx = errgroup.WithContext(sendCtx)
	u.sending.SetLimit(partsUnderWay)
	u.cancel = cancel
	return u, nil
}

// Write implements segments.Upload.
func (u *Upload) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := u.check(); err != nil {
			return n, err
		}
		m := min(len(p)-n, PartBytes-len(u.part))
		u.part = append(u.part, p[n:n+m]...)
		n += m
		if len(u.part) == PartBytes {
			u.err = u.send()
		}
	}
	return n, u.check()
}

// check says why the upload cannot go on. A part that has failed is why, once the context that it
// ended is seen.
func (u *Upload) check() error {
	if u.err == nil && u.sendCtx.Err() != nil && u.id != "" {
		u.err = u.sending.Wait()
	}
	if u.err != nil {
		return u.err
	}
	if err := u.ctx.Err(); err != nil {
		return fmt.Errorf("upload %s: %w", u.key, err)
	}
	return nil
}

// send begins to send the part that was filled, as soon as there is room for it.
func (u *Upload) send() error {
	if u.id == "" {
		id, err := u.driver.Begin(u.ctx, u.key, u.mark)
		if err != nil {
			return err
		}
		u.id = id
	}
	u.mu.Lock()
	u.parts = append(u.parts, Part{})
	number := len(u.parts)
	u.mu.Unlock()
	if number > maxParts {
		return fmt.Errorf("upload %s: an object has at most %d bytes", u.key, int64(maxParts)*PartBytes)
	}
	body := u.part
	u.sending.Go(func() error {
		part, err := u.driver.SendPart(u.sendCtx, u.key, u.id, number, body)
		if err != nil {
			return err
		}
		u.mu.Lock()
		u.parts[number-1] = part
		u.mu.Unlock()
		u.free <- body[:0]
		return nil
	})
	select {
	case u.part = <-u.free:
	default:
		u.part = make([]byte, 0, PartBytes)
	}
	return nil
}

// Commit implements segments.Upload.
func (u *Upload) Commit() error {
	if u.committed {
		return nil
	}
	if err := u.check(); err != nil {
		return err
	}
	err := u.finish()
	if err != nil && u.err == nil && u.made() {
		err = nil
	}
	u.committed = err == nil
	if u.committed {
		u.release()
	}
	return err
}

// finish makes the object.
func (u *Upload) finish() error {
	if u.id == "" {
		return u.driver.PutMarked(u.ctx, u.key, u.part, u.mark)
	}
	if len(u.part) > 0 {
		if u.err = u.send(); u.err != nil {
			return u.err
		}
	}
	if u.err = u.sending.Wait(); u.err != nil {
		return u.err
	}
	return u.driver.Complete(u.ctx, u.key, u.id, u.parts)
}

// made says whether the object is there and this upload has made it: the answer to an earlier
// request may have been lost, or that request was sent twice by somebody on the way.
func (u *Upload) made() bool {
	mark, err := u.driver.Mark(u.ctx, u.key)
	return err == nil && mark == u.mark
}

// Abort implements segments.Upload.
func (u *Upload) Abort() error {
	if u.committed || errors.Is(u.err, segments.ErrAborted) {
		return nil
	}
	u.err = fmt.Errorf("upload %s: %w", u.key, segments.ErrAborted)
	u.release()
	if u.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortTime)
	defer cancel()
	return u.driver.AbortParts(ctx, u.key, u.id)
}

// release ends what is under way, and waits for it: a part that arrived behind the end of its
// upload would stay.
func (u *Upload) release() {
	u.cancel()
	_ = u.sending.Wait()
	u.part, u.free = nil, nil
}
