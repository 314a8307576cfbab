package coordinatortest

import (
	"testing"
	"time"

	"firn.dev/coordinator"
)

// testRecovery has recoveries say that they live, whatever is open.
func testRecovery(t *testing.T, f *fixture) {
	said := func(what string, want coordinator.Incarnation) {
		t.Helper()
		if got, err := f.AnnouncedRecovery(t.Context()); err != nil || got != want {
			t.Errorf("%s: %d is said to live, %v; should be %d", what, got, err, want)
		}
	}
	announce := func(in coordinator.Incarnation, ttl time.Duration) {
		t.Helper()
		f.want("announcing", f.AnnounceRecovery(t.Context(), in, ttl), nil)
	}
	said("nobody has said anything", 0)
	announce(f.in+2, time.Hour)
	said("a recovery", f.in+2)
	announce(f.in+1, time.Hour)
	said("an older one as well", f.in+2)
	announce(f.in+3, TTL)
	said("a newer one", f.in+3)
	f.Advance(TTL + 1)
	said("it has not said so again", 0)
	announce(f.in+1, time.Hour)
	said("the older one again", f.in+1)
	if g, err := f.Generation(t.Context()); err != nil || g.Incarnation != f.in {
		t.Errorf("%v is open, %v", g, err)
	}
}
