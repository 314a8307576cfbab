package kafka

import (
	"runtime"
	"sync"
)

// maxParallel is how many parts of one request are worked on at once: enough for changes to share a
// journal object and for reads of the bucket to overlap, few enough for one request to leave room
// for others.
const maxParallel = 32

// inParallel calls do for 0 to n-1, a bounded number at a time, and returns when all calls have. A
// panic in one of them is the caller's.
func inParallel(n int, do func(i int)) { spread(n, maxParallel, do) }

// onAllCores is inParallel for what only computes.
func onAllCores(n int, do func(i int)) { spread(n, runtime.GOMAXPROCS(0), do) }

func spread(n, workers int, do func(i int)) {
	if n == 1 {
		do(0)
		return
	}
	var wg sync.WaitGroup
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	panics := make(chan any, workers)
	for range min(n, workers) {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panics <- p
				}
			}()
			for i := range next {
				do(i)
			}
		})
	}
	wg.Wait()
	select {
	case p := <-panics:
		panic(p)
	default:
	}
}
