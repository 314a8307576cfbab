package security_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// viewOf is a view with settings.
func viewOf(t *testing.T, changes ...coordinator.Setting) *coordinator.View {
	t.Helper()
	state := coordinator.NewState(1, "cluster")
	fact := &coordinator.Fact{Incarnation: 1, Settings: &coordinator.Settings{Version: 1, Time: 1, Changes: changes}}
	if err := state.Apply(fact); err != nil {
		t.Fatal(err)
	}
	return coordinator.NewView(state)
}

// What lies in the bucket stays readable: these are the keys and values of FORMAT.md.
func TestFormats(t *testing.T) {
	view := viewOf(t,
		coordinator.Setting{Kind: coordinator.ACLSetting, Key: `["Topic","Prefixed","log","User:alice","*","Read","Deny"]`},
		coordinator.Setting{Kind: coordinator.UserSetting, Key: `["SCRAM-SHA-256","alice"]`,
			Value: `{"salt":"AAECAwQFBgc=","iterations":4096,"storedKey":"` + strings.Repeat("A", 43) +
				`=","serverKey":"` + strings.Repeat("A", 43) + `="}`})
	want := acl.Binding{Pattern: acl.Pattern{Type: access.Topic, Name: "log", Prefixed: true},
		Principal: access.Principal{Type: "User", Name: "alice"}, Host: "*", Operation: access.Read, Deny: true}
	acls := security.NewACLs(view, acl.Rules{}, slog.New(slog.DiscardHandler))
	if got := acls.Bindings(); !slices.Equal(got, []acl.Binding{want}) {
		t.Errorf("ACLs are %+v", got)
	}
	users := security.Users{View: view}
	keys, has := users.ScramKeys("alice", access.ScramSHA256)
	if !has || keys.Iterations != 4096 || len(keys.Salt) != 8 || !slices.Equal(users.Names(), []string{"alice"}) {
		t.Errorf("the user's keys are %+v, %v; users are %v", keys, has, users.Names())
	}
	if _, has := users.ScramKeys("alice", access.ScramSHA512); has {
		t.Error("a user has keys of a mechanism for which there are none")
	}
}

// An ACL that this version does not know might be one that denies: only super users go on.
func TestAnUnknownACLRefusesAll(t *testing.T) {
	admin, other := access.Principal{Type: "User", Name: "admin"}, access.Principal{Type: "User", Name: "other"}
	good := `["Topic","Literal","log","User:other","*","Read","Allow"]`
	for name, bad := range map[string]string{
		"operation": `["Topic","Literal","log","User:other","*","Burn","Allow"]`,
		"type":      `["Lake","Literal","log","User:other","*","Read","Deny"]`,
		"pattern":   `["Topic","Suffixed","log","User:other","*","Read","Deny"]`,
		"length":    `["Topic"]`,
		"JSON":      `x`,
	} {
		view := viewOf(t, coordinator.Setting{Kind: coordinator.ACLSetting, Key: good},
			coordinator.Setting{Kind: coordinator.ACLSetting, Key: bad})
		acls := security.NewACLs(view, acl.Rules{SuperUsers: []access.Principal{admin}, AllowEveryoneIfNoACL: true},
			slog.New(slog.DiscardHandler))
		on := access.Resource{Type: access.Topic, Name: "log"}
		if acls.Allows(access.Client{Principal: other}, access.Read, on) {
			t.Errorf("%s: others are allowed to read", name)
		}
		if !acls.Allows(access.Client{Principal: admin}, access.Read, on) {
			t.Errorf("%s: super users are not", name)
		}
	}
}
