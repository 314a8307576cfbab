package coordinator

import (
	"testing"
	"testing/synctest"
	"time"
)

// The store's clock goes on where nobody writes, a little more slowly than ours, from wherever it
// is; and never back.
func TestStoreClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c passedClock
		if now := c.passed(time.Time{}); !now.IsZero() {
			t.Errorf("an empty bucket's clock says %s", now)
		}
		time.Sleep(time.Hour)
		behind := time.Now().Add(-5 * time.Hour) // the store's clock is
		if now := c.passed(behind); !now.Equal(behind) {
			t.Errorf("first seen: %s", now)
		}
		time.Sleep(100 * time.Minute)
		if now := c.passed(behind); !now.Equal(behind.Add(99 * time.Minute)) {
			t.Errorf("after 100 minutes it went on by %s", now.Sub(behind))
		}
		if now := c.passed(behind.Add(10 * time.Minute)); !now.Equal(behind.Add(99 * time.Minute)) {
			t.Errorf("the newest objects are gone, and it went back by %s", behind.Add(99*time.Minute).Sub(now))
		}
		ahead := behind.Add(100 * time.Minute)
		if now := c.passed(ahead); !now.Equal(ahead) {
			t.Errorf("a newer object has %s, it says %s", ahead, now)
		}
		time.Sleep(time.Minute)
		if now := c.passed(ahead); !now.Equal(ahead.Add(59400 * time.Millisecond)) {
			t.Errorf("a minute later: %s", now.Sub(ahead))
		}
	})
}
