package segments_test

import (
	"testing"
	"time"

	"firn.dev/segments"
)

func TestCarriedID(t *testing.T) {
	begun := time.Date(2031, 5, 6, 7, 8, 9, 123e6, time.UTC)
	life := segments.NewLifeID(begun)
	id, ok := segments.CarriedID(life, 70_000, begun.Add(90*time.Minute+300*time.Millisecond))
	if !ok {
		t.Fatal("there is no id")
	}
	if of, n, carried := id.Carrier(); of != life || n != 70_000 || !carried {
		t.Errorf("object %d of %s, %v", n, of, carried)
	}
	if !id.Time().Equal(begun.Add(90 * time.Minute)) {
		t.Errorf("sealed at %s", id.Time())
	}
	if want := "journal/" + life.String() + "/00000000000000070000"; id.Key() != want {
		t.Errorf("%s, not %s", id.Key(), want)
	}
	if back, err := segments.ParseID(id.String()); err != nil || back != id {
		t.Errorf("%s is read as %s, %v", id, back, err)
	}
	other := segments.NewID(begun)
	if _, _, carried := other.Carrier(); carried || other.Key() != "segments/"+other.String() {
		t.Errorf("%s lies at %s", other, other.Key())
	}
}

func TestNotEverythingIsCarried(t *testing.T) {
	begun := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	life := segments.NewLifeID(begun)
	for what, c := range map[string]struct {
		life segments.ID
		n    uint64
		now  time.Time
	}{
		"a life with another name": {segments.NewID(begun), 1, begun},
		"too many objects":         {life, 1 << 24, begun},
		"a clock set back":         {life, 1, begun.Add(-time.Hour)},
		"too old a life":           {life, 1, begun.Add(1 << 24 * time.Second)},
	} {
		if id, ok := segments.CarriedID(c.life, c.n, c.now); ok {
			t.Errorf("%s: %s", what, id)
		}
	}
}
