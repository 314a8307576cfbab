package rest

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// requestMemory is what the requests of all producers may hold together: bodies, and the records made of them.
type requestMemory struct {
	total int64
	wait  time.Duration // for a part of it
	sem   *semaphore.Weighted
	used  atomic.Int64
}

func newMemory(total int64, wait time.Duration) *requestMemory {
	return &requestMemory{total: total, wait: wait, sem: semaphore.NewWeighted(total)}
}

// share is one request's part of the memory. It grows before the request does, so that announcing a large body costs nothing.
type share struct {
	of   *requestMemory
	held int64
}

// grow takes n bytes more. Requests that wait for each other's memory are told to come again, so none waits for long.
func (s *share) grow(ctx context.Context, n int64) error {
	if !s.of.sem.TryAcquire(n) {
		waiting, cancel := context.WithTimeout(ctx, s.of.wait)
		defer cancel()
		if err := s.of.sem.Acquire(waiting, n); err != nil {
			p := busy("", "the requests of producers hold all the memory that there is for them, %d bytes (--http-memory); nothing was written", s.of.total)
			p.Limit = "RequestMemoryBytes"
			return p
		}
	}
	s.held += n
	s.of.used.Add(n)
	return nil
}

// shrink gives all but n bytes back.
func (s *share) shrink(n int64) {
	if free := s.held - n; free > 0 {
		s.held = n
		s.of.used.Add(-free)
		s.of.sem.Release(free)
	}
}
