package cleanup_test

import (
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/segments/memory"
)

// Small mixed segments become few merged ones, what they held stays as it was, and they are
// collected.
func TestMergesAndCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 3, nil)
		defer w.close()
		c := w.clean(func(o *cleanup.Options) { o.TargetBytes = mib })
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

// A node whose clock is ahead takes segments for old that may still be committed again. They are
// not merged before they are old by the coordinator's clock.
func TestClockAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 1, nil)
		right := w.node
		w.clock = func() time.Time { return time.Now().Add(deadline * 9 / 10) }
		w.node = w.join()
		if err := right.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer w.close()
		c := w.clean(func(o *cleanup.Options) { o.TargetBytes, o.Stale = mib, deadline })
		defer func() { w.stop(c) }()
		const written = 20
		for range written {
			w.write(3000, 0)
		}
		time.Sleep(deadline - time.Second)
		if n := len(w.spans(0)); n != written {
			t.Errorf("%d segments that may be committed again have become %d spans", written, n)
		}
		time.Sleep(2 * deadline)
		if n := len(w.spans(0)); n == written {
			t.Error("nothing was ever merged")
		}
		w.same()
	})
}

// Old merged spans become one that stands for them, and go with it when they expire, one by one.
func TestArchives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 1, map[string]string{"retention.ms": "7200000"})
		defer w.close()
		c := w.clean(func(o *cleanup.Options) {
			o.TargetBytes, o.ArchiveBatch, o.ArchiveKeep, o.Interval, o.Grace = 64*kib, 4, 10, 20*time.Second, 10*time.Minute
		})
		defer func() { w.stop(c) }()
		listed := func() (n int) {
			for _, s := range w.spans(0) {
				n += int(s.Listed)
			}
			return n
		}
		for range 4 * 60 * 3 {
			w.write(20_000, 0)
			time.Sleep(20 * time.Second)
		}
		if n := len(w.spans(0)); listed() < 40 || n > 60 {
			t.Errorf("%d spans, of which some stand for %d", n, listed())
		}
		info, _ := w.node.View().Partition(w.part(0))
		if gone := info.LogStart / 2; gone < 5*60 || gone > 6*60 {
			t.Errorf("%d batches are gone, of 720 in 4 hours, of which 2 are kept", gone)
		}
		w.same()
		time.Sleep(3 * time.Hour)
		if n := len(w.spans(0)); n > 0 {
			t.Errorf("%d spans are left", n)
		}
		w.write(1, 0)
		time.Sleep(time.Minute)
		w.write(1, 0) // the store's clock is told by objects
		time.Sleep(30 * time.Minute)
		w.same()
		report, err := coordinator.Audit(t.Context(), w.store,
			coordinator.AuditOptions{CommitDeadline: deadline, Grace: 10 * time.Minute})
		if err != nil || len(report.Leaked)+len(report.Missing) > 0 {
			t.Errorf("leaked %v, missing %v, %v", report.Leaked, report.Missing, err)
		}
	})
}

// Retention by size keeps what it has to also while the log starts within an index object, which
// the view counts whole.
func TestArchivesBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, kept = 20_000, 300
		w := newWorld(t, memory.New(), 1, map[string]string{"retention.bytes": strconv.Itoa((size + 200) * kept)})
		defer w.close()
		c := w.clean(func(o *cleanup.Options) {
			o.TargetBytes, o.ArchiveBatch, o.ArchiveKeep, o.Interval, o.Grace = 64*kib, 16, 10, 20*time.Second, 10*time.Minute
		})
		defer func() { w.stop(c) }()
		least, most, archived := math.MaxInt, 0, false
		for i := range 4 * kept {
			w.write(size, 0)
			time.Sleep(20 * time.Second)
			if i < 2*kept {
				continue
			}
			info, _ := w.node.View().Partition(w.part(0))
			left := int(info.HighWatermark-info.LogStart) / 2
			least, most = min(least, left), max(most, left)
			head := w.node.View().Spans(w.part(0), info.LogStart, 1)[0]
			archived = archived || head.Listed > 0 && head.Base < info.LogStart
		}
		if least < kept || most > kept+40 || !archived {
			t.Errorf("%d to %d batches were left, %d have to be; the log started within an index object: %v", least, most, kept,
				archived)
		}
		w.same()
	})
}
