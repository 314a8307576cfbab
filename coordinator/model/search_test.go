package model

import (
	"slices"
	"strings"
	"testing"

	"firn.dev/coordinator/model/explore"
)

// TestProtocol searches all that can happen within the bounds of each configuration.
func TestProtocol(t *testing.T) {
	configs, err := explore.Chosen(shortConfigs, longConfigs, configNamed)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, cfg := range configs {
		r := newModel(cfg, allRules()).search(*explore.Limit)
		t.Log(r)
		total += r.States
		switch {
		case r.Violation != "":
			t.Error(r.explain())
		case !r.Complete && cfg.States == 0: // nobody has waited for its end: what was seen is right
		case !r.Complete:
			t.Errorf("%s has more than %d states, and the rest was not seen: raise -model.states", cfg.Name, *explore.Limit)
		case cfg.States != 0 && r.States != cfg.States:
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
}

var needs = []need{
	{"JournalBeforeConfirm", "tiny"},
	{"AckAfterConfirm", "tiny"},
	{"Seal", "hole"},
	{"SealVerified", "hole"},
	{"SealBeforeRead", "hole"},
	{"Fence", "restart"},
	{"NewestAtBegin", "flush"},
	{"NewestAfterLoad", "stale"},
	{"ServerIdentity", "restart"},
	{"CallsCarryGeneration", "guest"},
	{"IdempotentCommit", "tiny"},
	{"CommitsSurvive", "hole"},
	{"OpenOnce", "open"},
	{"OpenLoaded", "open"},
	{"HoleCut", "hole"},
	{"HighWatermark", "tiny"},
	{"HelpJournals", "tiny"},
	{"HelpOwnGeneration", "hole"},
	{"SettledBeforeLoad", "crash"},
	{"KeepLast", "snapshots"},
	{"SealsKept", "thaw"},
	{"LookAfterSilence", "thaw"},
	{"GuestSilence", "thawed"},
	{"ConnectedAfterSilence", "silent"},
	{"CoverSealed", "seals"},
	{"Keys", "keys"},
	{"KeysOpened", "keys"},
	{"KeysInSnapshots", "keys"},
	{"CarriedThere", "carry"},
	{"CarriedRecovered", "carryhole"},
	{"CarriedKept", "carriers"},
	{"CollectNewest", "cutoff"},
	{"CollectRipe", "collect"},
	{"CollectSettled", "collect"},
	{"CollectByBucket", "collect"},
	{"CommitDeadline", "collect"},
	{"MergeDeadline", "garbage"},
	{"MergeRipe", "again"},
	{"MergeInTurn", "merges"},
	{"NotLater+TidyNewest", "lagging"},
}

// slow are more of them, in configurations that take minutes.
var slow = []need{{"BeginSoon", "begin"}, {"GapMeansMoved", "loads"}, {"CarriedUnsealed", "carryquiet"}}

// spare are rules without which no search finds anything, because others stand in for them. They
// are kept as a second line.
var spare = map[string]need{
	"Settle":         {"NewestAtBegin: nobody lives in an incarnation that opens too late", "rivals"},
	"VoidIsFinal":    {"the same", "rivals"},
	"OpenHigher":     {"the same", "rivals"},
	"VoidsKept":      {"the same", "old"},
	"CarriedSealed":  {"a life ends by a recovery, which has sealed its chain, or by a crash", "carry"},
	"MergeConfirmed": {"a merge is applied only once its offsets are in the prefix", "merges"},
}

func TestRulesAreNeeded(t *testing.T) {
	tried := needs
	if *explore.Long {
		tried = append(slices.Clone(needs), slow...)
	}
	for _, n := range tried {
		t.Run(n.rules, func(t *testing.T) {
			r := newModel(configNamed(n.config), rulesWithout(strings.Split(n.rules, "+")...)).search(0)
			if r.Violation == "" {
				t.Fatalf("without this rule nothing is found: %s", sayRule(n.rules))
			}
			t.Logf("%s: %s", sayRule(n.rules), r)
			if len(r.Trace) == 0 {
				t.Error("nobody can say how that came about")
			}
		})
	}
}

// TestRulesThatOthersStandInFor keeps the list of spare rules honest.
func TestRulesThatOthersStandInFor(t *testing.T) {
	for rule, n := range spare {
		if !*explore.Long && !slices.Contains(shortConfigs, configNamed(n.config)) {
			continue // make model tries it
		}
		t.Run(rule, func(t *testing.T) {
			if r := newModel(configNamed(n.config), rulesWithout(rule)).search(0); r.Violation != "" {
				t.Errorf("it is needed, so it belongs among the others: %s", r.explain())
			}
		})
	}
}

func TestEachRuleIsTriedWithout(t *testing.T) {
	tried := map[string]bool{}
	for _, n := range append(slices.Clone(needs), slow...) {
		for rule := range strings.SplitSeq(n.rules, "+") {
			tried[rule] = true
		}
	}
	for _, rule := range ruleNames() {
		if _, known := spare[rule]; known == tried[rule] {
			t.Errorf("%s (%s) belongs either among those that are needed or among the spare ones", rule, sayRule(rule))
		}
	}
}
