package transactions

import (
	"context"
	"errors"
	"time"

	"firn.dev/coordinator"
	"firn.dev/retry"
)

// expiry is what the search for transactions whose time is over remembers.
type expiry struct {
	in     coordinator.Incarnation
	opened time.Time // when this node first saw that incarnation, by the coordinator's clock
	swept  time.Time // when ids were looked for that nobody uses
}

const (
	// abortsAtOnce bounds what one look brings under way.
	abortsAtOnce = 64
	// abortPatience is how long one abort may take before the next look tries it again.
	abortPatience = 30 * time.Second
	// sweepInterval is how often ids are looked for that nobody uses.
	sweepInterval = 10 * time.Minute
)

// expire looks for transactions whose time is over until the manager is closed.
func (m *Manager) expire() {
	for retry.Pause(m.ctx, m.opts.Interval) == nil {
		if m.view.TransactionalIDCount() == 0 {
			continue
		}
		if err := m.look(m.ctx); err != nil && m.ctx.Err() == nil {
			m.opts.Logger.Debug("transactions whose time is over are not looked for", "error", err)
		}
	}
}

// look aborts this node's transactions whose time is over, and those whose producer was fenced by
// somebody who is gone; now and then it forgets ids that nobody uses.
func (m *Manager) look(ctx context.Context) error {
	now, err := m.now(ctx)
	if err != nil {
		return err
	}
	sweep := now.Sub(m.expiry.swept) >= sweepInterval
	if sweep {
		m.expiry.swept = now
	}
	limit := make(chan struct{}, abortsAtOnce)
	mine := m.Mine()
	m.measure(mine, now)
	for _, t := range mine {
		work := m.dueOf(&t, now, sweep)
		if work == nil {
			continue
		}
		limit <- struct{}{}
		m.tasks.Go(func() {
			defer func() { <-limit }()
			ctx, cancel := context.WithTimeout(ctx, abortPatience)
			defer cancel()
			if err := work(ctx); err != nil && !errors.Is(err, coordinator.ErrTransactionState) &&
				m.ctx.Err() == nil {
				m.opts.Logger.Warn(
					"a transaction whose time is over is not ended yet, trying again",
					"transactional id",
					t.ID,
					"error",
					err,
				)
			}
		})
	}
	for range cap(limit) { // the next look begins when this one is over
		limit <- struct{}{}
	}
	return nil
}

// measure tells the metrics of this node's transactions.
func (m *Manager) measure(mine []coordinator.Transaction, now time.Time) {
	ongoing, oldest := 0, time.Duration(0)
	for i := range mine {
		if since := mine[i].Since(); since != 0 {
			ongoing++
			oldest = max(oldest, now.Sub(time.UnixMilli(since)))
		}
	}
	m.metrics.ongoing.Set(float64(ongoing))
	m.metrics.oldest.Set(oldest.Seconds())
}

// now is the time by the coordinator's clock. It notes since when the incarnation is known.
func (m *Manager) now(ctx context.Context) (time.Time, error) {
	life, err := m.opts.Node.Life(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now, err := m.opts.Node.CoordinatorTime(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if in := life.Incarnation(); in != m.expiry.in {
		m.expiry.in, m.expiry.opened = in, now
	}
	return now, nil
}

// dueOf says what is to be done about an id; nil if nothing is.
func (m *Manager) dueOf(t *coordinator.Transaction, now time.Time, sweep bool) func(ctx context.Context) error {
	since, timeout := t.Since(), time.Duration(t.TimeoutMillis)*time.Millisecond
	switch {
	case t.Aborting:
		return func(ctx context.Context) error { return m.abort(ctx, &t.TransactionalID) }
	case since != 0 && now.Sub(later(time.UnixMilli(since), m.expiry.opened)) > timeout:
		return func(ctx context.Context) error {
			_, _, err := m.fence(ctx, coordinator.Fence{ID: t.ID, NewProducerID: -1,
				Expired: &coordinator.Expired{Producer: producerOf(&t.TransactionalID), Ordinal: t.Ordinal}})
			if err == nil {
				m.metrics.expired.Inc()
				m.opts.Logger.Info(
					"aborted a transaction whose time was over",
					"transactional id",
					t.ID,
					"producer id",
					t.ProducerID,
					"since",
					time.UnixMilli(since).UTC(),
					"timeout",
					time.Duration(t.TimeoutMillis)*time.Millisecond,
				)
			}
			return err
		}
	case sweep && since == 0 && t.Complete && now.Sub(time.UnixMilli(t.Time)) > m.opts.Retention:
		return func(ctx context.Context) error {
			_, err := m.opts.Node.Change(
				ctx,
				coordinator.Change{Forget: &coordinator.ForgetTransactionalID{ID: t.ID, Version: t.Version}},
			)
			return err
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
