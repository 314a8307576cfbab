package main

import (
	"context"
	"log"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"firn.dev/test/process"
)

var firn func() (string, error) // builds it, once

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	firn = sync.OnceValues(func() (string, error) {
		return process.Build(context.Background(), dir, firnPackage, buildFlags...)
	})
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// built returns a firn of this tree.
func built(t *testing.T) string {
	t.Helper()
	bin, err := firn()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// torture runs a short torture of a real server, built from this tree.
func torture(t *testing.T, opts Options) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	bin := built(t)
	opts.Command, opts.Dir, opts.Log = process.Firn(bin), t.TempDir(), t.Output()
	opts.Duration = 2 * time.Minute // a bound: the number of strikes ends it
	opts.Seed = rand.Uint64()
	result, err := Torture(ctx, opts)
	t.Logf("seed %d\n%s", opts.Seed, result)
	if err != nil {
		t.Fatal(err)
	}
	if result.Acknowledged == 0 || result.Read == 0 {
		t.Errorf("the torture was none: %d records acknowledged, %d read", result.Acknowledged, result.Read)
	}
	return result
}

// TestKills is the promise itself: kill -9 at random moments, and nothing lost, nothing twice, no
// offset moved.
func TestKills(t *testing.T) {
	if result := torture(t, Options{Strike: Kill, Strikes: 10}); result.Strikes < 10 {
		t.Errorf("only %d kills", result.Strikes)
	}
}

// TestKillsPlainProducers has producers without idempotence: they may write twice what was in
// flight at a kill, and nothing else.
func TestKillsPlainProducers(t *testing.T) {
	torture(t, Options{Strike: Kill, Strikes: 4, Plain: true})
}

// TestTerminate stops servers as an operator does: each drains and exits with status 0, and clients
// are shown no error.
func TestTerminate(t *testing.T) { torture(t, Options{Strike: Terminate, Strikes: 3}) }

// TestTakeover starts a second server on the directory of the first while that is under load. The
// second fences the first, which stops acknowledging, says why and ends; what either acknowledged
// is there.
func TestTakeover(t *testing.T) { torture(t, Options{Strike: Takeover, Strikes: 3}) }

// TestFullDisk has the disk be full now and then: the server goes on, clients are shown no error,
// and what was acknowledged is there. Without root, the table says why nothing was struck.
func TestFullDisk(t *testing.T) {
	if why := whyNoDisk(); why != "" {
		result, err := Torture(t.Context(), Options{Strike: FillDisk})
		if err != nil || len(result.Table.row(FillDisk).Notes) != 1 {
			t.Fatalf("%v\n%s", err, result)
		}
		t.Skip(result.Table)
	}
	if result := torture(t, Options{Strike: FillDisk, Strikes: 1}); result.Table.row(FillDisk).Injected != 1 {
		t.Errorf("the disk was full %d times", result.Table.row(FillDisk).Injected)
	}
}

// TestAdminChurn creates, fills, grows and deletes topics while the server is killed.
func TestAdminChurn(t *testing.T) {
	if result := torture(t, Options{Strike: Kill, Strikes: 4, Churn: true}); result.Churned == 0 {
		t.Error("no topic was churned")
	}
}

// TestCleanup kills a server while it merges, removes what is old and collects garbage, all of it
// within seconds.
func TestCleanup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	opts := CleanupOptions{Firn: built(t), Options: Options{Dir: t.TempDir(), Strikes: 4, Churn: true, Seed: rand.Uint64(),
		Log: t.Output()}}
	result, err := TortureCleanup(ctx, opts)
	t.Logf("seed %d\n%s", opts.Seed, result)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range cleanupCounters {
		if result.Counts[name] == 0 && name != "firn_cleanup_failures_total" {
			t.Errorf("%s is 0: there was nothing to kill", name)
		}
	}
}

func TestPayload(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for number := range int64(2000) {
		key, value, want := encode(random, 3, 7, number)
		got, err := decode(key, value)
		if err != nil || got != want {
			t.Fatalf("decode(encode()) = %v, %v, want %v", got, err, want)
		}
		value[random.IntN(len(value))] ^= 1
		if _, err := decode(key, value); err == nil {
			t.Fatal("a flipped bit was not noticed")
		}
	}
}
