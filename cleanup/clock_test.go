package cleanup_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// TestWrongClock tidies up on a node, and in a store, whose clocks are a day ahead of the
// coordinator's, or behind it: records are removed when they are old by the coordinator's clock,
// and segments deleted when nothing needs them any more, neither sooner nor later.
func TestWrongClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": 24 * time.Hour, "behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				right := func() time.Time { return time.Now().Add(-ahead) }
				bucket := memory.New()
				coord := embedded.New(embedded.Options{CommitDeadline: deadline, Clock: right})
				w := newWorldWith(t, bucket, 1, map[string]string{"retention.ms": "3600000"}, sharedCoordinator{coord})
				defer w.close()
				w.writers = right
				w.write(1000, 0)
				c := w.clean(nil)
				defer w.stop(c)

				time.Sleep(50 * time.Minute)
				if info, _ := w.node.View().Partition(w.part(0)); info.LogStart != 0 {
					t.Errorf("after 50 minutes the log starts at %d", info.LogStart)
				}
				w.same()
				time.Sleep(15 * time.Minute)
				if info, _ := w.node.View().Partition(w.part(0)); info.LogStart != 2 {
					t.Errorf("after 65 minutes the log starts at %d", info.LogStart)
				}
				time.Sleep(time.Hour)
				for object, err := range bucket.List(t.Context(), segments.Prefix, "") {
					t.Errorf("%s is left, %v", object.Key, err)
				}
			})
		})
	}
}

// TestCoordinatorsClockGoesBack lets the coordinator's clock go back by a day, as another Redis
// may: retention goes on from there.
func TestCoordinatorsClockGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var off atomic.Int64
		off.Store(int64(24 * time.Hour))
		clock := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		coord := embedded.New(embedded.Options{CommitDeadline: deadline, Clock: clock})
		w := newWorldWith(t, memory.New(), 1, map[string]string{"retention.ms": "3600000"}, sharedCoordinator{coord})
		defer w.close()
		w.writers = clock
		w.write(1000, 0)
		c := w.clean(nil)
		defer w.stop(c)
		time.Sleep(2 * time.Hour)
		if info, _ := w.node.View().Partition(w.part(0)); info.LogStart != 2 {
			t.Errorf("the log starts at %d", info.LogStart)
		}
		off.Store(0)
		w.write(1000, 0)
		time.Sleep(2 * time.Hour)
		if info, _ := w.node.View().Partition(w.part(0)); info.LogStart != 4 {
			t.Errorf("after the clock went back the log starts at %d", info.LogStart)
		}
	})
}
