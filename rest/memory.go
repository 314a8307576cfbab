package rest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// requestMemory is what the requests of all producers may hold together: bodies, and the records made of them.
//
// Requests need more while they hold some already, so they could all come to wait for each other. Therefore the oldest is served first, and those that wait hold half of the
// memory at most: the youngest of them are told to come again, so that there is always room for some to be finished.
type requestMemory struct {
	total int64
	wait  time.Duration // for a part of it
	used  atomic.Int64  // changed under mu

	mu      sync.Mutex
	count   uint64    // of the requests so far
	waiting []*waiter // the oldest request first
	parked  int64     // what these hold
}

// share is one request's part of the memory. It grows before the request does, so that announcing a large body costs nothing. It is used by one goroutine.
type share struct {
	of   *requestMemory
	held int64
	age  uint64 // the number of the request, from its first growth on
}

// waiter is a request that waits for more memory.
type waiter struct {
	share *share
	need  int64
	told  chan bool // of one element: whether it has the memory now, or has to give up
}

func newMemory(total int64, wait time.Duration) *requestMemory {
	return &requestMemory{total: total, wait: wait}
}

// grow takes n bytes more, or fails when there is no room for them for too long.
func (s *share) grow(ctx context.Context, n int64) error {
	m := s.of
	m.mu.Lock()
	if s.age == 0 {
		m.count++
		s.age = m.count
	}
	if !m.waits(s.age) && m.fits(n) {
		m.give(s, n)
		m.mu.Unlock()
		return nil
	}
	w := &waiter{share: s, need: n, told: make(chan bool, 1)}
	m.park(w)
	m.serve()
	m.mu.Unlock()

	timeout := time.NewTimer(m.wait)
	defer timeout.Stop()
	select {
	case given := <-w.told:
		if given {
			return nil
		}
	case <-timeout.C:
		if m.leave(w) {
			return nil
		}
	case <-ctx.Done():
		if m.leave(w) {
			return nil
		}
	}
	p := busy("", "the requests of producers hold all the memory that there is for them, %d bytes (--http-memory); nothing was written", m.total)
	p.Limit = "RequestMemoryBytes"
	return p
}

// shrink gives all but n bytes back.
func (s *share) shrink(n int64) {
	free := s.held - n
	if free <= 0 {
		return
	}
	m := s.of
	m.mu.Lock()
	defer m.mu.Unlock()
	s.held = n
	m.used.Add(-free)
	m.serve()
}

func (m *requestMemory) fits(n int64) bool { return m.used.Load()+n <= m.total }

// waits says whether a request that is older than this one waits.
func (m *requestMemory) waits(age uint64) bool {
	return len(m.waiting) > 0 && m.waiting[0].share.age < age
}

func (m *requestMemory) give(s *share, n int64) {
	s.held += n
	m.used.Add(n)
}

// park lets a request wait, behind the older ones.
func (m *requestMemory) park(w *waiter) {
	at, _ := slices.BinarySearchFunc(m.waiting, w.share.age, byAge)
	m.waiting = slices.Insert(m.waiting, at, w)
	m.parked += w.share.held
}

func byAge(w *waiter, age uint64) int {
	switch {
	case w.share.age < age:
		return -1
	case w.share.age > age:
		return 1
	}
	return 0
}

// unpark ends a request's waiting.
func (m *requestMemory) unpark(at int) *waiter {
	w := m.waiting[at]
	m.waiting = slices.Delete(m.waiting, at, at+1)
	m.parked -= w.share.held
	return w
}

// serve gives the oldest what they need while there is room, and has the youngest give up while those that wait hold too much.
func (m *requestMemory) serve() {
	for len(m.waiting) > 0 && m.fits(m.waiting[0].need) {
		w := m.unpark(0)
		m.give(w.share, w.need)
		w.told <- true
	}
	for i := len(m.waiting) - 1; i > 0 && m.parked > m.total/2; i-- {
		if m.waiting[i].share.held > 0 {
			m.unpark(i).told <- false
		}
	}
}

// leave ends the waiting of a request that has waited for too long. It may have been given what it waited for at that very moment.
func (m *requestMemory) leave(w *waiter) (given bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, waits := slices.BinarySearchFunc(m.waiting, w.share.age, byAge); waits {
		m.unpark(at)
		m.serve()
		return false
	}
	return <-w.told
}
