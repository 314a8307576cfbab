package embedded

import (
	"context"
	"time"

	"firn.dev/coordinator"
)

// recovering is the newest recovery that said that it lives, and until when that is believed.
type recovering struct {
	in    coordinator.Incarnation
	until time.Time
}

// AnnounceRecovery implements coordinator.Recoveries.
func (e *Coordinator) AnnounceRecovery(_ context.Context, in coordinator.Incarnation, ttl time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.opts.Clock()
	if in >= e.recovering.in || !now.Before(e.recovering.until) {
		e.recovering = recovering{in, now.Add(ttl)}
	}
	return nil
}

// AnnouncedRecovery implements coordinator.Recoveries.
func (e *Coordinator) AnnouncedRecovery(context.Context) (coordinator.Incarnation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.opts.Clock().Before(e.recovering.until) {
		return 0, nil
	}
	return e.recovering.in, nil
}
