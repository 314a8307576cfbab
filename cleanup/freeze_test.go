package cleanup_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator/coordinatortest"
	"firn.dev/segments/memory"
)

// TestFrozenCleaner freezes a node for shorter and longer than the lease of its cleaner, before its
// first merge, while it merges, and while it collects. When it goes on, all records are there,
// small segments are merged, and what nothing needs is collected: nobody waits for a right for ever
// that was lost meanwhile.
func TestFrozenCleaner(t *testing.T) {
	for _, length := range coordinatortest.Freezes {
		for _, after := range []time.Duration{0, 3 * time.Second, 20 * time.Second, 3 * time.Minute} {
			t.Run(fmt.Sprintf("%v, after %v", length, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { freezeCleaner(t, length, after) })
			})
		}
	}
}

func freezeCleaner(t *testing.T, length, after time.Duration) {
	process := &coordinatortest.Frozen{Coordinator: inMemory()}
	w := newWorldWith(t, memory.New(), 2, nil, process)
	defer w.close()
	for range 30 {
		w.write(500, 0, 1)
	}
	time.Sleep(3 * time.Minute) // until they are old enough to be merged
	c := w.clean(func(o *cleanup.Options) { o.TargetBytes = mib })
	time.Sleep(after)
	process.Freeze(length)
	time.Sleep(length + time.Minute)
	for range 30 { // it does not rest on what it did before
		w.write(500, 0, 1)
	}
	time.Sleep(30 * time.Minute)
	w.stop(c)
	w.same()
	for i := range int32(2) {
		if s := w.spans(i); len(s) > 2 {
			t.Errorf("partition %d is %d spans half an hour after the stop", i, len(s))
		}
	}
	w.audit(0)
}

// TestFrozenRetention freezes a node while it removes old records and writes on. When it goes on,
// old records go as before.
func TestFrozenRetention(t *testing.T) {
	for _, length := range coordinatortest.Freezes {
		for _, after := range []time.Duration{9 * time.Second, 3 * time.Minute} {
			t.Run(fmt.Sprintf("%v, after %v", length, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { freezeRetention(t, length, after) })
			})
		}
	}
}

func freezeRetention(t *testing.T, length, after time.Duration) {
	process := &coordinatortest.Frozen{Coordinator: inMemory()}
	w := newWorldWith(t, memory.New(), 1, map[string]string{"retention.ms": "600000"}, process)
	defer w.close()
	for range 30 {
		w.write(500, 0)
	}
	time.Sleep(10*time.Minute - 10*time.Second) // they expire ten seconds after the cleaner begins
	c := w.clean(nil)
	time.Sleep(after)
	process.Freeze(length)
	time.Sleep(length + time.Minute)
	for range 30 {
		w.write(500, 0)
	}
	time.Sleep(40 * time.Minute)
	w.stop(c)
	info, _ := w.node.View().Partition(w.part(0))
	if info.LogStart != info.HighWatermark {
		t.Errorf("half an hour after all is old, offsets %d to %d are left", info.LogStart, info.HighWatermark)
	}
	w.same()
	w.audit(0)
}
