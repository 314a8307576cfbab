package coordinator

import (
	"context"
	"errors"

	"firn.dev/segments"
)

// Reader reads the state that the bucket has again and again, as Load does, without any coordinator
// and without writing. It reads nothing twice: State costs two listings and the journal objects
// that are new, unless a recovery or a snapshot came between. It is not safe for concurrent use.
type Reader struct {
	loader
	base  Incarnation
	found *loaded
}

// NewReader returns a reader of a bucket.
func NewReader(store segments.Store) *Reader { return &Reader{loader: loader{store, defaultParallel}} }

// State returns the newest state that the bucket has. The state that it returned before must not
// be used any more.
func (r *Reader) State(ctx context.Context) (*State, error) {
	return again(ctx, func() (*State, error) {
		base, err := r.newestOpened(ctx)
		if err != nil {
			return nil, err
		}
		if r.found != nil && base == r.base {
			state, err := r.goOn(ctx)
			if err == nil || !errors.Is(err, errMoved) {
				return state, err
			}
		}
		r.found = nil // a state to which an apply failed half way is not used again
		found, err := r.loadOnce(ctx, base)
		if err != nil {
			return nil, err
		}
		r.base, r.found = base, found
		return found.state, nil
	})
}

// goOn adds what the journal has beyond what was read.
func (r *Reader) goOn(ctx context.Context) (*State, error) {
	before := r.found
	r.found = nil
	chains, err := r.listChains(ctx, before.covers)
	if err != nil {
		return nil, err
	}
	known := &snapshotObject{incarnation: r.base, n: before.snapshot, state: before.state, covers: before.covers}
	found, err := r.apply(ctx, known, chains)
	if err != nil {
		return nil, err
	}
	r.found = found
	return found.state, nil
}
