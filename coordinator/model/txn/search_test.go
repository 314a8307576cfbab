package txn

import (
	"fmt"
	"strings"
	"testing"

	"firn.dev/coordinator/model/explore"
)

func search(cfg *config, rules rules, limit int) (*explore.Result, string) {
	m := newModel(cfg, rules)
	r := explore.Search(m, limit)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", cfg.Name, r.Violation)
	for i, move := range m.trace(r.Way) {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, move)
	}
	return r, b.String()
}

// TestTransactions searches all that can happen within the bounds of each configuration.
func TestTransactions(t *testing.T) {
	configs, err := explore.Chosen(shortConfigs, longConfigs, configNamed)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, cfg := range configs {
		r, way := search(cfg, explore.All[rules](), *explore.Limit)
		t.Logf("%-12s %s", cfg.Name, r)
		total += r.States
		switch {
		case r.Violation != "":
			t.Error(way)
		case !r.Complete:
			t.Errorf("%s has more than %d states, and the rest was not seen: raise -model.states", cfg.Name, *explore.Limit)
		case r.States != cfg.States:
			t.Errorf("%s has %d states, and States says %d: has the model changed as it was meant to?",
				cfg.Name, r.States, cfg.States)
		}
	}
	t.Logf("%d states", total)
}

// need is a rule, and the configuration in which a search finds a violation without it.
type need struct {
	rules  string // one, or several that stand in for each other
	config string
	breaks string // promise
}

var needs = []need{
	{"DecidedByJournal", "hasty", "T1"},
	{"CarryWhole", "late", "T3"},
	{"CopyStaged", "staged", "T2"},
	{"HighestStands", "next", "T1"},
	{"PlaceAnew", "one", "T4"},
	{"CarryOrdinal", "next", "T1"},
	{"EndingWhole", "one", "T4"},
	{"EndNothing", "one", "T4"},
	{"AnswerComplete", "one", "T1"},
	{"CountComplete", "offsets", "T2"},
	{"EndingEpoch", "one", "T1"},
	{"EndingOrdinal", "zombie", "T1"},
	{"EndingOfLife", "zombie", "T1"},
	{"RefusalConfirmed", "one", "T1"},
	{"EpochOfID", "hasty", "T1"},
	{"StageEpoch", "late", "T3"},
	{"FenceConfirmed", "zombie", "T3"},
	{"FenceOwn", "zombie", "T3"},
	{"InitWaits", "zombie", "T3"},
	{"BumpInEnding", "zombie", "P4"},
	{"RetryStored", "one", "P4"},
	{"ClearEnded", "zombie", "T3"},
	{"OldClears", "old", "T1"},
	{"PreviousComplete", "zombie", "T3"},
	{"PreviousAborted", "one", "T1"},
	{"PreviousCleared", "zombie", "T3"},
	{"StageJournaled", "offsets", "T2"},
	{"OldAdds", "old", "T1"},
	{"AllOrNone", "functions", "R10"},
	{"PlaceRequests", "functions", "R10"},
	{"ClaimInCommit", "functions", "R10"},
	{"ClaimWaits", "functions", "R10"},
	{"CommitWaits", "hasty", "T1"},
	{"NotWhileOpen", "expired", "T4"},
	{"DeletedIsDone", "deleted", "T4"},
	{"DeletedConfirmed", "deleted", "T1"},
	{"BelowStable", "merged", "T5"},
	{"AbortedFirst", "merged", "T5"},
	{"OneProducer", "merged", "T5"},
	{"TrimByMarker", "merged", "T5"},
	{"OneStep", "hasty", "T1"},
}

// spare are rules without which no search finds anything, because others stand in for them. They
// are kept as a second line.
var spare = map[string]need{
	"OnlyOpen":         {rules: "a marker where nothing is open closes nothing", config: "one"},
	"NextComplete":     {rules: "AnswerComplete: a producer learns its next epoch from the answer", config: "next"},
	"NoneWhileMissing": {rules: "NextComplete; and after a recovery no marker is missing", config: "next"},
}

func TestRulesAreNeeded(t *testing.T) {
	for _, n := range needs {
		t.Run(n.rules, func(t *testing.T) {
			r, way := search(configNamed(n.config), explore.Without[rules](strings.Split(n.rules, "+")...), 0)
			if r.Violation == "" {
				t.Fatalf("without this rule nothing is found: %s", explore.Say[rules](n.rules))
			}
			t.Logf("%s: %s\n%s", explore.Say[rules](n.rules), r, way)
			if !strings.HasPrefix(r.Violation, n.breaks+":") {
				t.Errorf("it breaks another promise than %s: %s", n.breaks, r.Violation)
			}
		})
	}
}

// TestRulesThatOthersStandInFor keeps the list of spare rules honest.
func TestRulesThatOthersStandInFor(t *testing.T) {
	for rule, n := range spare {
		t.Run(rule, func(t *testing.T) {
			if r, way := search(configNamed(n.config), explore.Without[rules](rule), 0); r.Violation != "" {
				t.Errorf("it is needed, so it belongs among the others: %s", way)
			}
		})
	}
}

func TestEachRuleIsTriedWithout(t *testing.T) {
	tried := map[string]bool{}
	for _, n := range needs {
		for rule := range strings.SplitSeq(n.rules, "+") {
			tried[rule] = true
		}
	}
	for _, rule := range explore.RuleNames[rules]() {
		if _, known := spare[rule]; known == tried[rule] {
			t.Errorf("%s (%s) belongs either among those that are needed or among the spare ones",
				rule, explore.Say[rules](rule))
		}
	}
}
