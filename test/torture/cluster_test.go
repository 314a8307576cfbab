package main

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"firn.dev/localstack"
)

// tortureCluster runs a short torture of a real cluster, built from this tree.
func tortureCluster(t *testing.T, opts ClusterOptions) ClusterResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir, err := localstack.TempDir() // MinIO does not work on tmpfs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	opts.Firn = built(t)
	opts.Dir, opts.Log, opts.Seed = dir, t.Output(), rand.Uint64()
	// the number of strikes ends it
	opts.Duration, opts.MaxPause, opts.Interval = 4*time.Minute, time.Second, 200*time.Millisecond
	opts.Producers, opts.Partitions = 2, 4
	result, err := TortureCluster(ctx, opts)
	t.Logf("seed %d\n%s", opts.Seed, result)
	if err != nil {
		t.Fatal(err)
	}
	if result.Acknowledged == 0 || result.Read == 0 {
		t.Errorf("the torture was none: %d records acknowledged, %d read", result.Acknowledged, result.Read)
	}
	return result
}

// TestCluster has six kinds of strikes fall once, others in each run. A clock that jumps is not
// among them: a binary whose clock can be set takes all of Go's library to be built anew, which
// make torture-cluster does. Without root, partitions are made with proxies that go silent, and the
// table says so.
func TestCluster(t *testing.T) {
	kinds := slices.DeleteFunc(slices.Clone(ClusterStrikes), func(s Strike) bool { return s == JumpClock })
	rand.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	kinds = kinds[:6]
	result := tortureCluster(t, ClusterOptions{Options: Options{Strikes: len(kinds), Transfers: 2}, Kinds: kinds})
	for _, kind := range kinds {
		if n := result.Table.row(kind).Injected; n != 1 {
			t.Errorf("%d strikes of kind %s", n, kind)
		}
	}
	if result.Transfers == "" {
		t.Error("there were no transactions")
	}
	if result.Linear.Windows == 0 {
		t.Error("porcupine has looked at nothing")
	}
}

// TestPartitions cuts two nodes off from Redis and MinIO, in turn and together, while topics come
// and go.
func TestPartitions(t *testing.T) {
	tortureCluster(t, ClusterOptions{Options: Options{Strikes: 3, Churn: true},
		Kinds: []Strike{CutRedis, CutMinIO, CutAll}})
}

// TestRollingUpdate replaces every node in turn, and no client may be shown an error.
func TestRollingUpdate(t *testing.T) {
	tortureCluster(t, ClusterOptions{Options: Options{Strikes: 1}, Kinds: []Strike{RollNodes}})
}

// TestFunctions has short-lived producers write under idempotency keys while a node is killed.
func TestFunctions(t *testing.T) {
	dir, err := localstack.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	result, err := Functions(t.Context(), built(t), dir, 100, t.Output())
	t.Logf("%s", result)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Err(); err != nil {
		t.Error(err)
	}
}

// TestOnce has functions die anywhere that work exactly once.
func TestOnce(t *testing.T) {
	dir, err := localstack.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	result, err := Once(ctx, built(t), dir, 30, t.Output())
	t.Logf("%s", result)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Err(); err != nil {
		t.Error(err)
	}
}
