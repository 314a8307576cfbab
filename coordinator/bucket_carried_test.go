package coordinator

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// carrier is the next object of a chain, with a segment that it carries and the fact of that.
func (w *writer) carrier(segment string) (segments.ID, []byte) {
	w.t.Helper()
	life, err := segments.ParseID(w.chain.life)
	w.must(err)
	id, ok := segments.CarriedID(life, w.chain.next, time.Now())
	if !ok {
		w.t.Fatal("there is no id")
	}
	span := Span{Segment: id, Base: w.end, Last: w.end, Length: int64(len(segment))}
	f := &Fact{Incarnation: w.chain.generation.Incarnation, Commit: &Commit{
		Segment: id, Spans: []CommitSpan{{Partition: simPartition(0), Span: span}},
	}}
	return id, w.chain.carrier([][]byte{AppendFact(nil, f)}, id, []byte(segment))
}

// carrying has a life write a carrier, unless it dies before, and a recovery end it. Then days go
// by, in which snapshots are written and what nobody needs is deleted.
func carrying(t *testing.T, dies bool) (bucket segments.Store, life string, id segments.ID, body []byte) {
	bucket = memory.New()
	first := newWriter(t, bucket)
	w := first.another(segments.NewLifeID(time.Now()).String())
	w.end = 0
	id, body = w.carrier("segment")
	if !dies {
		w.must(w.chain.put(t.Context(), body))
	}
	state, err := Recover(t.Context(), bucket, RecoverOptions{})
	w.must(err)
	first.chain.generation = Generation{Incarnation: state.incarnation}
	after := first.another("after")
	for range 60 {
		time.Sleep(time.Hour)
		after.snapshot()
		after.tidy(state.incarnation)
	}
	return bucket, w.chain.life, id, body
}

// TestCarriersAreKept: an object of the journal whose bytes are needed stays, and with it the seal
// of its chain, though everything else of that chain is gone.
func TestCarriersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, life, id, _ := carrying(t, false)
		var got []string
		for object, err := range bucket.List(t.Context(), journalPrefix+life, "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, object.Key)
		}
		if want := []string{id.Key(), journalKey(life, 2)}; !slices.Equal(got, want) {
			t.Errorf("there are %v, want the carrier and its seal: %v", got, want)
		}
		if b, err := bucket.Get(t.Context(), id.Key(), 0, 7); err != nil || string(b) != "segment" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// TestCarrierWhereASealWas has the put of a carrier land days after its chain was sealed, when the
// seal is gone: nobody takes the segment for one that is in the journal.
func TestCarrierWhereASealWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, life, id, body := carrying(t, true)
		if _, err := bucket.Get(t.Context(), journalKey(life, 1), 0, -1); !errors.Is(err, segments.ErrNotFound) {
			t.Fatalf("the seal is still there: %v", err)
		}
		if err := bucket.Put(t.Context(), id.Key(), body); err != nil {
			t.Fatal(err)
		}
		if there, err := carries(t.Context(), loader{bucket, 1}, 2, id); err != nil || there {
			t.Errorf("%v, %v", there, err)
		}
	})
}
