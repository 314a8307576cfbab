package coordinator

import (
	"context"
	"runtime"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

const (
	scalePartitions = 100
	scaleSpans      = 10_000 // of each: a million segments, 256 TiB if they are full
)

// scaleState is a bucket with a million merged segments in its index, archived or not: a snapshot,
// and index objects. The segments themselves are not there.
func scaleState(b *testing.B, archive bool) segments.Store {
	store, state := memory.New(), NewState(1, "cluster")
	put := func(key string, body []byte) {
		if err := store.Put(context.Background(), key, body); err != nil {
			b.Fatal(err)
		}
	}
	state.applyTopic(&TopicFact{ID: benchTopic, Name: "bench", Version: 1, Partitions: scalePartitions})
	for i := range int32(scalePartitions) {
		at := segments.Partition{Topic: benchTopic, Index: i}
		p := &partition{end: scaleSpans * 1_000_000, merges: scaleSpans}
		spans := make([]placed, scaleSpans)
		for j := range spans {
			base := int64(j) * 1_000_000
			spans[j].Span = Span{
				Segment: segments.NewID(time.Now()), Base: base, Last: base + 999_999, Position: 32, Length: 256 << 20,
				MaxTimestamp: 1_700_000_000_000 + int64(j)*1000, Version: uint64(j + 1),
			}
		}
		p.spans = appendPlaced(nil, spans, 0)
		state.partitions[at] = p
		for archive {
			v := View{state: state}
			some, after := v.archivable(at, ArchiveOptions{}.withDefaults())
			if some == nil {
				break
			}
			c, object := archiving(at, segments.NewID(time.Now()), some, after)
			put(IndexKey(c.Segment), object)
			if err := state.Apply(c.Fact(1)); err != nil {
				b.Fatal(err)
			}
		}
	}
	first := incarnationObject{n: 1, clusterID: "cluster"}
	put(incarnationKey(1), first.encode())
	opening := snapshotObject{incarnation: 1, state: state}
	put(snapshotKey(1, 0), opening.encode())
	return store
}

// heap is what is in use.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkScale measures what a million merged segments cost a node: its start (Recover, which
// loads, and writes an opening snapshot), a reader's Load, the memory of the view, the size of a
// snapshot, and what a search for garbage takes while it runs.
func BenchmarkScale(b *testing.B) {
	for name, archive := range map[string]bool{"direct": false, "archived": true} {
		b.Run(name, func(b *testing.B) {
			store := scaleState(b, archive)
			before := heap()
			for b.Loop() {
				begun := time.Now()
				state, err := Load(b.Context(), store)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(begun).Microseconds())/1000, "ms-load")
				view := NewView(state)
				b.ReportMetric((heap()-before)/1e6, "MB-view")

				begun = time.Now()
				c := collector{loader: loader{store, 8}, age: time.Hour}
				if err := c.list(b.Context(), view); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(begun).Microseconds())/1000, "ms-garbage")
				b.ReportMetric((heap()-before)/1e6, "MB-view+garbage")
				runtime.KeepAlive(&c)
				runtime.KeepAlive(view)

				begun = time.Now()
				if _, err := Recover(b.Context(), store, RecoverOptions{}); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(begun).Microseconds())/1000, "ms-recover")
			}
			for object := range store.List(b.Context(), snapshotKey(1, 0), "") {
				b.ReportMetric(float64(object.Size)/1e6, "MB-snapshot")
			}
		})
	}
}
