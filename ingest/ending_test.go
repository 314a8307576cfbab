package ingest

import (
	"errors"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// transactional is a batch of one record in a transaction.
func transactional(t *testing.T, p segments.Partition, by coordinator.Producer, sequence int32) Batch {
	t.Helper()
	bytes, err := batch.Build([]batch.Record{{Value: []byte("v")}}, batch.Options{ProducerID: by.ProducerID,
		ProducerEpoch: by.Epoch, BaseSequence: sequence, Transactional: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := batch.ReadHeader(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return Batch{Partition: p, Header: h, Bytes: bytes, Protocol: coordinator.Transactional}
}

// append appends batches and returns their answers.
func answers(t *testing.T, w *Writer, batches ...Batch) []Result {
	t.Helper()
	p, err := w.Append(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	results, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// markers are those of an ending, for some partitions.
func markers(t *testing.T, e *coordinator.Ending, ps ...segments.Partition) (batches []Batch) {
	t.Helper()
	for _, p := range ps {
		b, err := markerOf(e, p, 7)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	return batches
}

// A transaction goes through the writer: its batches, and its ending with markers that lie in the
// bucket as Kafka's do. It survives a restart.
func TestTransactionEmbedded(t *testing.T) {
	store := memory.New()
	n := openNode(t, store)
	ps := createTopic(t, n, 3)
	w := openWriter(t, store, n, nil)
	fact, err := n.Change(t.Context(), coordinator.Change{Fence: &coordinator.Fence{ID: "id", NewProducerID: 5}})
	if err != nil {
		t.Fatal(err)
	}
	p := coordinator.Producer{ProducerID: 5, Epoch: fact.TransactionalID.Epoch}
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end := func(result coordinator.Result, without int) []Result {
		t.Helper()
		now, err := life.TransactionalID(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		return answers(t, w, markers(t, &coordinator.Ending{Incarnation: life.Incarnation(), ID: "id", Producer: p,
			Ordinal: now.Ordinal,
			Result:  result, Bump: true, NewProducerID: -1}, now.Open[without:]...)...)
	}
	written := answers(t, w, transactional(t, ps[0], p, 0), transactional(t, ps[2], p, 0))
	for _, r := range written {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if info, _ := n.View().Partition(ps[2]); info.LastStable != 0 || info.HighWatermark != 1 {
		t.Errorf("while it is open the partition is %+v", info)
	}
	if r := end(coordinator.Aborted, 1); !errors.Is(r[0].Err, coordinator.ErrBuildAnew) {
		t.Errorf("an ending with a marker too few: %+v", r)
	}
	for _, r := range end(coordinator.Aborted, 0) {
		if r.Err != nil || r.BaseOffset != 1 {
			t.Errorf("a marker is answered with %+v", r)
		}
	}
	p.Epoch++
	if r := answers(t, w, transactional(t, ps[1], p, 0))[0]; r.Err != nil {
		t.Error(r.Err)
	}
	if got := end(coordinator.Committed, 0)[0]; got.Err != nil {
		t.Error(got.Err)
	}
	closeWriter(t, w)
	closeNode(t, n)

	n = openNode(t, store)
	defer closeNode(t, n)
	aborted := n.View().Aborted(ps[2], 0, 1)
	if len(aborted) != 1 ||
		aborted[0] != (coordinator.AbortedTransaction{ProducerID: 5, FirstOffset: 0, LastOffset: 1}) {
		t.Errorf("aborted is %+v", aborted)
	}
	if info, _ := n.View().Partition(ps[1]); info.LastStable != 2 || len(n.View().Aborted(ps[1], 0, 9)) > 0 {
		t.Errorf("what is committed is %+v", info)
	}
	if now, known := n.View().Transaction("id"); !known || now.Ordinal != 3 || now.Epoch != 2 || !now.Complete ||
		len(now.Open) > 0 {
		t.Errorf("the id is %+v", now)
	}
	s := n.View().Spans(ps[1], 1, 1)[0]
	bytes, err := store.Get(t.Context(), s.Segment.Key(), s.Position, s.Length)
	if err != nil {
		t.Fatal(err)
	}
	h, err := batch.Check(bytes)
	if err != nil || !h.Attributes.Control() || !h.Attributes.Transactional() || h.ProducerID != 5 ||
		len(bytes) != 78 {
		t.Errorf("the marker is %+v in %d bytes, %v", h, len(bytes), err)
	}
}

// A batch says of itself what its front door says.
func TestMarkersAreChecked(t *testing.T) {
	p := segments.Partition{}
	by := coordinator.Producer{ProducerID: 5}
	e := &coordinator.Ending{ID: "id", Producer: by, Ordinal: 1, Result: coordinator.Committed}
	good := markers(t, e, p)[0]
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	plain, marker, other := transactional(t, p, by, 0), good, good
	plain.Protocol, marker.Ending = coordinator.NotTransactional, nil
	other.Ending = &coordinator.Ending{ID: "id", Producer: coordinator.Producer{ProducerID: 6}, Ordinal: 1,
		Result: coordinator.Committed}
	for what, b := range map[string]Batch{"a transactional batch that is not": plain,
		"a marker of nothing": marker, "of another": other} {
		if err := b.check(); !errors.Is(err, batch.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
