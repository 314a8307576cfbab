package rest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTrackHasGaps: a number that is not known at some samples is null there, and stays known where
// it was; what is older than the ring is forgotten.
func TestTrackHasGaps(t *testing.T) {
	h, of := newHistory(), map[string]*track{}
	for _, known := range []bool{false, true, true, false, false, true, false} {
		if known {
			h.note(of, map[string]float64{"x": float64(h.taken)})
		}
		h.taken++
	}
	text := func() (s string) {
		for _, v := range h.timeline(of, time.Second).Series["x"] {
			if v == nil {
				s += "-"
			} else {
				s += string('0' + rune(*v))
			}
		}
		return s
	}
	if diff := cmp.Diff("-12--5-", text()); diff != "" {
		t.Error(diff)
	}
	h.taken += historySamples - 3 // the ring has turned, but for the last of them
	if got := text(); len(got) != historySamples || got[:2] != "-5" && got[:2] != "5-" {
		t.Errorf("%.10s…", got)
	}
	h.taken++
	h.note(of, map[string]float64{"x": 7})
	h.taken++
	if got := text(); got[historySamples-1] != '7' || got[historySamples-2] != '-' {
		t.Errorf("…%s", got[historySamples-10:])
	}
}
