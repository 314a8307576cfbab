package access_test

import (
	"encoding/base64"
	"testing"

	"firn.dev/access"
)

// The example of RFC 7677: user "user", password "pencil".
func TestScramKeysAreThoseOfTheRFC(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	stored, _ := base64.StdEncoding.DecodeString("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=")
	server, _ := base64.StdEncoding.DecodeString("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
	keys := access.ScramKeys{Salt: salt, Iterations: 4096, StoredKey: stored, ServerKey: server}
	if err := keys.Validate(access.ScramSHA256); err != nil {
		t.Error(err)
	}
	if !keys.Match(access.ScramSHA256, "pencil") {
		t.Error("pencil is refused")
	}
	for _, wrong := range []string{"", "Pencil", "pencil ", "pencil\x00"} {
		if keys.Match(access.ScramSHA256, wrong) {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func TestNewScramKeys(t *testing.T) {
	for _, m := range access.ScramMechanisms {
		a, errA := access.NewScramKeys(m, "pencil", access.DefaultScramIterations)
		b, errB := access.NewScramKeys(m, "pencil", access.DefaultScramIterations)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.Equal(b) {
			t.Errorf("%s: two users of one password have the same keys: no salt", m)
		}
		if !a.Match(m, "pencil") || a.Match(m, "Pencil") {
			t.Errorf("%s: the keys do not tell passwords apart", m)
		}
	}
}

func TestScramKeysHaveBounds(t *testing.T) {
	good, err := access.NewScramKeys(access.ScramSHA256, "pencil", access.DefaultScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*access.ScramKeys){
		"no iterations":   func(k *access.ScramKeys) { k.Iterations = 0 },
		"many iterations": func(k *access.ScramKeys) { k.Iterations = 1 << 30 },
		"no salt":         func(k *access.ScramKeys) { k.Salt = nil },
		"a long salt":     func(k *access.ScramKeys) { k.Salt = make([]byte, 65) },
		"a short key":     func(k *access.ScramKeys) { k.StoredKey = k.StoredKey[1:] },
	} {
		bad := good
		if spoil(&bad); bad.Validate(access.ScramSHA256) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if good.Validate(access.ScramSHA512) == nil || good.Validate(3) == nil {
		t.Error("keys of one mechanism are taken for those of another")
	}
	for _, name := range []string{"", "a\nb", string(make([]byte, 300)), "\xff"} {
		if access.CheckUserName(name) == nil {
			t.Errorf("user %q is accepted", name)
		}
	}
	if err := access.CheckUserName("CN=Zoë, O=Ex,ample"); err != nil {
		t.Error(err)
	}
}
