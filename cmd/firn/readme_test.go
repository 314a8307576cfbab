package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"firn/coordinator/topicconfig"
)

// flagRow is one row of README's table of flags: | `--flag` | `default` | …
var flagRow = regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`([^`]*)`)? ?\\|")

// TestReadmeKnowsEveryFlag holds README's table against the flags of serve and their defaults.
func TestReadmeKnowsEveryFlag(t *testing.T) {
	want := map[string]string{}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(serveOptions).addFlags(flags)
	flags.VisitAll(func(f *pflag.Flag) { want[f.Name] = f.DefValue })
	want["advertise"], want["advertise-http"] = "--kafka-addr", "--http-addr" // which they follow

	got := map[string]string{}
	for _, row := range flagRow.FindAllStringSubmatch(readme(t), -1) {
		got[row[1]] = row[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README's table of flags differs (-flags +README):\n%s", diff)
	}
}

var configName = regexp.MustCompile("`([a-z]+(?:\\.[a-z]+)+)`")

// TestReadmeKnowsEveryTopicConfig wants every config that Firn honours in README.
func TestReadmeKnowsEveryTopicConfig(t *testing.T) {
	named := map[string]bool{}
	for _, match := range configName.FindAllStringSubmatch(readme(t), -1) {
		named[match[1]] = true
	}
	for _, d := range topicconfig.All() {
		if d.Effect == topicconfig.Honoured && !named[d.Name] {
			t.Errorf("README does not name %s", d.Name)
		}
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
