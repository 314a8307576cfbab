package main

import (
	"math/bits"
	"sync"
	"time"
)

// latencies counts how long things took, in memory of a fixed size: to within 1 of 32, from
// microseconds on.
type latencies struct {
	mu     sync.Mutex
	counts [64 << latencyBits]int64
	total  int64
}

const latencyBits = 5 // of a time in microseconds that are kept, behind the highest

func (l *latencies) add(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[latencyBucket(uint64(max(took.Microseconds(), 0)))]++
	l.total++
}

// latencyBucket is the number of the bucket that a value belongs to.
func latencyBucket(v uint64) int {
	shift := max(bits.Len64(v)-1-latencyBits, 0)
	return shift<<latencyBits + int(v>>shift)
}

// bucketBegin is the smallest value of a bucket.
func bucketBegin(bucket int) uint64 {
	shift := max(bucket>>latencyBits-1, 0)
	return uint64(bucket-shift<<latencyBits) << shift
}

// quantile is how long so large a part took at most, about; nil if nothing was counted.
func (l *latencies) quantile(q float64) *millis {
	l.mu.Lock()
	defer l.mu.Unlock()
	rank, seen := int64(q*float64(l.total)), int64(0)
	for bucket, n := range l.counts {
		if seen += n; seen > rank || n > 0 && seen == l.total {
			middle := float64(bucketBegin(bucket)+bucketBegin(bucket+1)-1) / 2
			return new(millis(middle / 1000))
		}
	}
	return nil
}
