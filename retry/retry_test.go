package retry_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/retry"
)

func TestBackoff(t *testing.T) {
	b := retry.Backoff{First: 50 * time.Millisecond, Most: time.Second}
	for n, most := range map[int]time.Duration{
		0: 50 * time.Millisecond, 1: 100 * time.Millisecond, 4: 800 * time.Millisecond,
		5: time.Second, 31: time.Second, math.MaxInt: time.Second,
	} {
		for range 100 {
			if d := b.Wait(n); d < most/2 || d > most {
				t.Fatalf("retry %d waits %v, and %v to %v is right", n, d, most/2, most)
			}
		}
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := retry.Pause(t.Context(), time.Hour); err != nil || time.Since(start) != time.Hour {
			t.Errorf("a pause of an hour took %v: %v", time.Since(start), err)
		}
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		start = time.Now()
		if err := retry.Pause(ctx, time.Hour); err != why || time.Since(start) != time.Minute {
			t.Errorf("a pause whose context ended after a minute took %v: %v", time.Since(start), err)
		}
	})
}

func TestTold(t *testing.T) {
	told := 0
	for n := range 1000 {
		if retry.Told(n) {
			told++
		}
	}
	if !retry.Told(0) || told != 10 {
		t.Errorf("of 1000 retries %d are told", told)
	}
}
