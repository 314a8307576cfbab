package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestLatencies: quantiles are within 1 of 32 of what was counted.
func TestLatencies(t *testing.T) {
	var l latencies
	if l.quantile(0.5) != nil {
		t.Error("a quantile of nothing")
	}
	for micros := range 10_000 {
		l.add(time.Duration(micros+1) * time.Microsecond)
	}
	for q, want := range map[float64]float64{0: 0.001, 0.5: 5, 0.99: 9.9, 1: 10} {
		if got := float64(*l.quantile(q)); got < want*31/32 || got > want*33/32 {
			t.Errorf("quantile %v is %v ms, want %v", q, got, want)
		}
	}
	l.add(1 << 62)
	l.add(-1)
}

// TestLatencyBuckets: each value belongs to one bucket, in order.
func TestLatencyBuckets(t *testing.T) {
	for range 100_000 {
		v := rand.Uint64() >> rand.IntN(64)
		b := latencyBucket(v)
		if bucketBegin(b) > v || bucketBegin(b+1) <= v && bucketBegin(b+1) != 0 {
			t.Fatalf("%d is in bucket %d, from %d to %d", v, b, bucketBegin(b), bucketBegin(b+1))
		}
	}
}

// TestBenchValues: values have the size that was asked for.
func TestBenchValues(t *testing.T) {
	for _, size := range []int{leastBenchBytes, 100, 1024} {
		for _, payload := range []string{payloadText, payloadRandom} {
			for _, v := range benchValues(payload, size) {
				if len(v) != size {
					t.Fatalf("a value of %d bytes, want %d", len(v), size)
				}
			}
		}
	}
}
