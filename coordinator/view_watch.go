package coordinator

import (
	"context"

	"firn.dev/segments"
)

// Watch is a subscription to some partitions.
type Watch struct {
	C <-chan struct{}

	c          chan struct{}
	view       *View
	partitions []segments.Partition
}

// Watch signals every high watermark of ps that moves, and every topic that changes, from the
// moment of the call on. One signal may stand for many moves. Close it after use.
func (v *View) Watch(ps ...segments.Partition) *Watch {
	c := make(chan struct{}, 1)
	w := &Watch{C: c, c: c, view: v, partitions: ps}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[w] = struct{}{}
	for _, at := range ps {
		if v.watches[at] == nil {
			v.watches[at] = map[*Watch]struct{}{}
		}
		v.watches[at][w] = struct{}{}
	}
	return w
}

// Close ends the subscription.
func (w *Watch) Close() {
	v := w.view
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.all, w)
	for _, at := range w.partitions {
		delete(v.watches[at], w)
		if len(v.watches[at]) == 0 {
			delete(v.watches, at)
		}
	}
}

func (w *Watch) signal() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// wake signals the watches of a partition.
func (v *View) wake(at segments.Partition) {
	for w := range v.watches[at] {
		w.signal()
	}
}

// wakeAll signals every watch: topics changed, or there is a new incarnation.
func (v *View) wakeAll() {
	for w := range v.all {
		w.signal()
	}
	v.wakeChanged()
}

// wakeChanged wakes the callers that wait for a change to show.
func (v *View) wakeChanged() {
	if v.changed != nil {
		close(v.changed)
		v.changed = nil
	}
}

// waitShown waits until the fact with number seq of incarnation in shows in the view. It returns
// ErrIncarnation if the incarnation ends before.
func (v *View) waitShown(ctx context.Context, in Incarnation, seq uint64) error {
	return v.waitChanged(ctx, in, func() bool {
		_, pending := v.pending[seq]
		return v.seq >= seq && !pending
	})
}

// waitChanged waits until something is so, by what shows in the view; it is asked with mu held. It
// returns ErrIncarnation if the incarnation ends before.
func (v *View) waitChanged(ctx context.Context, in Incarnation, so func() bool) error {
	for {
		v.mu.Lock()
		if v.state.incarnation != in {
			v.mu.Unlock()
			return ErrIncarnation
		}
		if so() {
			v.mu.Unlock()
			return nil
		}
		if v.changed == nil {
			v.changed = make(chan struct{})
		}
		changed := v.changed
		v.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waitSeen waits until the view has seen the entry with number seq of incarnation in. It returns
// ErrIncarnation if the incarnation ends before.
func (v *View) waitSeen(ctx context.Context, in Incarnation, seq uint64) error {
	for {
		v.mu.Lock()
		over, seen := v.state.incarnation != in, v.seq >= seq
		if v.stirred == nil {
			v.stirred = make(chan struct{})
		}
		stirred := v.stirred
		v.mu.Unlock()
		switch {
		case over:
			return ErrIncarnation
		case seen:
			return nil
		}
		select {
		case <-stirred:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
