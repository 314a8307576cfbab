package coordinator

import (
	"sync"
	"time"
)

// passedClock keeps a time that another clock has certainly passed: the newest time that it was
// seen to stamp, plus the time since then on this node's monotonic clock. So time passes also while
// nobody writes, and this node's own wall clock does not matter.
type passedClock struct {
	mu    sync.Mutex
	stamp time.Time
	at    time.Time // when that stamp was seen, by the monotonic clock
}

// drift is the part of a time by which two clocks differ that measure it, at the most.
const drift = 100

// passed takes in the newest stamp that is to be seen now, and returns what the clock has passed.
func (c *passedClock) passed(newest time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.at.IsZero() {
		gone := now.Sub(c.at)
		if least := c.stamp.Add(gone - gone/drift); least.After(newest) {
			return least
		}
	}
	if !newest.IsZero() {
		c.stamp, c.at = newest, now
	}
	return newest
}
