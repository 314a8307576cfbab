package security_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// The cluster's secret lies where FORMAT.md says, and is no user.
func TestSecret(t *testing.T) {
	if secret := security.Secret(viewOf(t))(); secret != nil {
		t.Errorf("a secret of %d bytes where there is none", len(secret))
	}
	want := strings.Repeat("s", 32)
	view := viewOf(t, coordinator.Setting{Kind: coordinator.UserSetting, Key: `["cluster-secret"]`,
		Value: base64.StdEncoding.EncodeToString([]byte(want))})
	if got := string(security.Secret(view)()); got != want {
		t.Errorf("%q", got)
	}
	if names := (security.Users{View: view}).Names(); len(names) > 0 {
		t.Errorf("users are %v", names)
	}
}
