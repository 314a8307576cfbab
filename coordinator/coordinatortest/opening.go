package coordinatortest

import (
	"testing"

	"firn.dev/coordinator"
)

// testOpensOnce opens one recovered state in several coordinators: so it looks to a caller that
// repeats an opening, and finds that the coordinator has forgotten the first.
func testOpensOnce(t *testing.T, open func(t *testing.T) Subject) {
	f := newFixture(t, open(t))
	state, err := coordinator.Recover(t.Context(), f.store, coordinator.RecoverOptions{Who: "suite"})
	f.want("recovering", err, nil)
	if g := state.Generation(); g != (coordinator.Generation{}) {
		t.Errorf("a state that nobody opened is of generation %s", g)
	}
	f.want("opening", f.Open(t.Context(), state), nil)
	now, err := f.Generation(t.Context())
	f.want("asking what is open", err, nil)
	if now != state.Generation() || now.Incarnation != state.Incarnation() || now.Nonce == (coordinator.Nonce{}) {
		t.Errorf("%s is open, sent was %s", now, state.Generation())
	}
	f.want("opening again where it is open", f.Open(t.Context(), state), coordinator.ErrIncarnation)
	f.want("opening again where it was forgotten", open(t).Open(t.Context(), state), coordinator.ErrOpenedBefore)

	read, err := coordinator.Load(t.Context(), f.store)
	f.want("loading", err, nil)
	f.want("opening what was loaded, not recovered", open(t).Open(t.Context(), read), coordinator.ErrOpenedBefore)

	older, err := coordinator.Recover(t.Context(), f.store, coordinator.RecoverOptions{Who: "suite"})
	f.want("recovering", err, nil)
	newer, err := coordinator.Recover(t.Context(), f.store, coordinator.RecoverOptions{Who: "suite"})
	f.want("recovering", err, nil)
	f.want("opening the newer", f.Open(t.Context(), newer), nil)
	f.want("opening the older", f.Open(t.Context(), older), coordinator.ErrIncarnation)
	if g := older.Generation(); g != (coordinator.Generation{}) {
		t.Errorf("an opening that was refused before it was sent counts as one: %s", g)
	}
	if again, err := f.Generation(t.Context()); err != nil || again != newer.Generation() || again == now {
		t.Errorf("%s is open, %v; sent was %s, before that %s", again, err, newer.Generation(), now)
	}
}
