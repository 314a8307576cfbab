package cleanup

import (
	"testing"
	"testing/synctest"
	"time"

	"firn/segments/memory"
)

// Small mixed segments become few merged ones, what they held stays as it was, and they are collected.
func TestMergesAndCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 3, nil)
		defer w.close()
		c := w.clean(func(o *Options) { o.TargetBytes = mib })
		defer func() { w.stop(c) }()
		for range 200 {
			w.write(3000, 0, 1)
			w.write(300, 1, 2)
			time.Sleep(time.Second)
		}
		if n := len(w.spans(0)); n > 150 {
			t.Errorf("%d spans while all is written: nothing was merged yet", n)
		}
		w.same()
		time.Sleep(15 * time.Minute)
		for i := range int32(3) {
			merged := 0
			for _, s := range w.spans(i) {
				if s.Version > 0 {
					merged++
				}
			}
			if n := len(w.spans(i)); n > 40 || merged < n {
				t.Errorf("partition %d is %d spans, %d of them merged", i, n, merged)
			}
		}
		w.same()
		time.Sleep(30 * time.Minute)
		w.write(10, 0) // the store's clock is told by objects
		time.Sleep(2 * time.Minute)
		w.same()
		w.audit(0)
	})
}
