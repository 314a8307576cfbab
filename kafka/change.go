package kafka

import (
	"context"
	"time"
)

// How long a change may take when its request does not say or says more than is sensible.
const (
	defaultChangeTimeout = 30 * time.Second
	maxChangeTimeout     = 5 * time.Minute
)

// withTimeout bounds ctx by the timeout of a request. Requests that have none carry 0 or less.
func withTimeout(ctx context.Context, millis int32) (context.Context, context.CancelFunc) {
	timeout := time.Duration(millis) * time.Millisecond
	if timeout <= 0 {
		timeout = defaultChangeTimeout
	}
	return context.WithTimeout(ctx, min(timeout, maxChangeTimeout))
}
