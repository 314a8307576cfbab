// Package tools makes the same calls of Apache Kafka's command line to Firn and to Apache Kafka,
// and compares what comes of them.
package tools

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/test/process"
	"firn.dev/test/process/processtest"
)

var kafkaJars = flag.String("tools.kafka", "", "folder with the jars of Apache Kafka")

// TestAccess: ACLs, users and quotas, against Apache Kafka's StandardAuthorizer.
func TestAccess(t *testing.T) {
	agree(t, "access", []string{"--authorizer", "acl", "--super-users", "User:ANONYMOUS"},
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:ANONYMOUS\n")
}

// TestTopics: topics, configs, groups and the cluster.
func TestTopics(t *testing.T) {
	agree(t, "topics", nil, "offsets.topic.num.partitions=1\ngroup.initial.rebalance.delay.ms=200\n"+
		"share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n"+
		"share.coordinator.state.topic.num.partitions=4\n")
}

// agree makes the calls of testdata/NAME.calls to Firn and to Apache Kafka, one after the other,
// each on what those before it have left, and wants them to print the same and to end with the same
// status. A line that begins with a space goes on with the one before. A line that begins with #
// says why the call behind it differs, and then it has to. Lines that are printed may come in
// another order, because Apache Kafka's do so from call to call, and an error may have other words.
func agree(t *testing.T, name string, flags []string, properties string) {
	if *kafkaJars == "" {
		return // make test-tools gives them
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	bin, err := process.Build(ctx, t.TempDir(), "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	spec := func(command []string) process.Spec {
		t.Helper()
		s, err := process.NewSpec(command, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	own := processtest.Start(t, spec(append(process.Firn(bin), flags...))).Spec()
	theirs := spec(process.Apache(*kafkaJars))
	if err := process.FormatApache(ctx, *kafkaJars, theirs, properties); err != nil {
		t.Fatal(err)
	}
	apache, err := process.Start(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer apache.Kill()
	if _, err := apache.Ready(ctx); err != nil { // on a busy machine that takes more than a minute
		t.Fatal(err)
	}
	lines, intended := callsOf(t, name)
	got := outputOf(ctx, t, lines, own.Kafka)
	want := outputOf(ctx, t, lines, theirs.Kafka)
	if len(got) != len(lines) || len(want) != len(lines) {
		t.Errorf("of %d calls %d have ended with Firn, and %d with Apache Kafka", len(lines), len(got), len(want))
	}
	same := 0
	for i, call := range lines[:min(len(got), len(want))] {
		diff, why := cmp.Diff(want[i], got[i]), intended[i]
		switch {
		case diff == "" && why == "":
			same++
		case diff == "":
			t.Errorf("%s prints the same, though it should not: %s", call, why)
		case why == "":
			t.Errorf("%s prints (-Apache Kafka +Firn):\n%s", call, diff)
		default:
			t.Logf("%s differs: %s", call, why)
		}
	}
	t.Logf("%d of %d calls print the same and end with the same status", same, len(lines))
}

// callsOf reads the calls, and why some of them differ.
func callsOf(t *testing.T, name string) (calls []string, intended map[int]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".calls")
	if err != nil {
		t.Fatal(err)
	}
	intended = map[int]string{}
	why := ""
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\n ", " ")) {
		line = strings.TrimSpace(line)
		if reason, is := strings.CutPrefix(line, "# "); is {
			why = reason
			continue
		}
		calls = append(calls, line)
		if why != "" {
			intended[len(calls)-1] = why
		}
		why = ""
	}
	return calls, intended
}

// Lines of stack traces, the words of errors behind their type, lists whose order is Java's, and
// what is another each time.
var (
	stackLine  = regexp.MustCompile(`(?m)^\s*(at |\.\.\. |Tools\$Exited$|null$|SLF4J:|Caused by: |Suppressed: ).*\n`)
	errorWords = regexp.MustCompile(`((?:org\.apache\.kafka|java)[A-Za-z.]*(?:Exception|Error)): .*`)
	listed     = regexp.MustCompile(`\[[A-Z_, ]+\]|SCRAM-SHA-\d+=iterations=.*`)
	toolWords  = regexp.MustCompile(`(while executing topic command|Could not (?:up|down)grade \S+ to \d+)[ :.].*`)
	moment     = regexp.MustCompile(`\[\d{4}-\d\d-\d\d [^\]]*\]|\b1[78]\d{11}\b|` +
		`TopicId: \S+|(?i:cluster ?id): \S+|/bucket|/tmp/[^"]*/logs`)
	spaces = regexp.MustCompile(`[ \t]+`)
)

// outputOf makes calls, and returns what each prints, in the order of its lines, and its status.
func outputOf(ctx context.Context, t *testing.T, calls []string, at string) (printed [][]string) {
	t.Helper()
	var input strings.Builder
	for _, call := range calls {
		words := strings.Fields(call)
		where, server := 1, []string{"--bootstrap-server", at}
		if words[0] == "cluster" { // whose subcommand comes before it
			where = len(words)
		}
		input.WriteString(strings.Join(slices.Insert(words, where, server...), "\t") + "\n")
	}
	cmd := exec.CommandContext(ctx, "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
		filepath.Join(*kafkaJars, "*"), "Tools.java")
	cmd.SysProcAttr, cmd.Stdin = process.DiesWithParent(), strings.NewReader(input.String())
	made, err := cmd.Output()
	if err != nil {
		t.Errorf("java: %v (make test-needs installs it)\n%s", err, made)
	}
	out := stackLine.ReplaceAllString(strings.ReplaceAll(string(made), at, "HOST"), "")
	var lines []string
	out = toolWords.ReplaceAllString(errorWords.ReplaceAllString(out, "$1"), "$1")
	_, port, _ := net.SplitHostPort(at)
	out = strings.ReplaceAll(out, " "+port+" ", " PORT ")
	for line := range strings.Lines(moment.ReplaceAllString(out, "ANY")) {
		line = listed.ReplaceAllStringFunc(strings.TrimSpace(line), func(list string) string {
			names := strings.Split(strings.Trim(list, "[]"), ", ")
			slices.Sort(names)
			return fmt.Sprint(names)
		})
		line = spaces.ReplaceAllString(line, " ")
		if strings.HasPrefix(line, "== ") {
			slices.Sort(lines)
			printed = append(printed, append(lines, line))
			lines = nil
		} else if line != "" {
			lines = append(lines, line)
		}
	}
	return printed
}
