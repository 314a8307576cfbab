package budget

import (
	"net/netip"
	"testing"
)

// An address that has many loses the oldest of its own, and of addresses that have as many each the
// oldest of all goes.
func TestWhoGoesOfACrowd(t *testing.T) {
	crowd, next := NewCrowd[int](), 0
	come := func(host string, wantGoes int) int {
		t.Helper()
		next++
		crowd.Add(next, netip.MustParseAddr(host))
		goes := 0
		if crowd.Len() > 4 {
			goes, _ = crowd.Pop()
		}
		if goes != wantGoes {
			t.Errorf("after one from %s, %d goes, want %d", host, goes, wantGoes)
		}
		return next
	}
	honest := come("10.0.0.1", 0)
	first := come("10.0.0.2", 0)
	second := come("10.0.0.2", 0)
	come("10.0.0.3", 0)
	come("10.0.0.2", first)
	come("10.0.0.4", second)
	come("10.0.0.5", honest)
	crowd.Remove(honest) // which has gone already
	if crowd.Len() != 4 || len(crowd.from) != 4 {
		t.Errorf("%d from %d addresses", crowd.Len(), len(crowd.from))
	}
	for range 4 {
		crowd.Pop()
	}
	if who, any := crowd.Pop(); any || len(crowd.from) > 0 {
		t.Errorf("%d is left, of nobody", who)
	}
}
