package s3api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"firn.dev/segments"
)

// DeleteWay is one way to delete objects. Stores differ in which they take: DeleteObjects carries a
// checksum of its body, either in a header that some stores do not know, or as Content-MD5, which
// some demand and others have abolished; and some have no DeleteObjects at all.
type DeleteWay struct {
	Name string // for people
	Most int    // keys in one request
	Send func(ctx context.Context, keys []string) error
}

// Deletes deletes objects in the first of its ways that the server takes, and remembers that one.
type Deletes struct {
	Target Target
	Answer func(error) Answer // finds the server's answer in an error of Send
	Ways   []DeleteWay        // the best first; the last deletes one object in each request
	Logger *slog.Logger       // is told once which other way than the first it is; may be nil

	way atomic.Int32
}

// DeletesInOne is how many objects one DeleteObjects deletes at most.
const DeletesInOne = 1000

// deletesAtOnce bounds the requests under way when each deletes one object.
const deletesAtOnce = 16

// Delete deletes objects. When one of them cannot be deleted the others still are: otherwise one
// object that is locked would keep all that come after it.
func (d *Deletes) Delete(ctx context.Context, keys []string) error {
	for way := int(d.way.Load()); ; way++ {
		t := &deleting{Deletes: d, way: d.Ways[way]}
		left := t.all(ctx, keys)
		if t.worked {
			d.remember(way)
		}
		if len(left) == 0 || way+1 == len(d.Ways) {
			return t.err
		}
		keys = left
	}
}

// remember keeps a way for later calls, and logs it if it is a new one.
func (d *Deletes) remember(way int) {
	known := d.way.Load()
	if int(known) < way && d.way.CompareAndSwap(known, int32(way)) && d.Logger != nil {
		d.Logger.Warn("the store refuses DeleteObjects as it is usually sent, so objects are deleted in another way",
			"store", d.Target.String(), "refused", d.Ways[known].Name, "way", d.Ways[way].Name)
	}
}

// deleting is one call of Delete, in one way.
type deleting struct {
	*Deletes
	way DeleteWay

	mu     sync.Mutex
	worked bool
	err    error // the first
}

// all deletes objects. If the server refuses the way, it returns the keys of those that are to be
// deleted in another.
func (t *deleting) all(ctx context.Context, keys []string) (left []string) {
	if t.way.Most == 1 {
		t.oneByOne(ctx, keys)
		return nil
	}
	for len(keys) > 0 {
		n := min(t.way.Most, len(keys))
		a, err := t.send(ctx, keys[:n])
		if err != nil && !ofOneObject(a) {
			if unfit(a) {
				return keys
			}
			return nil
		}
		keys = keys[n:]
	}
	return nil
}

// oneByOne deletes each object with a request of its own. It ends early if the server does not
// answer, or is busy.
func (t *deleting) oneByOne(ctx context.Context, keys []string) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deletesAtOnce)
	for i := range keys {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a, err := t.send(ctx, keys[i:i+1])
			if a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError && !errors.Is(kind(a), ErrBusy) {
				return nil // it may be about this object
			}
			return err
		})
	}
	_ = g.Wait() // t.err is the first
}

// send makes one request, and takes in what became of it.
func (t *deleting) send(ctx context.Context, keys []string) (Answer, error) {
	r := Request{Op: Delete, Key: keys[0]}
	a, err := t.Target.do(ctx, r, t.Answer, func(ctx context.Context) error { return t.way.Send(ctx, keys) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.worked = t.worked || err == nil || ofOneObject(a)
	if t.err == nil {
		t.err = err
	}
	return a, err
}

// ofOneObject says whether an answer is what a DeleteObjects that succeeded said of one object:
// that has no status.
func ofOneObject(a Answer) bool { return a.Status == 0 && a.Code != "" }

// unfit says whether a server may have refused the form of a request, so that another way may do.
// An answer that is about rights, credentials, the bucket or load would be the same for every way.
func unfit(a Answer) bool {
	switch what := kind(a); {
	case errors.Is(what, ErrUnsupported), errors.Is(what, segments.ErrNotFound): // not found: a path that it does not know
		return true
	case what != nil, refused(a), a.Status == http.StatusRequestTimeout:
		return false
	default:
		return a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError
	}
}
