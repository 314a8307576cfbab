package cleanup_test

import (
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// Records go when they are old, or when there are too many, and what held them is collected.
func TestRetention(t *testing.T) {
	for name, test := range map[string]struct {
		configs     map[string]string
		least, most int // records that are left right after an hour of writing
	}{
		"by time": {map[string]string{"retention.ms": "1200000"}, 60, 75},
		"by size": {map[string]string{"retention.bytes": "30000"}, 60, 75},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, memory.New(), 1, test.configs)
				defer w.close()
				c := w.clean(nil)
				defer func() { w.stop(c) }()
				for range 60 * 3 {
					w.write(800, 0)
					time.Sleep(20 * time.Second)
				}
				info, _ := w.node.View().Partition(w.part(0))
				if n := int(info.HighWatermark-info.LogStart) / 2; n < test.least/2 || n > test.most {
					t.Errorf("%d batches are left, from offset %d on", n, info.LogStart)
				}
				w.same()
				time.Sleep(time.Hour)
				w.write(1, 0)
				time.Sleep(10 * time.Minute)
				w.audit(0)
			})
		})
	}
}

// A partition that is gone keeps the others' log starts from nothing.
func TestRetainBesideAPartitionThatIsGone(t *testing.T) {
	w := newWorld(t, memory.New(), 2, nil)
	defer w.close()
	w.write(100, 0, 1)
	gone := segments.Partition{Topic: segments.NewTopicID()}
	if err := cleanup.Retain(t.Context(), cleanup.Options{Node: w.node, Store: w.store},
		map[segments.Partition]int64{w.part(0): 2, gone: 1, w.part(1): 1}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{2, 1} {
		if info, _ := w.node.View().Partition(w.part(int32(i))); info.LogStart != want {
			t.Errorf("partition %d begins at %d, not %d", i, info.LogStart, want)
		}
	}
}

// However many spans expire, log starts do not move more often than Retain.
func TestRetainsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const retain = 12 * time.Second
		moves := 0
		w := newWorldWith(t, memory.New(), 2, map[string]string{"retention.ms": "60000"},
			&flaky{Coordinator: inMemory(), proposed: func(c coordinator.Change) error {
				if c.LogStart != nil {
					moves++
				}
				return nil
			}})
		defer w.close()
		c := w.clean(func(o *cleanup.Options) { o.Retain = retain })
		for range 600 {
			w.write(100, 0, 1)
			time.Sleep(time.Second)
		}
		w.stop(c)
		if moves < 30 || moves > 10*60/int(retain.Seconds()) {
			t.Errorf("log starts moved %d times in ten minutes, every %s at most", moves, retain)
		}
		w.same()
	})
}
