package coordinator_test

import (
	"maps"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments/memory"
)

// Settings are in the bucket: a new coordinator has them, and counts their versions on.
func TestSettingsSurvive(t *testing.T) {
	store := memory.New()
	n := join(t, store)
	set := func(n *coordinator.Node, changes ...coordinator.Setting) uint64 {
		t.Helper()
		before := n.View().SettingsVersion()
		fact, err := n.Change(t.Context(), coordinator.Change{Settings: changes})
		if err != nil {
			t.Fatal(err)
		}
		if now := n.View().SettingsVersion(); now == before {
			t.Error("the view's version of settings is the same after a change")
		}
		return fact.Settings.Version
	}
	acl := func(key, value string) coordinator.Setting {
		return coordinator.Setting{Kind: coordinator.ACLSetting, Key: key, Value: value, Deleted: value == ""}
	}
	want := func(n *coordinator.Node, want map[string]string) {
		t.Helper()
		if got, _ := n.View().Settings(coordinator.ACLSetting); !maps.Equal(got, want) {
			t.Errorf("the view has %v, want %v", got, want)
		}
	}
	set(n, acl("a", "1"), acl("b", "1"), coordinator.Setting{Kind: coordinator.UserSetting, Key: "a", Value: "secret"})
	last := set(n, acl("a", "2"), acl("b", ""))
	want(n, map[string]string{"a": "2"})

	next := join(t, store)
	want(next, map[string]string{"a": "2"})
	if secret, there := next.View().Setting(coordinator.UserSetting, "a"); !there || secret != "secret" {
		t.Errorf("recovered %q, %v", secret, there)
	}
	if _, there := next.View().Setting(coordinator.ACLSetting, "b"); there {
		t.Error("what was deleted is back")
	}
	if version := set(next, acl("b", "3")); version <= last {
		t.Errorf("version %d came after %d", version, last)
	}
	want(next, map[string]string{"a": "2", "b": "3"})
}
