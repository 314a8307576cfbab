package replay

import "context"

// MinMemory is the least that a replay takes.
const MinMemory = minMemory

// Widest is the type that holds the values of two.
var Widest = widest

// Gets returns how many gets the replay has sent.
func (r *Replay) Gets() int64 { return r.store.gets.Load() }

// Reload does what a replay does when a segment is gone.
func (r *Replay) Reload(ctx context.Context, left []Range) error { return r.reload(ctx, left) }
