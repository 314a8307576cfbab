package coordinator

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"firn.dev/retry"
	"firn.dev/segments"
)

// A recovery says each announceEvery that it lives, and is believed for announceFor. While it is,
// and for leaveAlone after that, nobody begins another. One that gets no further for nowhere says
// nothing more.
const (
	announceEvery = 500 * time.Millisecond
	announceFor   = 2 * time.Second
	leaveAlone    = 2 * announceEvery
	nowhere       = time.Minute
)

// announcement says that a recovery lives.
type announcement struct {
	steps atomic.Int64 // of the recovery
	stop  func()
}

// begin says that the recovery lives that began an incarnation, until the announcement is stopped.
func (a *announcement) begin(ctx context.Context, b *beginning, in Incarnation) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		steps, since, failed := a.steps.Load(), time.Now(), false
		for {
			if now := a.steps.Load(); now != steps {
				steps, since = now, time.Now()
			}
			if time.Since(since) < nowhere {
				err := b.coordinator.AnnounceRecovery(ctx, in, announceFor)
				if err != nil && ctx.Err() == nil && !failed {
					failed = true
					b.logger.Warn("the other processes cannot be told that this recovery goes on, and may begin another",
						"incarnation", in, "error", err)
				}
			}
			if retry.Pause(ctx, announceEvery) != nil {
				return
			}
		}
	}()
	a.stop = func() {
		cancel()
		<-ended
	}
}

// watched is the bucket of a recovery: each of its calls that ends is a step.
type watched struct {
	segments.Store
	steps *atomic.Int64
}

func (w watched) Put(ctx context.Context, key string, body []byte) error {
	defer w.steps.Add(1)
	return w.Store.Put(ctx, key, body)
}

func (w watched) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	defer w.steps.Add(1)
	return w.Store.Get(ctx, key, offset, length)
}

func (w watched) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		for object, err := range w.Store.List(ctx, prefix, after) {
			w.steps.Add(1)
			if !yield(object, err) {
				return
			}
		}
	}
}
