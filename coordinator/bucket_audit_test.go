package coordinator

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// An audit says of each object why it is there, finds what is leaked and what is missing, and looks
// again before it says so.
func TestAudit(t *testing.T) {
	bucket := memory.New()
	store := &dated{Store: bucket}
	put := func(key string, body []byte) {
		if err := bucket.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
	}
	segment := func(age time.Duration) segments.ID {
		id := segments.NewID(time.Now().Add(-age))
		put(id.Key(), []byte("segment"))
		return id
	}
	state := filled(t, time.Hour, 1, 2, 3)
	spans := state.partitions[mergeAt].spans
	opening := snapshotObject{incarnation: 1, state: state}
	first := incarnationObject{n: 1, clusterID: "cluster"}
	put(incarnationKey(1), first.encode())
	put(snapshotKey(1, 0), opening.encode())
	put(spans[0].Segment.Key(), []byte("needed"))
	put(spans[1].Segment.Key(), []byte("needed as well"))
	loose := segment(100 * time.Hour)
	put("notes.txt", []byte("not firn's"))
	beginLife(t, bucket, 1)
	store.newest.Store(spans[0].Segment.Key())

	audit := func(ahead time.Duration) (AuditReport, map[Reason][]string) {
		t.Helper()
		store.ahead.Store(int64(ahead))
		told := map[Reason][]string{}
		report, err := Audit(t.Context(), store, AuditOptions{Object: func(o AuditObject) error {
			told[o.Reason] = append(told[o.Reason], o.Key)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for reason, tally := range report.Tallies {
			if tally.Objects != len(told[reason]) {
				t.Errorf("%d objects are %s, told of were %q", tally.Objects, reason, told[reason])
			}
		}
		return report, told
	}
	report, told := audit(0)
	want := map[Reason][]string{
		Current: {incarnationKey(1)}, Snapshot: {snapshotKey(1, 0)}, Journaled: {journalKey("life", 0)},
		Referenced: {spans[0].Segment.Key(), spans[1].Segment.Key()}, Young: {loose.Key()},
		Missing: {spans[2].Segment.Key()}, Unknown: {"notes.txt"},
	}
	for _, keys := range told {
		slices.Sort(keys)
	}
	slices.Sort(want[Referenced])
	if !maps.EqualFunc(told, want, slices.Equal[[]string]) {
		t.Errorf("told was\n%v\nshould be\n%v", told, want)
	}
	if len(report.Missing) != 1 || len(report.Leaked) != 0 || report.Incarnation != 1 {
		t.Errorf("report is %+v", report)
	}
	put(spans[2].Segment.Key(), []byte("found"))
	ages := map[time.Duration]Reason{90 * time.Minute: Young, 3 * time.Hour: Uncollected, 5 * time.Hour: Leaked}
	for ahead, reason := range ages {
		report, told := audit(ahead)
		leaked := len(report.Leaked) == 1
		if !slices.Equal(told[reason], []string{loose.Key()}) || (reason == Leaked) != leaked || len(report.Missing) > 0 {
			t.Errorf("after %s: %v, should be %s", ahead, told, reason)
		}
	}
	stop := errors.New("stop")
	stopping := AuditOptions{Object: func(AuditObject) error { return stop }}
	if _, err := Audit(t.Context(), store, stopping); !errors.Is(err, stop) {
		t.Errorf("an audit that was stopped gives %v", err)
	}
}

// What looks missing because the cluster has moved on is not missing: it was merged away while the
// audit went through the bucket.
func TestAuditOfALiveCluster(t *testing.T) {
	bucket := memory.New()
	state := filled(t, time.Hour, 1, 2)
	spans := state.partitions[mergeAt].spans
	put := func(key string, body []byte) {
		if err := bucket.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
	}
	opening := snapshotObject{incarnation: 1, state: state}
	first := incarnationObject{n: 1, clusterID: "cluster"}
	put(incarnationKey(1), first.encode())
	put(snapshotKey(1, 0), opening.encode())
	put(spans[0].Segment.Key(), []byte("needed"))
	put(spans[1].Segment.Key(), []byte("needed as well"))
	w := beginLife(t, bucket, 1)
	merge := merged(1, 0, 19, 2)
	moved := false
	report, err := Audit(t.Context(), bucket, AuditOptions{Object: func(AuditObject) error {
		if !moved {
			moved = true
			put(merge.Merge.Spans[0].Segment.Key(), []byte("merged"))
			w.must(w.chain.put(t.Context(), w.chain.object([][]byte{AppendFact(nil, merge)})))
			w.must(bucket.Delete(t.Context(), spans[0].Segment.Key(), spans[1].Segment.Key()))
		}
		return nil
	}})
	if err != nil || len(report.Missing)+len(report.Leaked) > 0 {
		t.Errorf("report is %+v, %v", report, err)
	}
}
