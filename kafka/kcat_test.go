package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"firn.dev/kafka"
	"firn.dev/topics"
)

// kcat runs kcat against the server and returns what it prints. kcat stands for every client that
// is built on an old librdkafka.
func kcat(t *testing.T, f *firn, input string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatal("this test needs kcat: install it with `apt-get install kcat` or your system's equivalent")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"-b", f.address}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// Everything that a user of kcat does first: look around, write into a topic that does not exist,
// read it from either end and from a time, and ask for offsets.
func TestKcat(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	if got := kcat(t, f, "", "-L"); !strings.Contains(got, "broker 7 at "+f.address+" (controller)") {
		t.Errorf("kcat -L:\n%s", got)
	}
	kcat(t, f, "a:1\nb:2\n", "-P", "-t", "log", "-K", ":")
	if got := kcat(t, f, "", "-L", "-t", "log"); !strings.Contains(got, "partition 0, leader 7, replicas: 7, isrs: 7") {
		t.Errorf("kcat -L -t log:\n%s", got)
	}
	second := f.waitForTick()
	kcat(t, f, "c:3\nd:4\n", "-P", "-t", "log", "-K", ":", "-X", "enable.idempotence=true", "-z", "lz4")

	consume := func(from string) string {
		return kcat(t, f, "", "-C", "-t", "log", "-p", "0", "-o", from, "-e", "-q", "-f", `%o %k=%s\n`)
	}
	const all, later = "0 a=1\n1 b=2\n2 c=3\n3 d=4\n", "2 c=3\n3 d=4\n"
	for from, want := range map[string]string{
		"beginning": all, "0": all, "2": later, "-2": later, "end": "", fmt.Sprintf("s@%d", second): later, "s@0": all,
	} {
		if got := consume(from); got != want {
			t.Errorf("from %s kcat reads\n%swant\n%s", from, got, want)
		}
	}
	for at, want := range map[string]string{
		"-1": "offset 4", "-2": "offset 0", fmt.Sprint(second): "offset 2", fmt.Sprint(second + 3600_000): "offset -1",
	} {
		if got := kcat(t, f, "", "-Q", "-t", "log:0:"+at); !strings.Contains(got, want) {
			t.Errorf("kcat -Q -t log:0:%s says %q, want %s", at, got, want)
		}
	}
}

// waitForTick returns a time in milliseconds later than every record written so far and no later
// than any to come.
func (f *firn) waitForTick() int64 {
	now := time.Now().UnixMilli()
	for time.Now().UnixMilli() == now {
	}
	return now + 1
}
