package coordinator

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// carrierOf makes a journal object that carries a segment.
func carrierOf(
	t testing.TB, life segments.ID, n uint64, segment []byte, facts ...[]byte,
) (*journalObject, segments.ID) {
	t.Helper()
	id, ok := segments.CarriedID(life, n, life.Time().Add(time.Minute))
	if !ok {
		t.Fatal("there is no id")
	}
	return &journalObject{
		kind: journalFacts, incarnation: 3, nonce: Nonce{1}, life: life.String(), n: n, facts: facts,
		carries: id, segment: segment,
	}, id
}

// TestCarrierIsReadFromItsEnd: what an object says is found behind the segment, whatever the sizes.
func TestCarrierIsReadFromItsEnd(t *testing.T) {
	for name, sizes := range map[string][2]int{
		"small": {10, 10}, "a large segment": {3 * journalEnd, 10}, "many facts": {10, 2 * journalEnd},
		"both": {3 * journalEnd, 2 * journalEnd},
	} {
		t.Run(name, func(t *testing.T) {
			store := memory.New()
			segment, fact := bytes.Repeat([]byte{7}, sizes[0]), bytes.Repeat([]byte{9}, sizes[1])
			o, id := carrierOf(t, segments.NewLifeID(time.Now()), 12, segment, fact)
			if err := store.Put(t.Context(), o.key(), o.encode()); err != nil {
				t.Fatal(err)
			}
			l := loader{store, 1}
			got, err := l.journalObject(t.Context(), id.Key())
			if err != nil {
				t.Fatal(err)
			}
			if got.carries != id || len(got.facts) != 1 || !bytes.Equal(got.facts[0], fact) || got.nonce != o.nonce {
				t.Errorf("%+v", got)
			}
			there, err := store.Get(t.Context(), id.Key(), 0, int64(len(segment)))
			if err != nil || !bytes.Equal(there, segment) {
				t.Errorf("the segment does not lie at the beginning: %v", err)
			}
		})
	}
}

// TestDamagedCarrier: no damage of what an object says goes unnoticed.
func TestDamagedCarrier(t *testing.T) {
	segment := bytes.Repeat([]byte{7}, 40)
	o, _ := carrierOf(t, segments.NewLifeID(time.Now()), 2, segment, []byte("a fact"))
	whole := o.encode()
	if _, err := decodeJournalObject(whole); err != nil {
		t.Fatal(err)
	}
	for i := len(segment); i < len(whole); i++ {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		if _, err := decodeJournalObject(damaged); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNewer) {
			t.Errorf("byte %d of %d: %v", i, len(whole), err)
		}
	}
	for n := range len(whole) {
		if _, err := decodeJournalObject(whole[:n]); err == nil {
			t.Errorf("%d bytes of %d are an object", n, len(whole))
		}
	}
}

// TestCarriedSegmentIsDescribed: what a journal object carries is shown and checked as a segment of
// its own is.
func TestCarriedSegmentIsDescribed(t *testing.T) {
	life := segments.NewLifeID(time.Now())
	fact := AppendFact(nil, sampleFacts()[0])
	_, id := carrierOf(t, life, 3, nil)
	records, err := batch.Build(make([]batch.Record, 3), batch.NoProducer(batch.None))
	if err != nil {
		t.Fatal(err)
	}
	at := segments.Partition{Topic: segments.NewTopicID(), Index: 4}
	segment, _, err := segments.EncodeMixed(id, []segments.RunData{{Partition: at, Batches: [][]byte{records}}})
	if err != nil {
		t.Fatal(err)
	}
	o, _ := carrierOf(t, life, 3, segment, fact)
	whole := o.encode()
	var text bytes.Buffer
	if err := Describe(&text, o.key(), whole); err != nil {
		t.Fatal(err)
	}
	if want := "partition " + at.String(); !strings.Contains(text.String(), want) {
		t.Errorf("without %q:\n%s", want, &text)
	}
	for i := range segment {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		err := Describe(io.Discard, o.key(), damaged)
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNewer) {
			t.Errorf("byte %d of the segment is damaged: %v", i, err)
		}
	}
	if err := Describe(io.Discard, o.key(), whole[len(segment):]); !errors.Is(err, ErrMalformed) {
		t.Errorf("without its segment: %v", err)
	}
	o.carries = segments.ID{1}
	if err := Describe(io.Discard, o.key(), o.encode()); !errors.Is(err, ErrMalformed) {
		t.Errorf("with another segment: %v", err)
	}
}
