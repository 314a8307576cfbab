package cleanup

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// TestPace has a writer put beside merges that disturb it as much as they are fast.
func TestPace(t *testing.T) {
	const usual = 10 * time.Millisecond
	for _, test := range []struct {
		name     string
		disturbs time.Duration // by so much, at the full rate
		least    float64       // of the full rate in the end
		most     float64
	}{
		{"undisturbed", 0, 0.9, 1},
		{"hardly disturbed", usual / 20, 0.9, 1},
		{"disturbed", usual, 0.02, 0.3},
		{"much disturbed", 20 * usual, 0.01, 0.04},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const full = 64 * mib
				pace := NewPace(full)
				random := rand.New(rand.NewPCG(1, 2))
				merging := false
				slow := storetest.NewFaults(memory.New(), func(storetest.Request) storetest.Fault {
					delay := usual/2 + time.Duration(random.Int64N(int64(usual)))
					pace.mu.Lock()
					if merging && pace.resting.Before(time.Now()) {
						delay += time.Duration(float64(test.disturbs) * pace.rate / full)
					}
					pace.mu.Unlock()
					return storetest.Fault{Delay: delay}
				})
				store := pace.Timed(slow)
				ctx, cancel := context.WithCancel(t.Context())
				var tasks sync.WaitGroup
				var mu sync.Mutex
				var sum time.Duration
				var n int
				tasks.Go(func() {
					for ctx.Err() == nil {
						begun := time.Now()
						err := store.Put(ctx, segments.NewID(begun).Key(), make([]byte, 1000))
						mu.Lock()
						if err == nil {
							sum, n = sum+time.Since(begun), n+1
						}
						mu.Unlock()
					}
				})
				time.Sleep(10 * time.Second)
				tasks.Go(func() {
					defer pace.begin()()
					for pace.wait(ctx, 256*kib) == nil {
					}
				})
				pace.mu.Lock()
				merging = true
				pace.mu.Unlock()
				time.Sleep(time.Minute)
				mu.Lock()
				sum, n = 0, 0
				mu.Unlock()
				time.Sleep(2 * time.Minute)
				rate := pace.Rate() / full
				cancel()
				tasks.Wait()
				took := sum / time.Duration(n)
				t.Logf("at %.3f of the full rate puts take %s", rate, took)
				if rate < test.least || rate > test.most {
					t.Errorf("merges go at %.3f of the full rate, should be at %.2f to %.2f", rate, test.least, test.most)
				}
				if limit := usual*12/10 + test.disturbs/paceSlowly; took > limit {
					t.Errorf("puts take %s, should take %s at most", took, limit)
				}
			})
		})
	}
}

// Without traffic merges go at the rate that they are given, and a wait ends with its context.
func TestPaceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := NewPace(mib)
		end := pace.begin()
		begun := time.Now()
		for range 64 {
			if err := pace.wait(t.Context(), mib); err != nil {
				t.Fatal(err)
			}
		}
		end()
		if took := time.Since(begun); took < 60*time.Second || took > 70*time.Second {
			t.Errorf("64 MiB at a MiB/s took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := pace.wait(ctx, 100*mib); err == nil {
			t.Error("a wait outlives its context")
		}
	})
}
