// Package retry paces attempts: a pause that ends with its context, and how long to wait before the
// next attempt.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pause waits for d. It returns early, with the cause, if the context ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Backoff is a wait that doubles with each attempt up to a limit. Half of it is left to chance, so
// that callers that failed together do not come back together.
type Backoff struct{ First, Most time.Duration }

// Wait is how long to wait before retry number n, counted from 0.
func (b Backoff) Wait(n int) time.Duration {
	d := b.Most
	if n < 32 && b.First < b.Most>>n {
		d = b.First << n
	}
	return d/2 + rand.N(d/2+1)
}

// Told says whether retry number n, counted from 0, is worth a line in the log: the first few are,
// then fewer and fewer.
func Told(n int) bool { return n&(n+1) == 0 }

// Pause waits before retry number n, as the function Pause does.
func (b Backoff) Pause(ctx context.Context, n int) error { return Pause(ctx, b.Wait(n)) }
