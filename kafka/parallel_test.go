package kafka

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestInParallelIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10 * maxParallel
		var calls, now, most atomic.Int32
		did := make([]bool, n)
		inParallel(n, func(i int) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			calls.Add(1)
			did[i] = true
		})
		for i, done := range did {
			if !done {
				t.Errorf("%d was not done", i)
			}
		}
		if calls.Load() != n || most.Load() != maxParallel {
			t.Errorf("%d calls, %d at once", calls.Load(), most.Load())
		}
	})
	inParallel(0, func(int) { t.Error("called for nothing") })
}

func TestInParallelPanicsWhereItWasCalled(t *testing.T) {
	defer func() {
		if p := recover(); p != "three" {
			t.Errorf("recovered %v", p)
		}
	}()
	inParallel(10*maxParallel, func(i int) {
		if i == 3 {
			panic("three")
		}
	})
	t.Error("did not panic")
}
