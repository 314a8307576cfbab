package coordinator

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"firn.dev/segments"
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
