package segments_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
)

const slowPut = 100 * time.Millisecond

// experienced has seen puts of a size, each of which took as long as the slowest that is usual.
func experienced(size int64) *segments.Slowness {
	s := segments.NewSlowness(segments.SlowPuts)
	for range segments.SlownessEnough {
		s.Begin(size)
		s.Add(size, slowPut)
	}
	return s
}

// TestSlowOfASizeThatIsRare: nothing is known of a size, but larger ones take no longer.
func TestSlowOfASizeThatIsRare(t *testing.T) {
	s := experienced(1 << 20)
	for size, want := range map[int64]time.Duration{1 << 20: slowPut, 1: slowPut, 8 << 20: 0, -1: 0} {
		if got := s.Begin(size); got != want {
			t.Errorf("%d bytes are slow after %v, want %v", size, got, want)
		}
	}
}

// TestTwice: the first answer that decides counts, whichever attempt it is of.
func TestTwice(t *testing.T) {
	final, passing := errors.New("final"), errors.New("passing")
	type answer struct {
		after time.Duration // never, if it is 0
		err   error
	}
	const soon, late = slowPut / 2, 2 * slowPut
	for name, test := range map[string]struct {
		first, second answer
		took          time.Duration
		want          error
	}{
		"the first is fast":                {answer{soon, nil}, answer{}, soon, nil},
		"the first fails fast":             {answer{soon, passing}, answer{}, soon, passing},
		"the first hangs":                  {answer{}, answer{soon, nil}, slowPut + soon, nil},
		"the first is late":                {answer{late, nil}, answer{}, late, nil},
		"the second finds it done":         {answer{}, answer{soon, final}, slowPut + soon, final},
		"the second fails":                 {answer{late, nil}, answer{soon, passing}, late, nil},
		"the first fails, slowly":          {answer{late, passing}, answer{late, nil}, slowPut + late, nil},
		"both fail":                        {answer{late, passing}, answer{late, passing}, slowPut + late, passing},
		"the first fails for good, slowly": {answer{late, final}, answer{}, late, final},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := []answer{test.first, test.second}
				attempt := func(ctx context.Context) <-chan error {
					a, result := answers[0], make(chan error, 1)
					answers = answers[1:]
					go func() {
						if a.after == 0 {
							<-ctx.Done()
							a.err = ctx.Err()
						} else {
							time.Sleep(a.after)
						}
						result <- a.err
					}()
					return result
				}
				begun, again := time.Now(), 0
				ends := func(err error) bool { return err == final }
				err := experienced(1).Twice(t.Context(), 1, attempt, ends, func() { again++ })
				if took := time.Since(begun); err != test.want || took != test.took || again != 1-len(answers) {
					t.Errorf("%v after %v, %d second attempts; want %v after %v", err, took, again, test.want, test.took)
				}
			})
		})
	}
}
