package coordinatortest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firn.dev/coordinator"
)

func testSettings(t *testing.T, f *fixture) {
	set := func(changes ...coordinator.Setting) coordinator.Entry {
		return f.change(coordinator.Change{Settings: changes})
	}
	user := coordinator.Setting{Kind: coordinator.UserSetting, Key: "alice", Value: "\x00\xff secret"}
	acl := coordinator.Setting{Kind: coordinator.ACLSetting, Key: "alice", Value: "read"}
	first := set(acl, user).Fact.Settings
	sorted := []coordinator.Setting{user, acl}
	if first == nil || first.Version == 0 || first.Time == 0 || !slices.Equal(first.Changes, sorted) {
		t.Fatalf("decided was %+v", first)
	}
	gone := coordinator.Setting{Kind: coordinator.ACLSetting, Key: "alice", Deleted: true}
	entry := set(gone)
	if second := entry.Fact.Settings; second.Version <= first.Version {
		t.Errorf("version %d came after %d", second.Version, first.Version)
	}
	got := f.entries(entry.Seq-1, entry.Seq)[0].Fact.Settings
	if got == nil || !slices.Equal(got.Changes, []coordinator.Setting{gone}) {
		t.Errorf("followers get %+v", got)
	}

	many := make([]coordinator.Setting, coordinator.MaxSettings+1)
	for i := range many {
		many[i] = coordinator.Setting{Kind: coordinator.QuotaSetting, Key: fmt.Sprint(i), Value: "1"}
	}
	if n := len(set(many[1:]...).Fact.Settings.Changes); n != coordinator.MaxSettings {
		t.Errorf("%d settings of %d were decided", n, coordinator.MaxSettings)
	}
	long := strings.Repeat("x", coordinator.MaxSettingBytes+1)
	for name, bad := range map[string][]coordinator.Setting{
		"too many": many, "a long key": {{Kind: 1, Key: long}}, "a long value": {{Kind: 1, Value: long}},
		"an unknown kind": {{Kind: coordinator.ConfigSetting + 1}}, "one twice": {user, user},
		"a value of what is deleted": {{Kind: 1, Value: "x", Deleted: true}},
	} {
		_, err := f.propose(coordinator.Change{Settings: bad})
		f.want(name, err, coordinator.ErrMalformed)
	}
	version := set(user).Fact.Settings.Version

	state := f.reopenWith(t, coordinator.Settings{Version: version + 40, Changes: []coordinator.Setting{user}})
	if got := set(acl).Fact.Settings.Version; got <= state.SettingsVersion() {
		t.Errorf("version %d came after an opening with %d", got, state.SettingsVersion())
	}
}

// reopenWith opens the next incarnation, of a state that has these settings.
func (f *fixture) reopenWith(t *testing.T, s coordinator.Settings) *coordinator.State {
	t.Helper()
	state, err := coordinator.Recover(t.Context(), f.store, coordinator.RecoverOptions{Who: "suite"})
	if err != nil {
		t.Fatal(err)
	}
	f.in = state.Incarnation()
	if err := state.Apply(&coordinator.Fact{Incarnation: f.in, Settings: &s}); err != nil {
		t.Fatal(err)
	}
	if err := f.Open(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	return state
}
