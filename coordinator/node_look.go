package coordinator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"firn.dev/segments"
)

// looks are those into the bucket for newer incarnations. They are made one after the other, and
// one answers all who asked before it began: so however many ask, the bucket is asked by one at a
// time.
type looks struct {
	turn chan struct{} // of one element: held by who looks

	mu   sync.Mutex
	next *look // answers who asks now
}

type look struct {
	done chan struct{} // closed when err is known
	err  error
}

// lookTime is how long one look may take.
const lookTime = 10 * time.Second

// Current returns once it is certain that what the coordinator said before the call was said in
// the newest incarnation. A node that still talks to a Redis that was given up gets answers there
// as well, and only the bucket knows better. It ends the life if there is a newer incarnation.
func (l *Life) Current(ctx context.Context) error {
	if l.ctx.Err() != nil {
		return l.over()
	}
	mine := l.looks.join()
	select {
	case <-mine.done:
		return mine.err
	case l.looks.turn <- struct{}{}:
		defer func() { <-l.looks.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-mine.done: // while this waited for its turn
		return mine.err
	default:
	}
	l.looks.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime) // the others wait for this look as well
	defer cancel()
	mine.err = l.check(stillNewest(ctx, l.node.opts.Store, l.incarnation))
	close(mine.done)
	return mine.err
}

// stillNewest fails with ErrIncarnation if the bucket knows a newer incarnation.
func stillNewest(ctx context.Context, store segments.Store, in Incarnation) error {
	newest, err := newestIncarnation(ctx, store, in)
	if err == nil && newest > in {
		err = fmt.Errorf("%w: the bucket is in %d, this life in %d", ErrIncarnation, newest, in)
	}
	return err
}

// join returns the look that has not begun yet.
func (k *looks) join() *look {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next == nil {
		k.next = &look{done: make(chan struct{})}
	}
	return k.next
}

// leave says that the look begins: who asks from now on needs another.
func (k *looks) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = nil
}
