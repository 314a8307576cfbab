package kafka

import (
	"strings"
	"testing"

	"firn/coordinator"
)

func TestCheckTopicName(t *testing.T) {
	for name, allowed := range map[string]bool{
		"a": true, "Orders-2026_v1.x": true, "...": true, "-": true, strings.Repeat("x", 249): true,
		"": false, ".": false, "..": false, strings.Repeat("x", 250): false,
		"a b": false, "a/b": false, "größe": false, "a\x00": false, "a\n": false, "a:b": false, "\xff": false,
	} {
		if refused := checkTopicName(name); (refused == nil) != allowed {
			t.Errorf("%q: %v", name, refused)
		}
	}
}

func TestClaims(t *testing.T) {
	claimed := claimsOf([]*coordinator.Topic{{Name: "a.b_c"}, {Name: "plain"}})
	for name, allowed := range map[string]bool{
		"a.b_c": true, // it exists, which is another error
		"a_b.c": false, "a_b_c": false, "a.b.c": false, "a.b-c": true, "plain": true, "pla.in": true,
	} {
		if refused := claimed.check(name); (refused == nil) != allowed {
			t.Errorf("%q: %v", name, refused)
		}
	}
}
