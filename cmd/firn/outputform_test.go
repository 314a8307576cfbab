package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"firn.dev/coordinator"
)

// saysNothing are the commands that print no facts to standard output: those that change something
// say so on standard error, and the others have a form of their own.
var saysNothing = map[string]string{
	"firn serve":        "runs a node",
	"firn topic create": "changes", "firn topic alter": "changes", "firn topic delete": "changes",
	"firn group delete": "changes", "firn group export": "prints offsets, by --format",
	"firn user set": "changes", "firn user delete": "changes", "firn user hash": "prints a line of --users-file",
	"firn acl create": "changes", "firn acl delete": "changes",
	"firn quota set": "changes", "firn quota remove": "changes",
	"firn txn abort":      "changes",
	"firn profile create": "changes", "firn profile use": "changes", "firn profile edit": "changes",
	"firn profile delete": "changes",
	"firn produce":        "writes records", "firn consume": "prints records, by --format",
	"firn man":    "writes files",
	"firn health": "prints ready, and its exit status says it",
}

// TestEveryAnswerHasForms holds that each command that prints facts prints them as JSON and YAML as
// well.
func TestEveryAnswerHasForms(t *testing.T) {
	seen := map[string]bool{}
	walk(newRoot(streams{}), func(cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			return
		}
		path := cmd.CommandPath()
		seen[path] = true
		_, silent := saysNothing[path]
		if has := cmd.Flags().Lookup(outputFlag) != nil; has == silent {
			t.Errorf("%s: --%s is there: %t; saysNothing names it: %t", path, outputFlag, has, silent)
		}
	})
	for path := range saysNothing {
		if !seen[path] {
			t.Errorf("saysNothing names %s, which is no command", path)
		}
	}
}

// walk visits a command and all below it.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

// TestOutputForms holds that the three forms have the same fields, and that names which strangers
// chose reach no terminal as they are.
func TestOutputForms(t *testing.T) {
	type row struct {
		Name  string     `json:"name"`
		Lag   *int64     `json:"lag"`
		Has   assignment `json:"has" table:"is to have"`
		inner string
	}
	type document struct {
		Group   string            `json:"group"`
		Empty   string            `json:"empty,omitempty"`
		Configs map[string]string `json:"configs" table:"config"`
		Rows    []row             `json:"the_rows"`
	}
	found := document{"\x1b[31mred\n", "", map[string]string{"b": "2", "a": "<1>"},
		[]row{{"true", new(int64(7)), assignment{"t": {1, 0}}, "x"}, {"longer", nil, nil, "y"}}}
	table := `group     \x1b[31mred\n
config    a=<1>
config    b=2
the rows  2

name    lag  is to have
true      7  t:0,1
longer    -
`
	if diff := cmp.Diff(table, printed(t, asTable, found)); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
	var fromJSON, fromYAML any
	if err := json.Unmarshal([]byte(printed(t, asJSON, found)), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(printed(t, asYAML, found)), &fromYAML); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(fromJSON)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(again)); diff != "" {
		t.Errorf("YAML says something else than JSON (-json +yaml):\n%s", diff)
	}
}

func printed(t *testing.T, form outputForm, found any) string {
	t.Helper()
	var b bytes.Buffer
	if err := form.print(&b, found); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestEveryTextHasForms: no text that a stranger chose makes JSON or YAML unreadable, or another
// text.
func TestEveryTextHasForms(t *testing.T) {
	var runes []rune
	for _, part := range [][2]rune{{0, 0x2ff}, {0x2020, 0x2030}, {0xfef0, 0xffff}, {0x10000, 0x10002}} {
		for r := part[0]; r <= part[1]; r++ {
			runes = append(runes, r)
		}
	}
	type named struct {
		Name string `json:"name"`
	}
	want := []named{{string(runes)}}
	for _, r := range runes {
		want = append(want, named{string(r)})
	}
	for form, decode := range map[outputForm]func([]byte, any) error{asJSON: json.Unmarshal, asYAML: yaml.Unmarshal} {
		var got []named
		if err := decode([]byte(printed(t, form, want)), &got); err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", form, diff)
		}
	}
	var audited bytes.Buffer
	list := auditList{form: asYAML, w: &audited}
	if err := list.add(coordinator.AuditObject{Detail: string(runes)}); err != nil {
		t.Fatal(err)
	}
	if err := list.end(coordinator.AuditReport{}); err != nil {
		t.Fatal(err)
	}
	var found struct{ Objects []struct{ Detail string } }
	if err := yaml.Unmarshal(audited.Bytes(), &found); err != nil || found.Objects[0].Detail != string(runes) {
		t.Errorf("an audited object is %q: %v", found, err)
	}
}
