package coordinator

import (
	"slices"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// The fact of an ending is in the journal, and one of its markers lies beyond a hole. A recovery
// gives that one the next offset: the transaction is open nowhere, its offsets count, and whoever
// commits the segment again is told where the marker is.
func TestRecoveryPlacesMarkersAnew(t *testing.T) {
	bucket := memory.New()
	w := newWriter(t, bucket)
	in := w.chain.generation.Incarnation
	data, ending := segments.NewID(time.Now()), segments.NewID(time.Now())
	here, there := simPartition(0), simPartition(1)
	batch := func(offset int64) []ProducerBatch {
		return []ProducerBatch{{ProducerID: 5, BaseOffset: offset, LastTimestamp: 7, Ordinal: 1}}
	}
	span := func(of segments.ID, offset, position int64) Span {
		return Span{Segment: of, Base: offset, Last: offset, Position: position, Length: 78}
	}
	id := TransactionalID{Version: 1, ID: "id", ProducerID: 5, Ordinal: 1, PreviousEpoch: -1, EndedProducerID: -1,
		EndedEpoch: -1}
	after := id
	after.Version, after.Ordinal, after.Epoch, after.Result, after.EndedProducerID, after.EndedEpoch = 2, 2, 1,
		Aborted, 5, 0
	marker := &Marker{ProducerID: 5, Ordinal: 1, Result: Aborted}
	counts := []StagedOffsets{{Group: "g", Partitions: []StagedOffset{{1, GroupOffset{Partition: here, Offset: 9,
		LeaderEpoch: -1}}}}}
	for _, f := range []*Fact{
		{TransactionalID: &id},
		{Commit: &Commit{Segment: data, Spans: []CommitSpan{
			{Partition: here, Span: span(data, 0, 32), Producers: batch(0)},
			{Partition: there, Span: span(data, 0, 110), Producers: batch(0)}}}},
		// Offset 1 of the first partition is that of a commit that is not in the journal.
		{Commit: &Commit{Segment: ending, Endings: []Ended{{after, counts}}, Spans: []CommitSpan{
			{Partition: here, Span: span(ending, 2, 32), Marker: marker},
			{Partition: there, Span: span(ending, 1, 110), Marker: marker}}}},
	} {
		f.Incarnation = in
		w.must(w.chain.put(t.Context(), w.chain.object([][]byte{AppendFact(nil, f)})))
	}

	before, err := Load(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	v := NewView(before)
	if a, b := lastStable(v, here), lastStable(v, there); a != 0 || b != 2 || !v.Unstable("g", here) {
		t.Errorf("before the recovery readers are served up to %d and %d", a, b)
	}
	state, err := Recover(t.Context(), bucket, RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	young := state.Young(time.Now().Add(-time.Hour))[ending]
	if !slices.ContainsFunc(young, func(s CommitSpan) bool {
		return s.Partition == here && s.Span == span(ending,
			1, 32)
	}) {
		t.Errorf("the marker is not where it should be: %+v", young)
	}
	loaded, err := Load(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	for what, v := range map[string]*View{"the recovered state": NewView(state), "the bucket": NewView(loaded)} {
		want := []AbortedTransaction{{ProducerID: 5, FirstOffset: 0, LastOffset: 1}}
		for _, at := range []segments.Partition{here, there} {
			if got := v.Aborted(at, 0, 9); lastStable(v, at) != 2 || !slices.Equal(got, want) {
				t.Errorf("%s: %s is stable up to %d, aborted is %v", what, at, lastStable(v, at), got)
			}
		}
		if now, known := v.Transaction("id"); !known || now.Ordinal != 2 || len(now.Open) > 0 || !now.Complete {
			t.Errorf("%s: the id is %+v", what, now)
		}
		if o, counts := v.Committed("g", here); !counts || o.Offset != 9 {
			t.Errorf("%s: offsets do not count", what)
		}
	}
}

func lastStable(v *View, at segments.Partition) int64 {
	return v.state.partitions[at].lastStable()
}
