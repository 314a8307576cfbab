package cleanup_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// Partitions that lie side by side in mixed segments are read together: a get for each segment, not
// for each partition's part of it.
func TestTogether(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault storetest.Fault
		gets  int // at most
	}{
		{"all is there", storetest.Fault{}, 60},
		{"a get fails", storetest.Fault{Before: errors.New("no answer")}, 700},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const parts, written = 12, 50
				w := newWorld(t, memory.New(), parts, nil)
				defer w.close()
				all := make([]int32, parts)
				for i := range all {
					all[i] = int32(i)
				}
				for range written {
					w.write(500, all...)
				}
				gets := 0
				faults := storetest.NewFaults(w.store, func(r storetest.Request) storetest.Fault {
					if r.Op != storetest.Get {
						return storetest.Fault{}
					}
					if gets++; gets == 20 {
						return test.fault
					}
					return storetest.Fault{}
				})
				time.Sleep(3 * time.Minute)
				c := w.clean(func(o *cleanup.Options) { o.Store, o.TargetBytes = faults, mib })
				time.Sleep(time.Minute)
				w.stop(c)
				w.same()
				for _, i := range all {
					if s := w.spans(i); len(s) != 1 || s[0].Version == 0 {
						t.Errorf("partition %d is %d spans", i, len(s))
					}
				}
				if gets < written || gets > test.gets {
					t.Errorf("%d gets for %d segments with %d partitions each", gets, written, parts)
				}
			})
		})
	}
}
