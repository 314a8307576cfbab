package main

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"

	"firn.dev/test/process"
)

// start starts a node on a directory, and builds what members need.
func start(t *testing.T) (c *cluster, firn, worker string) {
	t.Helper()
	dir := t.TempDir()
	var err error
	if firn, err = process.Build(t.Context(), dir, "firn.dev/cmd/firn"); err != nil {
		t.Fatal(err)
	}
	if worker, err = process.Build(t.Context(), dir, "firn.dev/test/groups/worker"); err != nil {
		t.Fatal(err)
	}
	c, err = startCluster(t.Context(), firn, dir, 1)
	t.Cleanup(c.stop)
	if err != nil {
		t.Fatal(err)
	}
	return c, firn, worker
}

// TestGroups is the short version: every client in one group, two of them killed; a live upgrade; a
// chain; replay.
func TestGroups(t *testing.T) {
	for _, needed := range []string{"members/venv/bin/python", "members/java/lib/member-1.jar"} {
		if _, err := os.Stat(needed); err != nil {
			t.Fatalf("%v: run 'make test-needs'", err)
		}
	}
	c, firn, worker := start(t)
	for _, one := range []struct {
		protocol, assignor string
		strikes            int
	}{{"classic", "roundrobin", 1}, {"consumer", "uniform", 0}, {"upgrade", "range", 0}} {
		m := &mixed{cluster: c, protocol: one.protocol, assignor: one.assignor, strikes: one.strikes, log: t.Output(),
			random: rand.New(rand.NewPCG(1, 1))}
		m.choose(allClients(worker, "."), "")
		if err := m.judged(t.Context(), t.Output()); err != nil {
			t.Error(err)
		}
	}
	for _, balance := range []string{"cooperative-sticky", "consumer protocol"} {
		if _, err := (&chain{cluster: c, balance: balance, records: 20_000}).run(t.Context()); err != nil {
			t.Errorf("chain, %s: %v", balance, err)
		}
	}
	if err := replay(context.WithoutCancel(t.Context()), c, firn, 1000); err != nil {
		t.Errorf("replay: %v", err)
	}
}
