package cleanup_test

import (
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/segments/batch"
)

// TestCompactArchived compacts a topic whose spans lie in index objects, from the time when it was
// not compacted.
func TestCompactArchived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, 1, map[string]string{"cleanup.policy": "delete"},
			func(o *cleanup.Options) { o.MapBytes = 2 << 10 })
		defer h.close()
		for range 6 {
			for range 3 {
				h.append(h.some(40, true), h.some(40, true))
			}
			time.Sleep(2 * deadline)
			all, after := h.node.View().Plan(h.at, 0, 1<<20)
			h.attempt(-1, all[len(all)-3:], after)
		}
		life, err := h.node.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hold, err := life.Hold(t.Context(), cleanup.LeaseOf(h.at), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			some, err := h.node.Archive(t.Context(), hold.Lease, h.at, coordinator.ArchiveOptions{Batch: 2, Keep: 1})
			if err != nil || !some {
				t.Fatal(some, err)
			}
		}
		if err := hold.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all := h.spans(0); len(all) != 4 || all[0].Listed != 2 || all[1].Listed != 2 {
			t.Fatalf("%+v", all)
		}
		h.check()
		h.configure(map[string]string{"cleanup.policy": "compact"})
		h.compact(3)
		h.check()
		for h.compact(-1) < int64(len(h.records))-1 {
			h.check()
		}
		h.checkClean(int64(len(h.records)) - 1)
	})
}

// TestCompactAndDelete lets a Cleaner go on by itself in a topic that is compacted and keeps
// records for an hour: of each key there is one record at most, the last, and none is much older
// than that hour. In the end nothing is left of it, in the log or in the bucket.
func TestCompactAndDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, 5, map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "3600000",
			"delete.retention.ms": "600000"}, nil)
		defer h.close()
		c := h.clean(func(o *cleanup.Options) { o.TargetBytes = cleanup.LeastTarget })
		defer h.stop(c)
		for range 60 {
			h.append(h.some(100, false), h.some(20, false))
			time.Sleep(4 * time.Minute)
		}
		time.Sleep(30 * time.Minute)
		found, seen, lastOf := h.survivors(), map[string]bool{}, map[string]int64{}
		for o, r := range h.records {
			lastOf[string(r.Key)] = int64(o)
		}
		for o, r := range found {
			age := time.Since(time.UnixMilli(r.Timestamp))
			if seen[string(r.Key)] || lastOf[string(r.Key)] != o || age > 80*time.Minute {
				t.Errorf("offset %d, %s, %v old, is still there", o, r.Key, age)
			}
			seen[string(r.Key)] = true
		}
		for key, o := range lastOf {
			r := h.records[o]
			if !seen[key] && r.Value != nil && time.Since(time.UnixMilli(r.Timestamp)) < time.Hour {
				t.Errorf("offset %d, %s, is gone", o, key)
			}
		}
		if len(found) < 10 {
			t.Errorf("%d records are left", len(found))
		}
		time.Sleep(2 * time.Hour)
		if info, _ := h.node.View().Partition(h.at); info.LogStart != int64(len(h.records)) {
			t.Errorf("the log begins at %d, not at its end, %d", info.LogStart, len(h.records))
		}
		time.Sleep(30 * time.Minute)
		h.append([]batch.Record{{Key: []byte("k")}}) // the store's clock is told by objects
		time.Sleep(2 * time.Minute)
		h.audit(0)
	})
}
