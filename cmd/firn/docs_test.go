package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"firn.dev/coordinator/topicconfig"
)

// flagRow is one row of the table of flags: | `--flag` | `default` | …
var flagRow = regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`([^`]*)`)? ?\\|")

// TestDocsKnowEveryFlag holds the table of flags against the flags of serve and their defaults.
func TestDocsKnowEveryFlag(t *testing.T) {
	want := map[string]string{}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(serveOptions).addFlags(flags)
	flags.VisitAll(func(f *pflag.Flag) { want[f.Name] = f.DefValue })
	want["advertise"], want["advertise-http"] = "--kafka-addr", "--http-addr" // which they follow

	got := map[string]string{}
	for _, row := range flagRow.FindAllStringSubmatch(document(t, "operating/configuration.md"), -1) {
		got[row[1]] = row[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/operating/configuration.md: the table of flags differs (-flags +table):\n%s", diff)
	}
}

// TestSettingsOfAnswersAreFlags wants what answers over HTTP name to be flags of serve.
func TestSettingsOfAnswersAreFlags(t *testing.T) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(serveOptions).addFlags(flags)
	for option, flag := range restSettings {
		if name, is := strings.CutPrefix(flag, "--"); !is || flags.Lookup(name) == nil {
			t.Errorf("%s is called %s, which is no flag of serve", option, flag)
		}
	}
}

var configName = regexp.MustCompile("`([a-z]+(?:\\.[a-z]+)+)`")

// TestDocsKnowEveryTopicConfig wants every config that Firn honours in the table of topic configs.
func TestDocsKnowEveryTopicConfig(t *testing.T) {
	named := map[string]bool{}
	for _, match := range configName.FindAllStringSubmatch(document(t, "using/topics.md"), -1) {
		named[match[1]] = true
	}
	for _, d := range topicconfig.All() {
		if d.Effect == topicconfig.Honoured && !named[d.Name] {
			t.Errorf("docs/using/topics.md does not name %s", d.Name)
		}
	}
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
