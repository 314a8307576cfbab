package s3api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"firn.dev/retry"
)

// Op is an operation of segments.Store.
type Op string

// The operations.
const (
	Put    Op = "put"
	Get    Op = "get"
	List   Op = "list"
	Delete Op = "delete"

	Create      Op = "create" // of an upload in parts
	Write       Op = "write"  // of a part
	Commit      Op = "commit" // of an upload, in parts or not
	Abort       Op = "abort"
	ListUploads Op = "list uploads"
)

// action is what IAM calls the right to do it.
func (o Op) action() string {
	switch o {
	case Put, Create, Write, Commit:
		return "s3:PutObject"
	case Abort:
		return "s3:AbortMultipartUpload"
	case ListUploads:
		return "s3:ListBucketMultipartUploads"
	case Get:
		return "s3:GetObject"
	case Delete:
		return "s3:DeleteObject"
	default:
		return "s3:ListBucket"
	}
}

// Request is one request to a server, which may take several attempts.
type Request struct {
	Op    Op
	Key   string // or prefix
	Bytes int64  // that it moves, negative if that is not known: how long it may take follows from it
}

const (
	answerTime   = 15 * time.Second // for everything but moving the bytes
	slowest      = 1 << 20          // bytes a second: a connection slower than this is given up
	unknownBytes = 64 << 20
	mostBytes    = 1 << 30 // whatever is asked for

	attempts = 5
)

var backoff = retry.Backoff{First: 50 * time.Millisecond, Most: 2 * time.Second}

// limit is how long one attempt may take.
func (r Request) limit() time.Duration {
	n := min(r.Bytes, mostBytes)
	if n < 0 {
		n = unknownBytes
	}
	return answerTime + time.Duration(n/slowest)*time.Second
}

// Do sends a request, each attempt with a deadline of its own, and again after failures that a
// second attempt may mend. answer finds the server's answer in an error of send. What Do returns is
// an error of segments, or one that says what to do.
func (t Target) Do(ctx context.Context, r Request, answer func(error) Answer, send func(context.Context) error) error {
	_, err := t.do(ctx, r, answer, send)
	return err
}

// do is Do. It returns the server's last answer with the error.
func (t Target) do(ctx context.Context, r Request, answer func(error) Answer,
	send func(context.Context) error) (Answer, error) {
	for n := 0; ; n++ {
		err := attempt(ctx, r, send)
		if err == nil {
			return Answer{}, nil
		}
		if ctx.Err() != nil {
			return Answer{}, fmt.Errorf("%s %s: %w", r.Op, r.Key, ctx.Err())
		}
		a := answer(err)
		if n+1 >= attempts || !again(r.Op, err, a) {
			return a, t.explain(r, err, a)
		}
		if backoff.Pause(ctx, n) != nil {
			return a, fmt.Errorf("%s %s: %w, after: %w", r.Op, r.Key, ctx.Err(), t.explain(r, err, a))
		}
	}
}

// attempt sends once. A deadline that passes is ErrTimeout, and not the context's error: nobody has
// cancelled anything.
func attempt(ctx context.Context, r Request, send func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, r.limit(), ErrTimeout)
	defer cancel()
	began := time.Now()
	err := send(limited)
	if err == nil {
		return nil
	}
	var silent net.Error
	var dial *net.OpError
	switch {
	case ctx.Err() != nil || errors.As(err, &dial) && dial.Op == "dial":
		return err
	case limited.Err() != nil || errors.As(err, &silent) && silent.Timeout():
		return fmt.Errorf("%w: %v passed", ErrTimeout, time.Since(began).Round(time.Millisecond))
	default:
		return err
	}
}

// again says whether a request may be sent once more after a failure.
func again(op Op, err error, a Answer) bool {
	if refused(a) {
		return true
	}
	if op == Put || op == Commit {
		// The object may have been created although nobody said so: a second attempt would find it and be
		// refused because of the first, as if somebody else had been faster. Only the caller knows what
		// is his.
		return false
	}
	if a != (Answer{}) {
		return a.Status >= http.StatusInternalServerError && a.Status != http.StatusNotImplemented
	}
	if op == Write {
		return true // whatever became of the part: the next takes its place. minio-go does not say how a connection broke
	}
	var op2 *net.OpError
	return errors.Is(err, ErrTimeout) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.As(err, &op2)
}

// refused says whether the server has told us that it did nothing, and may do it later. MinIO's
// SlowDownWrite and 500 are not among these: they come from writes that some of its drives may have
// done.
//
// AccessDenied is among these because MinIO also says it when it makes an object's folder while a
// delete elsewhere removes the empty folder above, twice in a row; when the same happens a moment
// later it says IncompleteBody of a body that came whole. It says both only if so many drives
// refused that the object cannot be read. Somebody who has no right hears of it after the retries,
// within two seconds.
func refused(a Answer) bool {
	switch a.Code {
	case "SlowDown", "ServiceUnavailable", "TooManyRequests", "ServerBusy", "RequestTimeout",
		// RequestTimeout: the body did not arrive
		"ConditionalRequestConflict", "OperationAborted", "AccessDenied", "IncompleteBody":
		return true
	}
	return a.Status == http.StatusTooManyRequests
}
