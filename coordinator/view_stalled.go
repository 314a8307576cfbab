package coordinator

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Stalled waits until decided facts have awaited their confirmation for longer than age, and
// returns those, oldest first. It runs no timer while nothing awaits confirmation.
func (v *View) Stalled(ctx context.Context, age time.Duration) ([]Entry, error) {
	for {
		stalled, wait, stirred := v.stalled(age, time.Now())
		if len(stalled) > 0 {
			return stalled, nil
		}
		var ripe <-chan time.Time
		if wait > 0 {
			ripe = time.After(wait)
		}
		select {
		case <-ripe:
		case <-stirred:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// stalled returns the facts that have waited for longer than age. If there are none it returns
// how long until the oldest has, or, if nothing waits at all, the channel that is closed when
// a fact begins to.
func (v *View) stalled(age time.Duration, now time.Time) (
	stalled []Entry, wait time.Duration, stirred <-chan struct{},
) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range v.pending {
		left := a.since.Add(age).Sub(now)
		switch {
		case left < 0:
			stalled = append(stalled, a.entry)
		case wait == 0 || left < wait:
			wait = left + 1
		}
	}
	if len(v.pending) == 0 {
		if v.stirred == nil {
			v.stirred = make(chan struct{})
		}
		return nil, 0, v.stirred
	}
	slices.SortFunc(stalled, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return stalled, wait, nil
}

// stir tells who waits in Stalled or waitSeen that an entry has come.
func (v *View) stir() {
	if v.stirred != nil {
		close(v.stirred)
		v.stirred = nil
	}
}
