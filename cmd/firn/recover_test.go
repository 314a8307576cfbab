package main

import (
	"bytes"
	"strings"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
	"firn.dev/segments/file"
)

// command runs one command line in this process.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), streams{In: strings.NewReader(""), Out: &out, Err: &errs}, args)
	return status, out.String(), errs.String()
}

// TestRecover loses Redis under a node: a dry run says what is there and what would be done,
// recovering does it, and the node goes on.
func TestRecover(t *testing.T) {
	dir := t.TempDir()
	server := redistest.Start(t)
	where := "redis://" + server.Addr
	args := []string{"--store", dir, "--coordinator", where}
	wants := func(want string, more ...string) {
		t.Helper()
		status, out, errs := command(t, append(append([]string{"recover"}, args...), more...)...)
		if status != 0 || !strings.Contains(out, want) {
			t.Fatalf("firn recover %v: status %d, no %q in\n%s%s", more, status, want, out, errs)
		}
	}
	wants("holds no cluster", "--dry-run")

	store, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	at, err := parseCoordinator(where)
	if err != nil {
		t.Fatal(err)
	}
	coord, closeIt, err := at.open(t.Context(), coordinator.DefaultCommitDeadline)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt()
	node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: coord})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close(t.Context())
	create := func(name string) {
		t.Helper()
		topic := coordinator.CreateTopic{ID: segments.NewTopicID(), Name: name, Partitions: 3}
		if _, err := node.Change(t.Context(), coordinator.Change{CreateTopic: &topic}); err != nil {
			t.Fatal(err)
		}
	}
	create("before")
	wants("holds 1 topics, 3 partitions", "--dry-run")
	wants("no recovery is needed", "--dry-run")

	node.Close(t.Context())
	server.Do("FLUSHALL")
	wants("holds nothing that can be trusted", "--dry-run")
	wants("recovered   incarnation 2")
	wants("holds incarnation 2: no recovery is needed", "--dry-run")
}

// TestRecoverRefuses checks what has nothing to recover.
func TestRecoverRefuses(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"recover", "--store", t.TempDir()}, statusUsage, "--coordinator embedded has nothing to recover"},
		{[]string{"recover", "--coordinator", "http://x"}, statusUsage, "--coordinator unknown scheme"},
	} {
		status, _, errs := command(t, test.args...)
		if status != test.status || !strings.Contains(errs, test.want) {
			t.Errorf("%v: status %d, %s", test.args, status, errs)
		}
	}
}
