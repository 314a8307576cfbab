package rest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemoryIsServed: requests that all need more, and leave none, do not wait for each other: the older ones get what the younger ones give up, at once.
func TestMemoryIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := newMemory(100, time.Second)
		began := time.Now()
		done := make([]bool, 10)
		shares := make([]*share, len(done))
		for i := range shares {
			shares[i] = &share{of: memory}
			if err := shares[i].grow(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		}
		var working sync.WaitGroup
		for i, s := range shares {
			working.Go(func() {
				defer s.shrink(0)
				done[i] = s.grow(t.Context(), 30) == nil
			})
		}
		working.Wait()
		if slices.Contains(done[:5], false) || !slices.Contains(done, false) { // only the sixth that waits has to give up, and all cannot be served
			t.Errorf("served are %v", done)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the requests waited for %v", took)
		}
		if memory.used.Load() != 0 || memory.parked != 0 || len(memory.waiting) != 0 {
			t.Errorf("left are %d bytes, of which %d wait", memory.used.Load(), memory.parked)
		}
	})
}

// TestMemoryIsBounded: whatever requests take, wait for, give up and give back, together they never hold more than there is, and nothing is left in the end.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 1000
		memory := newMemory(total, 20*time.Millisecond)
		var working sync.WaitGroup
		var served, refused int
		var mu sync.Mutex
		for range 200 {
			working.Go(func() {
				for range 20 {
					s := &share{of: memory}
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(40))*time.Millisecond)
					var err error
					for n := int64(1 + rand.IntN(20)); s.held < 300 && err == nil; n *= 3 {
						err = s.grow(ctx, n)
						if used := memory.used.Load(); used > total {
							t.Errorf("%d are held of %d", used, total)
						}
						time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
					}
					s.shrink(int64(rand.IntN(10)))
					s.shrink(0)
					cancel()
					mu.Lock()
					if err == nil {
						served++
					} else {
						refused++
					}
					mu.Unlock()
				}
			})
		}
		working.Wait()
		if served == 0 || refused == 0 || memory.used.Load() != 0 || memory.parked != 0 || len(memory.waiting) != 0 {
			t.Errorf("%d were served, %d refused; left are %d bytes, of which %d wait", served, refused, memory.used.Load(), memory.parked)
		}
	})
}
