package redis_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
)

// No script reads a whole structure: how long it takes would depend on what others do. But for that
// of the nodes, of which there are few, and for one transaction, which has a bounded number of
// partitions.
func TestScriptsReadParts(t *testing.T) {
	whole := regexp.MustCompile(`HGETALL|HVALS|HKEYS|SMEMBERS|'KEYS'|0, -1`)
	scripts, err := filepath.Glob("lua/*.lua")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	for _, name := range scripts {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := whole.Find(source); found != nil && name != "lua/nodes.lua" && name != "lua/prelude.lua" {
			t.Errorf("%s reads all with %s", name, found)
		}
	}
}

// commit.lua remembers as many seconds of commits as the embedded coordinator and a recovery do.
func TestScriptKnowsMaxCommitSeconds(t *testing.T) {
	source, err := os.ReadFile("lua/commit.lua")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("local SECONDS = %d ", coordinator.MaxCommitSeconds); !strings.Contains(string(source), want) {
		t.Errorf("commit.lua does not have %q, as coordinator.MaxCommitSeconds says", want)
	}
}

// The work of a script is bounded whatever a client asks for, and does not depend on what awaits
// its confirmation. The test counts commands: those that the longest calls of each kind run in
// Redis, for each script.
func TestScriptsAreBounded(t *testing.T) {
	server := redistest.Start(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { client.Close() }) //nolint:errcheck // it was read from only
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	const partitions = 3000
	in, at := openWide(t, c, partitions)
	all := make([]segments.Partition, partitions)
	starts := map[segments.Partition]int64{}
	ids := make([][16]byte, 1000)
	for i := range all {
		all[i] = segments.Partition{Topic: at.Topic, Index: int32(i)}
		if len(starts) < coordinator.MaxLogStarts {
			starts[all[i]] = 0
		}
	}
	pending := func() (seqs []uint64) {
		for first := 0; first < partitions; first += 1000 {
			seqs = append(seqs, mustCommit(t, c, in, wide(all[first], 1000, plain)).Entry.Seq)
		}
		return seqs
	}
	propose := func(change coordinator.Change) error {
		change.ID = segments.NewID(time.Now())
		_, err := c.Propose(t.Context(), in, change)
		return err
	}
	calls := []struct {
		name    string
		call    func() error
		scripts int // at least
		most    int // commands for each
	}{
		{"log starts", func() error { return propose(moving(starts)) }, 1, 20},
		{"high watermarks", func() error { _, err := c.HighWatermarks(t.Context(), in, all); return err }, 6, 8},
		{"keyed", func() error { _, err := c.Keyed(t.Context(), in, at.Topic, ids...); return err }, 4, 1010},
	}
	counts := map[string]int{}
	for range 2 { // the first time nothing is pending
		for _, call := range calls {
			if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := call.call(); err != nil {
				t.Fatal(err)
			}
			commands, scripts := commandsRun(t, client)
			if scripts < call.scripts || commands > call.most*scripts {
				t.Errorf("%s: %d commands in %d scripts, should be at least %d scripts of at most %d",
					call.name, commands, scripts, call.scripts, call.most)
			}
			if before, known := counts[call.name]; known && commands > before {
				t.Errorf("%s: %d commands while commits are pending, %d while none are", call.name, commands, before)
			}
			counts[call.name] = commands
		}
		pending()
	}

	// Facts beyond one that is not confirmed take a few commands more for each of their partitions,
	// and the same number of scripts.
	seqs := append(pending(), pending()...)
	if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Confirm(t.Context(), in, seqs); err != nil {
		t.Fatal(err)
	}
	if commands, scripts := commandsRun(t, client); scripts < 2*partitions/500 || commands > scripts*500*6 {
		t.Errorf("confirmations: %d commands in %d scripts", commands, scripts)
	}
	if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := propose(coordinator.Change{DeleteTopic: &at.Topic}); err != nil {
		t.Fatal(err)
	}
	if commands, scripts := commandsRun(t, client); commands > 200 {
		t.Errorf("deletion: %d commands in %d scripts", commands, scripts)
	}
	starts[segments.Partition{Topic: at.Topic, Index: partitions}] = 0
	if err := propose(moving(starts)); !errors.Is(err, coordinator.ErrMalformed) {
		t.Errorf("more log starts than are allowed: %v", err)
	}
}

// A partition that has as many producers as it may does not look at all of them when another comes.
func TestProducersAreForgottenInSteps(t *testing.T) {
	server := redistest.Start(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { client.Close() }) //nolint:errcheck // it was read from only
	const most = 2000
	c := connect(t, redis.Options{Addrs: []string{server.Addr}, MaxProducers: most})
	in, at := open(t, c)
	commit := func(first, n int64) {
		t.Helper()
		req := request(at)
		req.Runs[0].Batches = nil
		for id := first; id < first+n; id++ {
			req.Runs[0].Batches = append(req.Runs[0].Batches, coordinator.CommitBatch{Length: 1, Records: 1, ProducerID: id})
		}
		mustCommit(t, c, in, req)
	}
	commit(0, most)
	if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	commit(most, 1)
	if commands, _ := commandsRun(t, client); commands > 30 {
		t.Errorf("the next producer took %d commands", commands)
	}
	commit(most+1, 2*most)
	keys, err := c.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if strings.Contains(key, ":producers:") {
			if n := client.HLen(t.Context(), key).Val(); n > most*5/4 {
				t.Errorf("a partition remembers %d producers, should be about %d at most", n, most)
			}
		}
	}
}

// What is remembered of commits takes a few bytes for each partition, and expires: a full Redis
// that gets nothing but commits, all of which it refuses, has room again once the deadline is over.
// Nodes stay announced meanwhile.
func TestFullRedisMakesRoom(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}, CommitDeadline: 5 * time.Second, RetainBytes: 1 << 10})
	in, at := openWide(t, c, 1000)
	commit := func() (coordinator.CommitAnswer, error) {
		return c.Commit(t.Context(), in, wide(at, 1000, plain))
	}
	used := func() (n int) {
		_, info, _ := strings.Cut(server.Do("INFO", "memory"), "used_memory:")
		line, _, _ := strings.Cut(info, "\r\n")
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	base := 0
	for n := 0; base == 0 || used() < base+300_000; n++ {
		answer, err := commit()
		if err == nil {
			err = c.Confirm(t.Context(), in, []uint64{answer.Entry.Seq})
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 5 {
			base = used() // with the partitions, and what clients and the stream need
		}
	}
	server.Do("CONFIG", "SET", "maxmemory", strconv.Itoa(base+150_000))
	if _, err := commit(); err == nil || errors.Is(err, coordinator.ErrNotOpen) {
		t.Errorf("a commit into a full Redis: %v", err)
	}
	if err := c.Register(t.Context(), in, coordinator.NodeInfo{ID: 1}, time.Second); err != nil {
		t.Errorf("a full Redis forgets nodes: %v", err)
	}
	late := time.After(40 * time.Second)
	for {
		if _, err := c.Commit(t.Context(), in, request(at)); err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-late:
			t.Fatal("a full Redis stays full")
		}
	}
}

// What is remembered of a commit takes less than ten bytes for each of its partitions.
func TestAnswersAreSmall(t *testing.T) {
	server := redistest.Start(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { client.Close() }) //nolint:errcheck // it was read from only
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	in, at := openWide(t, c, 1000)
	for range 10 {
		mustCommit(t, c, in, wide(at, 1000, plain))
	}
	keys, err := c.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bytes := int64(0)
	for _, key := range keys {
		if strings.Contains(key, ":commits:") {
			bytes += client.MemoryUsage(t.Context(), key, 0).Val()
		}
	}
	if bytes == 0 || bytes > 10*1000*10 {
		t.Errorf("ten commits into 1000 partitions each are remembered in %d bytes", bytes)
	}
}

func moving(starts map[segments.Partition]int64) coordinator.Change {
	return coordinator.Change{LogStart: &coordinator.LogStart{Offsets: starts}}
}
