package logins

import (
	"context"
	"fmt"
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

// toolCalls are made one after the other, each on what those before it have left. A line that
// begins with a space goes on with the one before.
const toolCalls = `
acls --list
acls --add --allow-principal User:alice --operation Read --topic orders
acls --list
acls --add --allow-principal User:alice --operation Read --topic orders
acls --add --allow-principal User:bob --producer --topic orders
acls --add --allow-principal User:bob --consumer --topic orders --group g
acls --add --deny-principal User:mallory --deny-host 10.0.0.1 --operation All --topic orders
acls --add --allow-principal User:carol --operation Describe --operation AlterConfigs --cluster
acls --add --allow-principal User:dave --operation Write --transactional-id tx- --resource-pattern-type prefixed
acls --add --allow-principal User:dave --producer --idempotent --transactional-id one --topic *
acls --add --allow-principal User:* --operation Read --topic log- --resource-pattern-type prefixed
acls --add --allow-principal User:erin --operation Describe --delegation-token t
acls --add --allow-principal User:erin --operation DescribeTokens --user-principal User:frank
acls --add --allow-principal User:CN=gina,O=Example --operation Read --topic orders --allow-host 10.0.0.2
acls --list
acls --list --topic orders
acls --list --topic log-1
acls --list --topic log-1 --resource-pattern-type match
acls --list --topic log- --resource-pattern-type prefixed
acls --list --topic * --resource-pattern-type any
acls --list --group g
acls --list --cluster
acls --list --transactional-id tx-
acls --list --principal User:bob --topic orders
acls --list --topic nothing
acls --remove --allow-principal User:alice --operation Read --topic orders --force
acls --remove --allow-principal User:alice --operation Read --topic orders --force
acls --list --topic orders
acls --remove --topic orders --force
acls --remove --group g --force
acls --remove --topic log- --resource-pattern-type prefixed --force
acls --list
acls --add --operation Read --topic orders
acls --add --allow-principal User:alice --operation Burn --topic orders
acls --add --allow-principal User:alice --operation Read --cluster
acls --add --allow-principal alice --operation Read --topic orders
acls --add --allow-principal User:alice --operation Read --topic orders --resource-pattern-type match
acls --remove --force
configs --describe --entity-type users
configs --alter --entity-type users --entity-name alice --add-config SCRAM-SHA-512=[iterations=4096,password=secret]
configs --alter --entity-type users --entity-name alice --add-config SCRAM-SHA-256=[iterations=8192,password=secret]
configs --alter --entity-type users --entity-name bob --add-config SCRAM-SHA-256=[password=secret]
configs --describe --entity-type users
configs --describe --entity-type users --entity-name alice
configs --alter --entity-type users --entity-name alice --delete-config SCRAM-SHA-256
configs --describe --entity-type users --entity-name alice
configs --alter --entity-type users --entity-name alice --add-config SCRAM-SHA-512=[iterations=100,password=secret]
configs --alter --entity-type users --entity-name alice --add-config SCRAM-SHA-1=[password=secret]
configs --alter --entity-type users --entity-name nobody --delete-config SCRAM-SHA-256
configs --alter --entity-type users --entity-name alice --add-config producer_byte_rate=1024,consumer_byte_rate=2048
configs --alter --entity-type users --entity-default --add-config request_percentage=50.5
configs --alter --entity-type users --entity-name alice --entity-type clients --entity-name app
 --add-config producer_byte_rate=512
configs --alter --entity-type users --entity-name alice --entity-type clients --entity-default
 --add-config controller_mutation_rate=2
configs --alter --entity-type clients --entity-name app --add-config consumer_byte_rate=4096
configs --alter --entity-type clients --entity-default --add-config consumer_byte_rate=8192
configs --alter --entity-type ips --entity-name 10.0.0.7 --add-config connection_creation_rate=5
configs --alter --entity-type ips --entity-default --add-config connection_creation_rate=100
configs --describe --entity-type users
configs --describe --entity-type users --entity-name alice
configs --describe --entity-type users --entity-default
configs --describe --entity-type users --entity-type clients
configs --describe --entity-type users --entity-name alice --entity-type clients --entity-name app
configs --describe --entity-type users --entity-name alice --entity-type clients
configs --describe --entity-type clients
configs --describe --entity-type clients --entity-name app
configs --describe --entity-type clients --entity-default
configs --describe --entity-type ips
configs --describe --entity-type ips --entity-name 10.0.0.7
configs --describe --entity-type ips --entity-default
configs --alter --entity-type users --entity-name alice --delete-config consumer_byte_rate
configs --describe --entity-type users --entity-name alice
configs --alter --entity-type clients --entity-name app --delete-config consumer_byte_rate
configs --alter --entity-type ips --entity-name 10.0.0.7 --delete-config connection_creation_rate
configs --describe --entity-type clients
configs --describe --entity-type ips
configs --alter --entity-type users --entity-name alice --add-config speed=1
configs --alter --entity-type users --entity-name alice --add-config producer_byte_rate=0
configs --alter --entity-type users --entity-name alice --add-config producer_byte_rate=fast
configs --alter --entity-type ips --entity-name 10.0.0.7 --add-config producer_byte_rate=5
configs --alter --entity-type users --entity-name alice --delete-config producer_byte_rate,SCRAM-SHA-512
configs --describe --entity-type users
`

// TestKafkasToolsAgree makes the same calls of kafka-acls.sh and kafka-configs.sh against Firn and
// against Apache Kafka with its StandardAuthorizer, and wants them to print the same and to end
// with the same status. Lines may come in another order, because Apache Kafka's do so from call to
// call, and an error may have other words.
func TestKafkasToolsAgree(t *testing.T) {
	if *kafkaJars == "" {
		return // make test-logins gives them
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	bin, err := firn()
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
	own := spec(append(process.Firn(bin), "--authorizer", "acl", "--super-users", "User:ANONYMOUS"))
	theirs := spec(process.Apache(*kafkaJars))
	if err := process.FormatApache(ctx, *kafkaJars, theirs, "authorizer.class.name=org.apache.kafka.metadata.authorizer."+
		"StandardAuthorizer\nsuper.users=User:ANONYMOUS\n"); err != nil {
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
	calls := strings.Split(strings.ReplaceAll(strings.TrimSpace(toolCalls), "\n ", " "), "\n")
	got, want := toolOutput(t, calls, processtest.Start(t, own).Spec().Kafka), toolOutput(t, calls, theirs.Kafka)
	if len(got) != len(calls) || len(want) != len(calls) {
		t.Fatalf("of %d calls %d have ended with Firn, and %d with Apache Kafka", len(calls), len(got), len(want))
	}
	for i, call := range calls {
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Errorf("%s prints (-Apache Kafka +Firn):\n%s", call, diff)
		}
	}
	t.Logf("%d calls print the same and end with the same status", len(calls))
}

// Lines of stack traces, the words of errors behind their type, and lists whose order is Java's.
var (
	stackLine  = regexp.MustCompile(`(?m)^\t(at|\.\.\.) .*\n`)
	errorWords = regexp.MustCompile(`((?:org\.apache\.kafka|java)[A-Za-z.]*(?:Exception|Error)): .*`)
	listed     = regexp.MustCompile(`\[[A-Z_, ]+\]|SCRAM-SHA-\d+=iterations=.*`)
)

// toolOutput makes calls, and returns what each prints, in the order of its lines, and its status.
func toolOutput(t *testing.T, calls []string, at string) (printed [][]string) {
	t.Helper()
	var input strings.Builder
	for _, call := range calls {
		tool, args, _ := strings.Cut(call, " ")
		words := append([]string{tool, "--bootstrap-server", at}, strings.Fields(args)...)
		input.WriteString(strings.Join(words, "\t") + "\n")
	}
	out := run(t, input.String(), "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
		filepath.Join(*kafkaJars, "*"), "Tools.java")
	out = strings.ReplaceAll(out, at, "HOST")
	var lines []string
	for line := range strings.Lines(errorWords.ReplaceAllString(stackLine.ReplaceAllString(out, ""), "$1")) {
		line = listed.ReplaceAllStringFunc(strings.TrimSpace(line), func(list string) string {
			names := strings.Split(strings.Trim(list, "[]"), ", ")
			slices.Sort(names)
			return fmt.Sprint(names)
		})
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
