package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// misfortune strikes a sandbox after some steps.
type misfortune struct {
	steps int  // since the last
	kill  bool // the process is gone, in the middle of what it does
	lost  bool // the request under way is
	what  happening
}

// Functions that are frozen, killed and started anew, any number of times at any steps, while
// others write, recover and lose the coordinator: every key that was at last acknowledged is in the
// log once, where each acknowledgement said.
func TestDirectLives(t *testing.T) {
	outside := happenings()
	rapid.Check(t, func(r *rapid.T) {
		plan := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) misfortune {
			return misfortune{steps: rapid.IntRange(1, 30).Draw(r, "steps"), kill: rapid.Bool().Draw(r, "kill"),
				lost: rapid.Bool().Draw(r, "lost"),
				what: outside[rapid.IntRange(0, len(outside)-1).Draw(r, "what")]}
		}), 1, 8).Draw(r, "plan")
		ok := true
		t.Run("plan", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { writeThroughLives(t, plan) })
			ok = !t.Failed()
		})
		if !ok {
			r.Fatalf("%+v", plan)
		}
	})
}

// writeThroughLives writes some keys, each again and again until it is acknowledged, and once more.
func writeThroughLives(t *testing.T, plan []misfortune) {
	store, w := memory.New(), &world{embedded.New(embedded.Options{})}
	topic := newTopic(t, store, shared{w.Coordinator}, "a", 1, nil)
	var s *sandbox
	var d *ingest.Direct
	var ctx context.Context
	since := 0
	begin := func() {
		var kill context.CancelFunc
		ctx, kill = context.WithCancel(t.Context())
		t.Cleanup(kill)
		s = newSandbox(store, w)
		s.freeze = func(int) error {
			if ctx.Err() != nil {
				return errLost
			}
			if since++; len(plan) == 0 || since < plan[0].steps {
				return nil
			}
			now := plan[0]
			plan, since = plan[1:], 0
			now.what.do(t, w, store)
			time.Sleep(now.what.lasts)
			if now.kill {
				kill()
			}
			if now.kill || now.lost {
				return errLost
			}
			return nil
		}
		d = s.open(t)
	}
	begin()
	for i := range 6 {
		var acked []ingest.Written
		for len(acked) < 2 {
			key := fmt.Sprint("key ", i)
			written, err := d.Write(ctx, "a", values(key), ingest.IdempotencyKey(key))
			switch {
			case err == nil:
				acked = append(acked, written...)
			case ctx.Err() != nil:
				begin()
			case !errors.Is(err, ingest.ErrInDoubt) && !errors.Is(err, ingest.ErrNotWritten):
				t.Fatalf("%s: %v", key, err)
			}
		}
		if acked[0] != acked[1] {
			t.Errorf("key %d was acknowledged at %+v, then at %+v", i, acked[0], acked[1])
		}
		offsets := readAll(t, store, segments.Partition{Topic: topic})[fmt.Sprint("key ", i)]
		if len(offsets) != 1 || offsets[0] != acked[0].Offset {
			t.Errorf("key %d was acknowledged at %d, and is at %v", i, acked[0].Offset, offsets)
		}
	}
}
