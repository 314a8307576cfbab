package coordinator

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckTopicName(t *testing.T) {
	for name, allowed := range map[string]bool{
		"a": true, "Orders-2026_v1.x": true, "...": true, "-": true, strings.Repeat("x", maxTopicName): true,
		"": false, ".": false, "..": false, strings.Repeat("x", maxTopicName+1): false,
		"a b": false, "a/b": false, "größe": false, "a\x00": false, "a\n": false, "a:b": false, "\xff": false,
	} {
		if err := CheckTopicName(name); (err == nil) != allowed || err != nil && !errors.Is(err, ErrTopicName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTopicNames(t *testing.T) {
	names := NamesOf([]*Topic{{Name: "a.b_c"}, {Name: "plain"}})
	for name, allowed := range map[string]bool{
		"a.b_c":              true, // it exists, which is another error
		"__consumer_offsets": false, "__cluster_metadata": false, "__consumer_offset": true,
		"a_b.c": false, "a_b_c": false, "a.b.c": false, "a.b-c": true, "plain": true, "pla.in": true,
	} {
		if err := names.Check(name); (err == nil) != allowed {
			t.Errorf("%q: %v", name, err)
		}
	}
}
