package model

import (
	"strings"
	"testing"

	"firn.dev/coordinator/model/explore"
)

// offsetsConfigs are what is searched: those behind the first three by make model only.
func offsetsConfigs(r offsetsRules) []*offsets {
	return []*offsets{
		{Name: "numbers", Nodes: 1, Commits: 3, Takes: 2, Fetches: 2, Rules: r},
		{Name: "owners", Nodes: 2, Commits: 2, Takes: 2, Fetches: 2, Rules: r},
		{Name: "recovery", Nodes: 2, Commits: 1, Takes: 2, Fetches: 1, Recovery: true, Rules: r},
		{Name: "takeovers", Nodes: 2, Commits: 2, Takes: 3, Fetches: 2, Rules: r},
		{Name: "rivals", Nodes: 2, Commits: 2, Takes: 2, Fetches: 1, Recovery: true, Rules: r},
	}
}

// Within an incarnation, who asks what is committed is told what was committed last, whatever is
// late, repeated or stopped.
func TestOffsets(t *testing.T) {
	configs := offsetsConfigs(explore.All[offsetsRules]())
	if !*explore.Long {
		configs = configs[:3]
	}
	for _, m := range configs {
		states, wrong := m.search()
		if wrong != nil {
			t.Errorf("%s: a fetch is answered with what stands no more:\n%s", m.Name, strings.Join(wrong, "\n"))
		}
		t.Logf("%s: %d states", m.Name, states)
	}
}

// Each rule is needed: without it the search finds an answer that is wrong.
func TestOffsetsRulesAreNeeded(t *testing.T) {
	for _, rule := range explore.RuleNames[offsetsRules]() {
		r := explore.Without[offsetsRules](rule)
		var found []string
		for _, m := range offsetsConfigs(r)[:3] {
			if _, found = m.search(); found != nil {
				t.Logf("without %s: %s, %d steps", rule, m.Name, len(found))
				break
			}
		}
		if found == nil {
			t.Errorf("without this rule nothing is found: %s", explore.Say[offsetsRules](rule))
		}
	}
}
