package linear

import (
	"fmt"
	"strings"
	"testing"
)

func wrote(call, back, offset int64, records ...string) Operation {
	return Operation{1, call, back, Input{Append: records}, Output{Outcome: Acknowledged, Offset: offset}}
}

func tried(call int64, outcome Outcome, records ...string) Operation {
	return Operation{2, call, call + 1, Input{Append: records}, Output{Outcome: outcome}}
}

func read(call, back, offset int64, records ...string) Operation {
	return Operation{3, call, back, Input{Offset: offset}, Output{Records: records}}
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		history []Operation
		says    string // part of the explanation; empty: the history is right
	}{
		"empty": {nil, ""},
		"written and read": {[]Operation{wrote(1, 2, 0, "a", "b"), wrote(3, 4, 2, "c"), read(5, 6, 1, "b", "c")},
			""},
		"read before the answer":   {[]Operation{wrote(1, 9, 0, "a"), read(2, 3, 0, "a")}, ""},
		"concurrent, either order": {[]Operation{wrote(1, 9, 1, "a"), wrote(2, 3, 0, "b")}, ""},
		"unknown and seen": {[]Operation{tried(1, Unknown, "a", "b"), wrote(8, 9, 2, "c"),
			read(10, 11, 1, "b", "c")}, ""},
		"unknown and never seen": {[]Operation{tried(1, Unknown, "a"), wrote(8, 9, 0, "c"), read(10, 11, 0, "c")}, ""},
		"unknown fills what is missing": {[]Operation{tried(1, Unknown, "a"), tried(1, Unknown, "b", "c"),
			wrote(8, 9, 2, "d")}, ""},
		"failed and not seen": {[]Operation{tried(1, Failed, "a"), wrote(8, 9, 0, "c")}, ""},

		"two records at one offset": {[]Operation{wrote(1, 2, 0, "a"), wrote(3, 4, 0, "b")},
			`append [b]: acknowledged at 0`},
		"read something else":     {[]Operation{wrote(1, 2, 0, "a"), read(3, 4, 0, "b")}, `read 0: [b]`},
		"read before it was sent": {[]Operation{read(1, 2, 0, "a"), wrote(3, 4, 0, "a")}, `read 0: [a]`},
		"read at two offsets":     {[]Operation{wrote(1, 2, 0, "a"), read(3, 4, 0, "a", "a")}, `read 0: [a a]`},
		"order of one after the other": {[]Operation{wrote(1, 2, 1, "a"), wrote(3, 4, 0, "b")},
			`append [a]: acknowledged at 1`},
		"failed and seen": {[]Operation{tried(1, Failed, "a"), read(3, 4, 0, "a")}, `read 0: [a]`},
		"a hole": {[]Operation{wrote(1, 2, 0, "a"), wrote(3, 4, 2, "b")},
			`append [b]: acknowledged at 2`},
		"unknown is too small for it": {[]Operation{tried(1, Unknown, "a"), wrote(3, 4, 2, "b")},
			`append [b]: acknowledged at 2`},
		"unknown, sent behind its gap": {[]Operation{wrote(1, 2, 1, "b"), tried(5, Unknown, "a")},
			`append [b]: acknowledged at 1`},
		"seen, then gone": {[]Operation{tried(1, Unknown, "a"), read(2, 3, 0, "a"), wrote(4, 5, 0, "b")},
			`append [b]: acknowledged at 0`},
		"the second half of an append": {[]Operation{wrote(1, 2, 0, "a", "b"), read(3, 4, 1, "c")}, `read 1: [c]`},
	} {
		t.Run(name, func(t *testing.T) {
			ok, explanation := Check(test.history)
			if ok != (test.says == "") || !strings.Contains(explanation, test.says) {
				t.Errorf("says %v: %s", ok, explanation)
			}
		})
	}
}

// A history as long as a run of the torture is decided quickly: appends of unknown outcome do not
// multiply the orders to try.
func TestCheckManyUnknown(t *testing.T) {
	var history []Operation
	for i := range int64(2000) {
		name := fmt.Sprint("r", i)
		history = append(history, tried(10*i, Unknown, name+"?"), wrote(10*i, 10*i+25, i, name),
			read(10*i+11, 10*i+40, i, name))
	}
	if ok, explanation := Check(history); !ok {
		t.Error(explanation)
	}
}
