package cleanup_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// sharedCoordinator is an embedded coordinator that several nodes use, as they use Redis.
type sharedCoordinator struct{ coordinator.Coordinator }

// A node that is cut off with the old coordinator does not hear of the incarnation in which the
// others go on. Its collector, to which their segments are garbage, deletes nothing: also when the
// old incarnation can still be loaded, because deleting its snapshot failed.
func TestCutOffNodeCollectsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := memory.New()
		cutOff := newWorldWith(t, bucket, 2, nil, sharedCoordinator{inMemory()})
		defer cutOff.close()
		cutOff.write(1000, 0, 1)
		// a merge would tell the node that its journal is sealed
		collector := cutOff.clean(func(o *cleanup.Options) { o.Interval = 24 * time.Hour })

		faults := storetest.NewFaults(bucket, storetest.Once(func(r storetest.Request) bool {
			return r.Op == storetest.Delete && strings.HasPrefix(r.Key, "snapshots/")
		}, storetest.Fault{Before: storetest.ErrInjected}))
		others := *cutOff
		others.store, others.coord = faults, sharedCoordinator{inMemory()}
		others.written, others.ends = maps.Clone(cutOff.written), maps.Clone(cutOff.ends)
		others.node = others.join()
		defer func() {
			if err := others.node.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		for range 5 {
			others.write(1000, 0, 1)
			time.Sleep(10 * time.Minute)
		}
		life, err := cutOff.node.Life(t.Context())
		if err != nil || life.Incarnation() != 1 {
			t.Fatalf("the node that is cut off has heard of the others: it lives in incarnation %d, %v", life.Incarnation(), err)
		}
		cutOff.stop(collector)
		others.same()
	})
}
