package dynamicconfig

import (
	"slices"
	"strings"
	"testing"
)

// Defaults obey their own rules, configs are ordered by name, and keys read back.
func TestTable(t *testing.T) {
	for kind, all := range definitions {
		if !slices.IsSortedFunc(all, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("configs of a %s are not ordered", kind)
		}
		for _, d := range all {
			if kind != Group && d.check(d.Default) != nil {
				t.Errorf("%s %s: its default is wrong: %v", kind, d.Name, d.check(d.Default))
			}
			r := Resource{kind, `a "name", <b>`}
			if got, config, ok := parseKey(r.key(d.Name)); got != r || config != d.Name || !ok {
				t.Errorf("the key of %s reads back as %v, %q, %v", d.Name, got, config, ok)
			}
		}
	}
	for _, key := range []string{``, `[]`, `["group","g"]`, `["group","g","no.such"]`, `["planet","g","interval.ms"]`} {
		if r, _, ok := parseKey(key); ok {
			t.Errorf("key %s is understood as %v", key, r)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		kind        Kind
		name, value string
		wrong       string // part of the error; empty: none
	}{
		{Group, ConsumerSessionTimeout, "45000", ""},
		{Group, ConsumerSessionTimeout, "999", "1000 to 86400000"},
		{Group, ConsumerSessionTimeout, "4e4", "whole number"},
		{Group, "interval.ms", "1000", "there are consumer.heartbeat.interval.ms"},
		{Broker, "leader.replication.throttled.rate", "-1", "0 to"},
		{ClientMetrics, "match", "client_id=a.*,client_software_name=java", ""},
		{ClientMetrics, "match", "client_id=[", "regular expression"},
		{ClientMetrics, "match", "color=blue", `"color"`},
		{ClientMetrics, "metrics", strings.Repeat("m", maxValueBytes+1), "at most 1024"},
	} {
		err := Check(Resource{c.kind, "r"}, map[string]string{c.name: c.value})
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s %s=%.20s: %v, want %q", c.kind, c.name, c.value, err, c.wrong)
		}
	}
	interval := map[string]string{"interval.ms": "1000"}
	for name, wrong := range map[string]string{
		strings.Repeat("n", maxNameBytes): "", strings.Repeat("n", maxNameBytes+1): "256 bytes", "\xff": "UTF-8",
	} {
		err := Check(Resource{ClientMetrics, name}, interval)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("a name of %d bytes: %v, want %q", len(name), err, wrong)
		}
		if err := Check(Resource{ClientMetrics, name}, nil); err != nil {
			t.Errorf("the configs of a name of %d bytes cannot be deleted: %v", len(name), err)
		}
	}
}

// How long a value may be is looked at before what it says.
func TestLengthIsCheckedFirst(t *testing.T) {
	value := "client_id=" + strings.Repeat("(", maxValueBytes)
	err := Check(Resource{ClientMetrics, "m"}, map[string]string{"match": value})
	if err == nil || strings.Contains(err.Error(), "regular expression") {
		t.Errorf("a value of %d bytes: %v", len(value), err)
	}
}
