package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"firn.dev/retry"
	"firn.dev/segments"
)

// errTaken says that another object lies where a segment was to go. Ids are random, so this is a
// broken store or a broken clock and random source, and nothing to try again.
var errTaken = errors.New("another object lies under the segment's key")

const (
	// attemptTimeout is how long one attempt may take before the next is made: a connection that says
	// nothing more must not use up all of the time that a segment has.
	attemptTimeout = 15 * time.Second
)

// backoff is between attempts at what a segment needs.
var backoff = retry.Backoff{First: 50 * time.Millisecond, Most: 500 * time.Millisecond}

// uploader puts segments, patiently.
type uploader struct {
	objects segments.Store
	budget  *putBudget
	metrics *metrics
	logger  *slog.Logger
	slow    *segments.Slowness
}

func newUploader(objects segments.Store, slow *segments.Slowness, budget *putBudget, m *metrics,
	logger *slog.Logger) *uploader {
	return &uploader{objects: objects, slow: slow, budget: budget, metrics: m, logger: logger}
}

// put stores the segment's object, trying until ctx ends. Attempts that are still running when it
// returns belong to running.
func (u *uploader) put(ctx context.Context, running *sync.WaitGroup, s *segment) error {
	var last error
	for n := 0; ; n++ {
		err := u.round(ctx, running, s)
		if err == nil || errors.Is(err, errTaken) {
			return err
		}
		if ctx.Err() == nil {
			last = err
			u.metrics.putRetries.Inc()
			if retry.Told(n) {
				u.logger.Warn("putting a segment failed, trying again", "segment", s.id, "attempt", n+1, "error", err)
			}
			u.budget.spend(1, time.Now())
		}
		if ended := backoff.Pause(ctx, n); ended != nil {
			return gaveUp(ended, last)
		}
	}
}

// gaveUp says why no further attempt was made, and what the last one had come to, if there was one.
func gaveUp(cause, last error) error {
	if last == nil {
		return cause
	}
	return fmt.Errorf("%w, after: %w", cause, last)
}

// round makes one attempt, and a second beside it if the first is slow.
func (u *uploader) round(ctx context.Context, running *sync.WaitGroup, s *segment) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	attempt := func(ctx context.Context) <-chan error {
		result := make(chan error, 1)
		s.readers.Add(1)
		key, body := s.id.Key(), s.object
		running.Go(func() {
			err := u.attempt(ctx, key, body)
			s.readers.Add(-1)
			result <- err
		})
		return result
	}
	final := func(err error) bool { return errors.Is(err, errTaken) }
	return u.slow.Twice(ctx, int64(len(s.object)), attempt, final, u.metrics.hedges.Inc)
}

// attempt is one put. An object that is there already is ours if it holds our bytes: an earlier
// attempt has stored it and its answer was lost.
func (u *uploader) attempt(ctx context.Context, key string, body []byte) error {
	err := u.objects.Put(ctx, key, body)
	if !errors.Is(err, segments.ErrExists) {
		return err
	}
	there, err := u.objects.Get(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("comparing with what is there already: %w", err)
	}
	if !bytes.Equal(there, body) {
		return fmt.Errorf("%w: %s", errTaken, key)
	}
	return nil
}
