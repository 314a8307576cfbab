package main

import (
	"strings"
	"testing"
	"time"
)

// TestLedger has the judge of transfers find each of its faults, and nothing else.
func TestLedger(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	known := map[string]transfer{
		"a": {committed, at(0), at(5)}, "b": {committed, at(1), at(6)}, "c": {committed, at(7), at(9)},
		"lost": {inDoubt, at(7), time.Time{}}, "no": {aborted, at(7), time.Time{}},
	}
	type logs = map[int32][]string
	same := logs{0: {"a", "b", "c"}, 1: {"a", "b", "c"}}
	for _, one := range []struct {
		name              string
		records, followed logs
		endings           logs // nil: as the records
		want              string
	}{
		{"all is well", same, logs{0: {"a"}, 1: {"a", "b"}}, nil, ""},
		{"records in other orders than markers", logs{0: {"b", "a", "c"}, 1: {"a", "b", "c"}}, nil, same, ""},
		{"in doubt, and there", logs{0: {"a", "b", "c", "lost"}, 1: {"a", "b", "c", "lost"}}, nil, nil, ""},
		{"half of it", logs{0: {"a", "b", "c"}, 1: {"a", "c"}}, nil, nil, "b, which was committed, has 1 records"},
		{"half in doubt", logs{0: {"a", "b", "c", "lost"}, 1: {"a", "b", "c"}}, nil, nil, "lost, which was in doubt"},
		{"aborted", logs{0: {"a", "b", "c", "no"}, 1: {"a", "b", "c", "no"}}, nil, nil, "no, which was aborted, has 2"},
		{"two orders", same, nil, logs{0: {"a", "b", "c"}, 1: {"b", "a", "c"}}, "transfers are in a circle"},
		{"before its time", same, nil, logs{0: {"c", "a", "b"}, 1: {"c", "a", "b"}}, "began after its end"},
		{"followed something else", same, logs{0: {"no"}}, nil, "other transfers than are there"},
	} {
		t.Run(one.name, func(t *testing.T) {
			l := newLedger()
			l.records, l.endings = one.records, one.endings
			if l.endings == nil {
				l.endings = l.records
			}
			bank := &transfers{known: known, followed: one.followed}
			err := bank.check(l)
			switch {
			case one.want == "" && err != nil:
				t.Error(err)
			case one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)):
				t.Errorf("%v, want %q", err, one.want)
			}
		})
	}
}
