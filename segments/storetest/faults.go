package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"firn.dev/segments"
)

// ErrInjected is the failure that faults inject, where the script names no other.
var ErrInjected = errors.New("injected fault")

// Op is a kind of request.
type Op string

// The requests of a Store.
const (
	Put    Op = "put"
	Get    Op = "get"
	List   Op = "list"
	Delete Op = "delete"

	Create Op = "create" // of an upload; the rest are what is done with it
	Write  Op = "write"
	Commit Op = "commit"
	Abort  Op = "abort"
	Clean  Op = "clean"
)

// Request is what a script is asked about.
type Request struct {
	N   int // how many requests came before, of all kinds
	Op  Op
	Key string // of a list: its prefix; of a delete: its first key
}

// Fault is what happens to a request. The zero Fault is none. First comes Delay, then Hold, then
// the request itself, unless Before is set, and then After. There is no torn object: a Store never
// shows one.
type Fault struct {
	Delay  time.Duration   // the request waits, or until its context ends
	Hold   <-chan struct{} // the request waits until it is closed, or until its context ends
	Before error           // the request fails with this and is not made
	After  error           // the request is made, and fails with this if it succeeded: its reply was lost
}

// Faults is a Store that does to each request what a script says. It counts requests.
type Faults struct {
	store segments.Store

	mu     sync.Mutex
	script func(Request) Fault
	n      int
}

var _ segments.Store = (*Faults)(nil)

// NewFaults returns the store with faults. The script is called for one request at a time, in the
// order in which they come; nil is none.
func NewFaults(store segments.Store, script func(Request) Fault) *Faults {
	return &Faults{store: store, script: script}
}

// Script replaces the script, for requests that come from now on.
func (f *Faults) Script(script func(Request) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

// Requests is how many requests came.
func (f *Faults) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// do makes a request as the script wants it.
func (f *Faults) do(ctx context.Context, op Op, key string, request func() error) error {
	fault := f.ask(op, key)
	if err := fault.wait(ctx); err != nil {
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	if fault.Before != nil {
		return fmt.Errorf("%s %s: %w", op, key, fault.Before)
	}
	err := request()
	if err == nil && fault.After != nil {
		err = fmt.Errorf("%s %s: %w", op, key, fault.After)
	}
	return err
}

func (f *Faults) ask(op Op, key string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.script == nil {
		return Fault{}
	}
	return f.script(Request{f.n - 1, op, key})
}

func (f Fault) wait(ctx context.Context) error {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Put implements segments.Store.
func (f *Faults) Put(ctx context.Context, key string, body []byte) error {
	return f.do(ctx, Put, key, func() error { return f.store.Put(ctx, key, body) })
}

// Create implements segments.Store.
func (f *Faults) Create(ctx context.Context, key string) (u segments.Upload, err error) {
	err = f.do(ctx, Create, key, func() error {
		u, err = f.store.Create(ctx, key)
		return err
	})
	if err != nil {
		if u != nil {
			err = errors.Join(err, u.Abort())
		}
		return nil, err
	}
	return &faultyUpload{ctx: ctx, faults: f, key: key, upload: u}, nil
}

// faultyUpload asks the script about each thing that is done with an upload.
type faultyUpload struct {
	ctx    context.Context
	faults *Faults
	key    string
	upload segments.Upload
}

// Write implements segments.Upload.
func (u *faultyUpload) Write(p []byte) (n int, err error) {
	err = u.faults.do(u.ctx, Write, u.key, func() error {
		n, err = u.upload.Write(p)
		return err
	})
	return n, err
}

// Commit implements segments.Upload.
func (u *faultyUpload) Commit() error { return u.faults.do(u.ctx, Commit, u.key, u.upload.Commit) }

// Abort implements segments.Upload.
func (u *faultyUpload) Abort() error {
	return u.faults.do(context.WithoutCancel(u.ctx), Abort, u.key, u.upload.Abort)
}

// Clean implements segments.Cleaner.
func (f *Faults) Clean(ctx context.Context, before time.Time) (n int, err error) {
	err = f.do(ctx, Clean, "", func() error {
		n, err = segments.Clean(ctx, f.store, before)
		return err
	})
	return n, err
}

// Get implements segments.Store.
func (f *Faults) Get(ctx context.Context, key string, offset, length int64) (body []byte, err error) {
	err = f.do(ctx, Get, key, func() error {
		body, err = f.store.Get(ctx, key, offset, length)
		return err
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// List implements segments.Store. After strikes at the end of the list.
func (f *Faults) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		stopped := false
		err := f.do(ctx, List, prefix, func() error {
			for o, err := range f.store.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				if stopped = !yield(o, nil); stopped {
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(segments.Object{}, err)
		}
	}
}

// Delete implements segments.Store.
func (f *Faults) Delete(ctx context.Context, keys ...string) error {
	first := ""
	if len(keys) > 0 {
		first = keys[0]
	}
	return f.do(ctx, Delete, first, func() error { return f.store.Delete(ctx, keys...) })
}

// Once returns a script that lets the first request that matches suffer the fault.
func Once(match func(Request) bool, fault Fault) func(Request) Fault {
	struck := false
	return func(r Request) Fault {
		if struck || !match(r) {
			return Fault{}
		}
		struck = true
		return fault
	}
}
