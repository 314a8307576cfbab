package deploy

import (
	"os/exec"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// ruleFile is a file of Prometheus rules.
type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert       string            `json:"alert,omitempty"`
	Record      string            `json:"record,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file ruleFile
	if err := yaml.UnmarshalStrict([]byte(read(t, "monitoring/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("promtool is missing: run 'make test-needs'")
	}
	if out, err := exec.Command("promtool", "test", "rules", "monitoring/rules_test.yaml").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestEveryAlertIsExplainedAndTested wants a case and a paragraph in the runbook for each.
func TestEveryAlertIsExplainedAndTested(t *testing.T) {
	runbook, cases := read(t, "RUNBOOK.md"), read(t, "monitoring/rules_test.yaml")
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		_, paragraph, found := strings.Cut(runbook, "\n### "+r.Alert+"\n")
		if !found {
			t.Errorf("the runbook does not explain %s", r.Alert)
		} else if paragraph, _, _ = strings.Cut(paragraph, "\n### "); !strings.Contains(paragraph, "**Do**") {
			t.Errorf("the runbook does not say what to do about %s", r.Alert)
		}
		if want := "RUNBOOK.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
			t.Errorf("%s points at %q, want %q", r.Alert, r.Annotations["runbook"], want)
		}
		if !strings.Contains(cases, "alertname: "+r.Alert+"\n") {
			t.Errorf("no case tests %s", r.Alert)
		}
	}
}

// TestChartCarriesTheRules wants the chart's copy to be the same.
func TestChartCarriesTheRules(t *testing.T) {
	if read(t, "helm/firn/rules.yaml") != read(t, "monitoring/rules.yaml") {
		t.Error("helm/firn/rules.yaml is not monitoring/rules.yaml")
	}
}
